"""`verify`, `ls`, `show`, `recall` and `algorithms`: the commands that only look."""

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


def algorithms() -> None:
    """List the search algorithms and their parameters."""
    from orchestrator.search import describe_algorithms

    for info in describe_algorithms():
        print(f"{info.name:8} {info.meaning}")
        for parameter in info.parameters:
            print(f"         --set {parameter.name}={parameter.default}  {parameter.meaning}")
