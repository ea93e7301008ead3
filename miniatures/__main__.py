"""`python -m miniatures`: train the bundled models, measure them, look at them."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from miniatures.clip_training import train_clip
from miniatures.discriminator_training import train_discriminator
from miniatures.evaluate import all_figures
from miniatures.generator_training import train_car
from miniatures.sheets import write_sheets
from miniatures.training import WEIGHTS, Job, default_device

app = typer.Typer(help="The small bundled models: train, evaluate, sheet.", no_args_is_help=True)


class Model(StrEnum):
    """What can be trained."""

    CLIP = "clip-mini"
    CAR = "stylegan2-mini-car"
    ALL = "all"


def _train_car_with_discriminator(job: Job) -> None:
    train_car(job)
    train_discriminator(job)


TRAININGS: dict[Model, Callable[[Job], None]] = {
    Model.CLIP: train_clip,
    Model.CAR: _train_car_with_discriminator,
}

WeightsOption = Annotated[Path, typer.Option(help="Folder of the weights.")]


@app.command()
def train(
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
) -> None:
    """Train one model, or all; an interrupted training goes on from its last snapshot."""
    place = torch.device(device) if device else default_device()
    job = Job(place, work, seed, steps, weights, compiled)
    for name, training in TRAININGS.items():
        if model in (name, Model.ALL):
            training(job)


@app.command()
def evaluate(weights: WeightsOption = WEIGHTS) -> None:
    """Print the figures of the bundled models."""
    table = Table("model", "figure", "value")
    for model, figures in all_figures(weights).items():
        for figure, value in figures.items():
            table.add_row(model, figure, f"{value:.3f}")
    Console().print(table)


@app.command()
def sheet(
    weights: WeightsOption = WEIGHTS,
    folder: Annotated[Path, typer.Option(help="Where the sheets go.")] = Path("docs/miniatures"),
) -> None:
    """Draw sample sheets."""
    for path in write_sheets(weights, folder):
        typer.echo(path)


if __name__ == "__main__":
    app()
