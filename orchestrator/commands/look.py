"""`verify`, `ls`, `show`, `recall`, `algorithms` and `doctor`: the commands that only look."""

import os
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.commands.options import JsonOption, RunFolderArgument, say, say_json


def verify(
    run: RunFolderArgument,
    evaluate: Annotated[
        int,
        typer.Option(
            "--evaluate", min=0, help="Also evaluate so many genomes again, through services."
        ),
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Repeat RUN from its journal and compare, genome for genome."""
    from orchestrator.verify import verify_run

    found = verify_run(run, evaluate)
    if json:
        say_json(found)
    else:
        print(found.sentence())


def ls(
    runs: Annotated[Path, typer.Argument(help="Folder of run folders.")] = Path("runs"),
    json: JsonOption = False,
) -> None:
    """List runs: status, generations, best similarity, prompt."""
    from orchestrator.runs.listing import summaries, table

    found = summaries(runs)
    if json:
        say_json(found)
    else:
        say(table(found))


def show(run: RunFolderArgument, json: JsonOption = False) -> None:
    """Say all about RUN: status, command, models, swaps, pictures."""
    from orchestrator.runs import RunFolder
    from orchestrator.runs.listing import details, summary

    if json:
        folder = RunFolder.open(run)
        found = {"summary": summary(folder.path), "run": folder.read_run()}
        say_json(found)
    else:
        print("\n".join(details(run)))


def recall(
    picture: Annotated[Path, typer.Argument(help="A PNG of a run, such as best.png.")],
    json: JsonOption = False,
) -> None:
    """Print the command that grew PICTURE; with --json its whole recipe.

    orchestrator recall runs/latest/best.png
    """
    from orchestrator.runs.listing import recall as read

    command, recipe = read(picture)
    if json:
        say_json(recipe)
    else:
        print(command)


def doctor(
    runs: Annotated[Path, typer.Option("--runs", help="Folder of run folders.")] = Path("runs"),
    json: JsonOption = False,
) -> None:
    """Look for what could keep a run from going well here; exit code 3 if something will."""
    from orchestrator.doctor import examine, table
    from protocol.errors import ConfigError

    found = examine(runs, os.environ)
    if json:
        say_json(found)
    else:
        print(table(found))
    if any(one.verdict == "bad" for one in found):
        raise typer.Exit(ConfigError.exit_code)


def algorithms(json: JsonOption = False) -> None:
    """List the search algorithms and their parameters."""
    from orchestrator.search import describe_algorithms

    found = describe_algorithms()
    if json:
        say_json(found)
        return
    for info in found:
        genes = "any genes" if len(info.kinds) == 4 else f"{' and '.join(info.kinds)} genes"
        objectives = "objectives" if info.objectives == "several" else "objective"
        measures = ", at least one --measure" if info.measures else ""
        print(f"{info.name}: {info.meaning}")
        print(
            f"  {info.objectives} {objectives}, {genes}, "
            f"a population of at least {info.least_population}{measures}"
        )
        for parameter in info.parameters:
            setting = f"{parameter.name}={parameter.default}"
            print(f"    --set {setting:16} {parameter.meaning} ({parameter.allowed})")
        print()
    print("--refine N follows any of one objective with N gradient steps on the real genes.")
    print("--profile legacy makes ga, nsga2 and de stand for the published ones.")


def presets(json: JsonOption = False) -> None:
    """List the configurations of CLIP-GLaSS and the thesis, for: orchestrator run --preset."""
    from orchestrator.presets import PRESETS

    if json:
        say_json(PRESETS)
        return
    for preset in PRESETS:
        print(f"{preset.name:22} {preset.described()}")
