"""`python -m miniatures`: train the bundled models, measure them, look at them."""

import signal
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from miniatures.biggan_training import train_biggan
from miniatures.caption_training import train_captions
from miniatures.cards import write_cards
from miniatures.classifier_training import train_classifiers
from miniatures.clip_training import JUDGE, train_clip
from miniatures.discriminator_training import train_discriminator
from miniatures.domains import DOMAINS
from miniatures.evaluation import all_figures
from miniatures.evaluation.describing import describing_figures
from miniatures.evaluation.goals import Row, wanted
from miniatures.evaluation.main_job import ALGORITHMS, PHRASES, PROMPTS, main_job_figures
from miniatures.factors import cut, scenes_of
from miniatures.generator_training import train_generator
from miniatures.sheets import write_sheets
from miniatures.training import WEIGHTS, Job, default_device
from miniatures.world import render_with_mask

app = typer.Typer(help="The small bundled models: train, evaluate, sheet.", no_args_is_help=True)


class Model(StrEnum):
    """What can be trained."""

    CLIP = "clip-mini"
    JUDGE_CLIP = "judge-clip"
    CLASSIFIERS = "classifiers"
    CAR = "stylegan2-mini-car"
    CAR_DISCRIMINATOR = "mini-car-discriminator"
    CHURCH = "stylegan2-mini-church"
    CHURCH_DISCRIMINATOR = "mini-church-discriminator"
    FACE = "stylegan2-mini-face"
    FACE_DISCRIMINATOR = "mini-face-discriminator"
    BIGGAN = "biggan-mini"
    CAPTIONS = "gpt2-mini-captions"
    ALL = "all"


TRAININGS: dict[Model, Callable[[Job], None]] = {
    Model.CLIP: train_clip,
    Model.JUDGE_CLIP: partial(train_clip, variant=JUDGE),
    Model.CLASSIFIERS: train_classifiers,
    Model.CAR: partial(train_generator, thing="car"),
    Model.CAR_DISCRIMINATOR: partial(train_discriminator, thing="car"),
    Model.CHURCH: partial(train_generator, thing="church"),
    Model.CHURCH_DISCRIMINATOR: partial(train_discriminator, thing="church"),
    Model.FACE: partial(train_generator, thing="face"),
    Model.FACE_DISCRIMINATOR: partial(train_discriminator, thing="face"),
    Model.BIGGAN: train_biggan,
    Model.CAPTIONS: train_captions,
}

WeightsOption = Annotated[Path, typer.Option(help="Folder of the weights.")]


@app.command()
def train(  # noqa: PLR0913 - options of the command line
    model: Annotated[Model, typer.Argument(help="Which model.")],
    device: Annotated[str, typer.Option(help="cpu, cuda, ...; default: the GPU if any.")] = "",
    work: Annotated[Path, typer.Option(help="Folder of snapshots to resume from.")] = Path(
        "build/miniatures"
    ),
    weights: WeightsOption = WEIGHTS,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of each stage; default: recipe.")] = None,
    *,
    compiled: Annotated[
        bool, typer.Option(help="Use torch.compile (needs a C++ compiler).")
    ] = False,
    warm: Annotated[
        bool, typer.Option("--warm", help="CLIPs, discriminators: begin with the weights there.")
    ] = False,
    bfloat16: Annotated[
        bool, typer.Option("--bfloat16", help="CLIPs, discriminators: in bfloat16.")
    ] = False,
) -> None:
    """Train one model, or all; an interrupted training goes on from its last snapshot."""
    place = torch.device(device) if device else default_device()
    job = Job(place, work, seed, steps, weights, compiled, warm, bfloat16)
    for name, training in TRAININGS.items():
        if model in (name, Model.ALL):
            training(job)


@app.command()
def evaluate(  # noqa: PLR0913 - options of the command line
    weights: WeightsOption = WEIGHTS,
    only: Annotated[str, typer.Option(help="Only models whose names contain this.")] = "",
    work: Annotated[Path, typer.Option(help="Folder of the main job's runs.")] = Path(
        "build/main-job"
    ),
    prompts: Annotated[int, typer.Option(min=1, help="Of each thing in the main job.")] = PROMPTS,
    algorithm: Annotated[
        list[str], typer.Option(help="Of the main job; may be given several times.")
    ] = list(ALGORITHMS),  # noqa: B006 - typer copies it
    generations: Annotated[int, typer.Option(help="Of the main job; 0 for the default.")] = 0,
    *,
    main_job: Annotated[
        bool, typer.Option("--main-job", help="Grow prompts and let the classifiers read them.")
    ] = False,
    write: Annotated[
        Path | None, typer.Option(help="A Markdown file for cards with these figures.")
    ] = None,
) -> None:
    """Print the figures of the bundled models as they are measured, and what they should be."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started ends with it
    rows: Iterable[Row] = all_figures(weights, only)
    if main_job:
        things = [thing for thing in PHRASES if only in thing]
        options = ("--generations", str(generations)) if generations else ()
        rows = chain(
            main_job_figures(weights, work, things, algorithm, prompts, options),
            describing_figures(weights, work) if only in "mini-captions" else (),
        )
    kept = []
    for model, figure, value in rows:
        words = "" if value is None else f"{value:8.3f}  {wanted(model, figure, value)}"
        typer.echo(f"{model:24} {figure:52} {words}".rstrip())
        kept.append((model, figure, value))
    if write is not None:
        write_cards(write, "the main job" if main_job else "model cards", weights, kept)


@app.command()
def sheet(
    weights: WeightsOption = WEIGHTS,
    folder: Annotated[Path, typer.Option(help="Where the sheets go.")] = Path("docs/miniatures"),
) -> None:
    """Draw sample sheets."""
    for path in write_sheets(weights, folder):
        typer.echo(path)


@app.command()
def scenes(
    thing: Annotated[str, typer.Argument(help="car, church or face.")],
    genomes: Annotated[Path, typer.Argument(help=".npy of (n, 64) float32, genomes in z.")],
    out: Annotated[Path, typer.Argument(help=".npz for `pictures` and `masks`, (n, 64, 64).")],
) -> None:
    """Draw what the genomes of a bundled generator stand for, and say which pixels are the thing.

    Used by experiments: the drawing's mask is exact where a classifier's would be a guess.
    """
    z = torch.from_numpy(np.load(genomes, allow_pickle=False))
    drawn = [render_with_mask(scene) for scene in scenes_of(cut(z, DOMAINS[thing]))]
    np.savez_compressed(
        out, pictures=[picture for picture, _ in drawn], masks=[mask for _, mask in drawn]
    )


if __name__ == "__main__":
    app()
