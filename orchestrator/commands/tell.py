"""`report`, `compare`, `pick`, `export` and `rm`: telling of runs, and clearing them away."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.commands.options import JsonOption, RunFolderArgument, say_json
from protocol.errors import BadRequestError, ConfigError

if TYPE_CHECKING:
    from orchestrator.reports.reading import Story

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")]


def report(
    runs: Runs,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page; report.html in the first RUN by default."),
    ] = None,
) -> None:
    """Write one HTML page about RUN: pictures, a slider over generations, curves, recipes.

    orchestrator report runs/latest
    """
    from orchestrator.reports.page import page
    from orchestrator.runs.storage import write_whole

    stories = _stories(runs)
    path = out or runs[0] / "report.html"
    write_whole(path, page(stories).encode())
    print(path)


def compare(runs: Runs, json: JsonOption = False) -> None:
    """Show in which settings runs differ, and how each went.

    orchestrator compare runs/0001-a-yellow-car runs/0002-a-yellow-car
    """
    from orchestrator.reports.comparison import differing, outcomes, table

    stories = _stories(runs)
    if json:
        names = [story.summary.name for story in stories]
        found = {"runs": names, "differing": differing(stories), "outcomes": outcomes(stories)}
        say_json(found)
        return
    print(table(stories))
    from orchestrator.terminal.choose import shows_unicode

    if len(stories) > 1 and shows_unicode(sys.stdout):
        from rich.console import Console

        from orchestrator.terminal.braille import Curve, chart

        styles = ("green", "blue", "magenta", "yellow", "cyan", "red")
        last = max((max(story.numbers(), default=0) for story in stories), default=0)
        lines = [
            Curve(_by_generation(story, last), styles[index % len(styles)])
            for index, story in enumerate(stories)
            if story.generations
        ]
        if lines:
            console = Console(highlight=False)
            console.print()
            console.print(chart(lines, min(100, console.width), 14))


def _by_generation(story: "Story", last: int) -> tuple[float, ...]:
    """The best of each generation up to `last`; no number where the run has none."""
    best = dict(zip(story.numbers(), story.column("best").tolist(), strict=True))
    return tuple(best.get(number, math.nan) for number in range(1, last + 1))


def pick(
    run: RunFolderArgument,
    rank: Annotated[
        int | None, typer.Argument(help="Which one, from 1; asked for when left out.")
    ] = None,
) -> None:
    """Look at the last population of RUN, and keep one picture of it.

    orchestrator pick runs/latest

    orchestrator pick runs/latest 7
    """
    from orchestrator.picking import last_population
    from orchestrator.picking import pick as keep

    population = last_population(run)
    if rank is None:
        if not sys.stdin.isatty():
            raise BadRequestError(
                "nobody is here to ask; name the picture: orchestrator pick RUN 7"
            )
        _show(population.folder.path / "latest.webp", population.scores)
        rank = typer.prompt("keep which picture?", prompt_suffix=" ", type=int)
    print(keep(population, rank))


def export(
    run: RunFolderArgument,
    out: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Ending in .csv, .parquet or .npz."),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="To evaluations.csv in RUN.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="The same as Parquet.")] = False,
    npz: Annotated[bool, typer.Option("--npz", help="The same for numpy.")] = False,
) -> None:
    """Write every evaluation of RUN to one table: scores and genomes.

    orchestrator export runs/latest --csv

    orchestrator export runs/latest evaluations.parquet
    """
    from orchestrator.runs.export import export_run

    kinds = [name for name, said in {"csv": csv, "parquet": parquet, "npz": npz}.items() if said]
    chosen = [run / f"evaluations.{kind}" for kind in kinds]
    chosen += [] if out is None else [out]
    if len(chosen) != 1:
        raise ConfigError("name one FILE, or say one of --csv, --parquet and --npz")
    out = chosen[0]
    print(f"{out}: {export_run(run, out):,} evaluations")


def rm(
    runs: Runs,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete run folders, after asking."""
    from orchestrator.runs import RunFolder

    folders = [RunFolder.open(path) for path in runs]
    for folder in folders:
        if not (yes or _agreed(folder.path)):
            print(f"{folder.path} stays")
            continue
        folder.delete()
        print(f"{folder.path} is gone")


def _show(grid: Path, scores: list[float]) -> None:
    """The population as the terminal can show it, else where to look at it."""
    from rich.console import Console

    from orchestrator.runs.pictures import read_grid
    from orchestrator.terminal.choose import can_show_images
    from orchestrator.terminal.halfblock import sheet

    console = Console(highlight=False)
    print(f"the population, best first: {grid}")
    if not can_show_images(console, "auto"):
        return
    columns, rows = console.size
    console.print(sheet(read_grid(grid, len(scores)), scores, columns, rows - 3))


def _agreed(path: Path) -> bool:
    if not sys.stdin.isatty():
        raise BadRequestError("nobody is here to ask; say --yes to delete")
    return typer.confirm(f"delete {path} with all that is in it?")


def _stories(runs: list[Path]) -> "list[Story]":
    from orchestrator.reports.reading import read_story

    return [read_story(path) for path in dict.fromkeys(path.resolve() for path in runs)]
