"""`evaluate`: judging pictures, whoever made them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.commands.options import JsonOption, say_json


def evaluate(  # noqa: PLR0913, PLR0917 # one parameter an option
    path: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|RUN|GENERATOR", help="Pictures, a run, or with --random a generator."
        ),
    ],
    prompt: Annotated[str, typer.Option(help="What they should show; a run knows.")] = "",
    classifier: Annotated[
        list[str] | None,
        typer.Option(help="A classifier; may be repeated. The first describes pictures."),
    ] = None,
    clip: Annotated[str, typer.Option(help="The search's CLIP; a run knows.")] = "",
    judge: Annotated[
        str,
        typer.Option(help="A CLIP that no search saw; none to leave out mini-judge-clip."),
    ] = "",
    against: Annotated[
        Path | None, typer.Option(help="Folder of pictures to compare the whole set with.")
    ] = None,
    distractors: Annotated[
        Path | None, typer.Option(help="File of other prompts, one a line.")
    ] = None,
    random: Annotated[
        int,
        typer.Option(min=0, max=100_000, help="Draw so many random genomes, of a run beside it."),
    ] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda:N.")] = "cpu",
    json: JsonOption = False,
) -> None:
    """Judge pictures: similarity, rank, classifiers, diversity, and figures of whole sets.

    orchestrator evaluate runs/latest

    orchestrator evaluate photos --prompt "a yellow car" --against drawings

    orchestrator evaluate mini-car --random 3000 --against drawings
    """
    from orchestrator.measuring.evaluation import Question
    from orchestrator.measuring.evaluation import evaluate as measure
    from orchestrator.measuring.table import table

    print("asking the judges", file=sys.stderr)
    found = measure(
        Question(
            path,
            prompt,
            clip,
            judge,
            tuple(classifier or ()),
            against,
            distractors,
            random,
            device,
        )
    )
    if json:
        say_json(found)
    else:
        print(table(found))
