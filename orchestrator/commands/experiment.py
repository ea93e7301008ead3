"""`orchestrator experiment`: grids of runs, and the tables and figures that come of them."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from orchestrator.commands.options import JsonOption, one_of, say_json

if TYPE_CHECKING:
    from orchestrator.experiments.grid import Experiment
    from orchestrator.experiments.growing import Tally

ROOT = Path("experiments")


class RunByDefault(TyperGroup):
    """`orchestrator experiment NAME` is `orchestrator experiment run NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What is no command and no option is what to run."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=RunByDefault,
    no_args_is_help=True,
    help="Compare: a grid of runs, with tables and figures. See: orchestrator experiment ls",
)

Named = Annotated[str, typer.Argument(metavar="NAME|FILE.toml", help="See: experiment ls.")]
Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Such as experiments/ga-against-de.")
]
Scale = Annotated[str, typer.Option("--scale", help="full, or another that the file has.")]


@app.command()
def run(  # noqa: PLR0913, PLR0917 # one parameter an option
    named: Named,
    scale: Scale = "full",
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Runs of each combination.")
    ] = None,
    generations: Annotated[
        int | None, typer.Option("--generations", "-g", min=1, help="Of every run.")
    ] = None,
    population: Annotated[
        int | None, typer.Option("--population", "-p", min=1, help="Of every run.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu or cuda:N, for services that are started.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Runs at a time.")] = 4,
    into: Annotated[
        Path | None,
        typer.Option("--into", help="Its folder; experiments/NAME, or NAME-SCALE, by default."),
    ] = None,
    ui: Annotated[str, typer.Option("--ui", help="auto, live, plain, json or quiet.")] = "auto",
) -> None:
    """Run what is left of an experiment, and plot it; killed, it goes on where it was.

    orchestrator experiment ga-against-de --scale tiny

    orchestrator experiment mine.toml --seeds 10 --jobs 8
    """
    from orchestrator.experiments.grid import FULL, find, read_experiment
    from orchestrator.experiments.judging import judge
    from orchestrator.experiments.plotting import plot as draw

    one_of("--ui", ui, ("auto", "live", "plain", "json", "quiet"))
    given = {"seeds": seeds, "generations": generations, "population": population, "device": device}
    changes = {name: value for name, value in given.items() if value is not None}
    experiment = read_experiment(find(named), scale, changes)
    name = experiment.name if scale == FULL else f"{experiment.name}-{scale}"
    folder = into or ROOT / name
    code, tally = _grow(experiment, folder, jobs, ui)
    say = partial(print, file=sys.stderr if ui == "json" else sys.stdout)
    say(tally.sentence())
    reasons: dict[str, list[str]] = {}
    for cell, why in tally.failed.items():
        reasons.setdefault(why, []).append(cell)
    for why, (cell, *others) in reasons.items():
        say(f"failed  {cell}{f' and {len(others)} more' * bool(others)}: {why}")
    try:
        if code == 0:
            judge(folder)
    finally:  # what was found is shown, whatever became of the judges
        if tally.done:
            say(f"report  {draw(folder)}")
    raise typer.Exit(code or (1 if tally.failed else 0))


@app.command()
def plot(folder: Folder) -> None:
    """Make every table and figure anew from the results."""
    from orchestrator.experiments.plotting import plot as draw

    print(draw(folder))


@app.command()
def show(
    named: Named,
    scale: Scale = "full",
    json: JsonOption = False,
) -> None:
    """Say what an experiment would run, cell by cell, and start nothing."""
    from orchestrator.experiments.grid import find, read_experiment

    experiment = read_experiment(find(named), scale)
    document, cells = experiment.document, experiment.cells
    evaluations = sum(cell.settings.population * cell.settings.steps for cell in cells)
    if json:
        told = {"name": experiment.name, "about": document.about, "evaluations": evaluations,
                "show": document.show, "cells": [cell.title for cell in cells]}  # fmt: skip
        say_json(told)
        return
    print(f"{experiment.name}: {document.about}")
    print(f"{len(cells)} runs, about {evaluations:,} evaluations; shows {', '.join(document.show)}")
    for cell in cells:
        print(f"  {cell.title}")


@app.command()
def ls(json: JsonOption = False) -> None:
    """List the experiments that come along."""
    from orchestrator.experiments.grid import bundled, read_experiment

    found = {name: read_experiment(path).document for name, path in bundled().items()}
    if json:
        rows = [{"name": n, "about": one.about, "source": one.source} for n, one in found.items()]
        say_json(rows)
        return
    for name, document in found.items():
        print(f"{name:28} {document.about}  [{document.source}]")


def _grow(experiment: "Experiment", folder: Path, jobs: int, ui: str) -> "tuple[int, Tally]":
    """Grow it on a board; the exit code of a signal, and how it stands."""
    from orchestrator.experiments.growing import grow
    from orchestrator.interrupts import Interrupts
    from orchestrator.terminal.board import make_board

    stream = sys.stdout if ui == "json" else sys.stderr
    display = make_board(ui, "off", stream, os.environ)  # type: ignore[arg-type] # checked before
    try:
        with Interrupts() as interrupts:
            tally = grow(experiment, folder, jobs, interrupts, display)
            return interrupts.exit_code, tally
    except KeyboardInterrupt:
        display.stop()
        os._exit(130)  # the searches' threads are in the middle of something, and are left there
