"""What does the ensemble cost against the same models called in one process?

The rival is a loop in this process: generator, clip and discriminator one after the other, in the
services' own batches, with all cores for each. Several repeats in turn; median and spread.

    python -m benchmarks.pipeline --rows 256 --repeats 7
"""

import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.services import running_ensemble
from orchestrator.evaluation.evaluator import Evaluator, Float32
from orchestrator.evaluation.setup import find_space
from orchestrator.search import sample
from orchestrator.settings import RunSettings
from protocol.messages import ClipInfo, Role
from services.catalogue import find_model
from services.clip.role import Looking
from services.generator.role import Drawing
from services.loading import load_role
from services.runtime.worker import pad


def one_process(settings: RunSettings) -> Callable[[Float32], None]:
    """A generation in this process, with the models and views of the services."""
    torch.set_num_threads(os.cpu_count() or 1)
    names: dict[Role, str] = {
        "generator": settings.generator,
        "clip": settings.clip,
        "discriminator": settings.discriminator,
    }
    roles = {role: load_role(find_model(name, role), "cpu") for role, name in names.items()}
    size = roles["generator"].info.batch_rows
    about = roles["clip"].info.about
    clip_size = about.image_size if isinstance(about, ClipInfo) else 0

    def generation(genomes: Float32) -> None:
        for start in range(0, len(genomes), size):
            rows = pad(genomes[start : start + size], size)
            pictures, *views = roles["generator"].compute(Drawing("z", 1.0, clip_size), rows)
            seen = views[0] if views else pictures
            roles["clip"].compute(Looking(seen.shape[1:]), seen)
            roles["discriminator"].compute("score", pictures)

    return generation


def timed(generation: Callable[[Float32], object], genomes: Float32) -> float:
    """Seconds of one generation."""
    started = time.perf_counter()
    generation(genomes)
    return time.perf_counter() - started


def compare(settings: RunSettings, rows: int, repeats: int) -> None:
    """Print the table."""
    alone = one_process(settings)
    with running_ensemble(settings) as (client, ensemble):
        about = ensemble.clip.info.about
        space = find_space(ensemble, "z")
        nobody = np.zeros(getattr(about, "embedding_size", 1), np.float32)
        together = Evaluator(client, ensemble, nobody, space.name).evaluate
        genomes = sample(space, rows, np.random.default_rng(0))
        ratios, times = [], []
        for _ in range(repeats):
            times.append((timed(together, genomes), timed(alone, genomes)))
            ratios.append(times[-1][0] / times[-1][1])
    table = Table("", "median", "spread", title=f"{rows} rows, {repeats} repeats, 2 objectives")
    for name, values, unit in (
        ("ensemble of processes", [one / rows * 1e3 for one, _ in times], "ms a row"),
        ("one process", [other / rows * 1e3 for _, other in times], "ms a row"),
        ("ratio", ratios, ""),
    ):
        table.add_row(
            name,
            f"{statistics.median(values):.2f} {unit}",
            f"{min(values):.2f} to {max(values):.2f}",
        )
    Console().print(table)


def main(rows: int = 256, repeats: int = 7) -> None:
    """The bundled models."""
    compare(RunSettings(""), rows, repeats)


if __name__ == "__main__":
    typer.run(main)
