"""`verify`, `ls`, `show`, `recall` and `algorithms`: the commands that only look."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.commands.options import JsonOption, RunFolderArgument


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
    from orchestrator.runs.storage import to_json
    from orchestrator.verify import verify_run

    found = verify_run(run, evaluate)
    print(to_json(found, indent=2).decode() if json else found.sentence())


def ls(
    runs: Annotated[Path, typer.Argument(help="Folder of run folders.")] = Path("runs"),
    json: JsonOption = False,
) -> None:
    """List runs: status, generations, best similarity, prompt."""
    from orchestrator.runs.listing import summaries, table
    from orchestrator.runs.storage import to_json

    found = summaries(runs)
    print(to_json(found, indent=2).decode() if json else table(found))


def show(run: RunFolderArgument, json: JsonOption = False) -> None:
    """Say all about RUN: status, command, models, swaps, pictures."""
    from orchestrator.runs import RunFolder
    from orchestrator.runs.listing import details, summary
    from orchestrator.runs.storage import to_json

    if json:
        folder = RunFolder.open(run)
        found = {"summary": summary(folder.path), "run": folder.read_run()}
        print(to_json(found, indent=2).decode())
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
    from orchestrator.runs.storage import to_json

    command, recipe = read(picture)
    print(to_json(recipe, indent=2).decode() if json else command)


def algorithms() -> None:
    """List the search algorithms and their parameters."""
    from orchestrator.search import describe_algorithms

    for info in describe_algorithms():
        print(f"{info.name:8} {info.meaning}")
        for parameter in info.parameters:
            print(f"         --set {parameter.name}={parameter.default}  {parameter.meaning}")
