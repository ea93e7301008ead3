"""Does the search grow what was asked for, better than chance?

For each prompt and seed: the best similarity of the first, random generation, of the whole search,
and of as many random latents as the search evaluated (its rival). Similarities are raw cosines of
one prompt, so only differences within a row mean something; the last column says after how many
evaluations the search had passed the best of all the random latents.

    python -m benchmarks.search --seeds 3 --sheet docs/ten-prompts.png
"""

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from benchmarks.services import running_ensemble
from orchestrator.evaluation.evaluator import (
    Evaluator,
    Float32,
    Float64,
    Images,
    embed_text,
)
from orchestrator.evaluation.setup import find_space
from orchestrator.fleet.ensemble import Ensemble
from orchestrator.search import make_algorithm, sample
from orchestrator.settings import RunSettings
from protocol.client import Client
from protocol.latent import LatentSpace

PROMPTS = (
    "a yellow car in the city",
    "a blue car at night",
    "a red car in the snow",
    "a green car in the woods",
    "a white car by the sea",
    "a black car on the road",
    "an orange car in a field",
    "a purple car in the snow",
    "a red car by the sea",
    "a blue car in the city",
)
THUMBNAIL = 128


@dataclass(frozen=True)
class Grown:
    """One search.

    Attributes:
        so_far: best similarity up to each generation.
        population: evaluations a generation.
        image: of the best, (h, w, 3) uint8.
    """

    so_far: Float64
    population: int
    image: Images

    @property
    def best(self) -> float:
        """Best similarity of all."""
        return float(self.so_far[-1])

    def evaluations_to(self, similarity: float) -> float:
        """Evaluations until a similarity was reached; infinite if it never was."""
        reached = np.flatnonzero(self.so_far >= similarity)
        return (int(reached[0]) + 1) * self.population if len(reached) else math.inf


def grow(client: Client, ensemble: Ensemble, settings: RunSettings, space: LatentSpace) -> Grown:
    """Run one search through the services."""
    target = embed_text(ensemble.clip, settings.prompt)
    evaluator = Evaluator(client, ensemble, target, space.name)
    algorithm = make_algorithm(
        settings.algorithm,
        space,
        population=settings.population,
        seed=settings.seed,
        parameters=settings.parameters,
    )
    best: list[tuple[float, Images]] = []
    for _ in range(settings.generations):
        evaluation = evaluator.evaluate(algorithm.ask())
        algorithm.tell(evaluation.costs()["similarity"][:, None])
        row = int(evaluation.similarity.argmax())
        best.append((float(evaluation.similarity[row]), evaluation.images[row]))
    _, image = max(best, key=lambda one: one[0])
    so_far = np.maximum.accumulate([similarity for similarity, _ in best])
    return Grown(so_far, settings.population, image)


def random_embeddings(
    client: Client, ensemble: Ensemble, space: LatentSpace, rows: int, seed: int
) -> Float32:
    """(rows, d) float32: what as many random latents look like to clip."""
    anything = embed_text(ensemble.clip, PROMPTS[0])
    genomes = sample(space, rows, np.random.default_rng([seed, rows]))
    evaluator = Evaluator(client, ensemble, anything, space.name)
    parts = np.array_split(genomes, max(1, rows // 256))
    return np.concatenate([evaluator.evaluate(part).embeddings for part in parts])


def show(prompt: str, grown: list[Grown], rival: list[Float64]) -> list[str]:
    """One row of the table: medians over seeds."""
    pairs = list(zip(grown, rival, strict=True))
    gains = [one.best - values.max() for one, values in pairs]
    needed = statistics.median(one.evaluations_to(float(values.max())) for one, values in pairs)
    return [
        prompt,
        f"{statistics.median(float(one.so_far[0]) for one in grown):.3f}",
        f"{statistics.median(float(values.max()) for values in rival):.3f}",
        f"{statistics.median(one.best for one in grown):.3f}",
        f"{min(gains):+.3f} {statistics.median(gains):+.3f} {max(gains):+.3f}",
        f"{needed:.0f}",
    ]


def contact_sheet(titles: list[str], images: list[Images], columns: int = 5) -> Image.Image:
    """The pictures, enlarged pixel for pixel, each above its prompt."""
    rows = -(-len(images) // columns)
    cell = THUMBNAIL + 22
    sheet = Image.new("RGB", (columns * (THUMBNAIL + 6), rows * cell), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (title, image) in enumerate(zip(titles, images, strict=True)):
        left, top = index % columns * (THUMBNAIL + 6) + 3, index // columns * cell + 2
        large = Image.fromarray(image).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.NEAREST)
        sheet.paste(large, (left, top))
        draw.text((left, top + THUMBNAIL + 2), title, "black", font_size=10)
    return sheet


def main(  # one parameter an option
    *,
    algorithm: str = "ga",
    space_name: Annotated[str, typer.Option("--space")] = "",
    population: int = 32,
    generations: int = 60,
    seeds: int = 3,
    sheet: Path | None = None,
    discriminator: str = "none",
) -> None:
    """Print the table, and draw the pictures of the first seed if a sheet is asked for."""
    plain = RunSettings("", discriminator=discriminator)
    table = Table(
        *("prompt", "first generation", "random", "grown"),
        *("gain (least median most)", "passes random after"),
        title=f"{algorithm}, {population} x {generations}, {seeds} seeds, against as many random",
    )
    with running_ensemble(plain) as (client, ensemble):
        space = find_space(ensemble, space_name)
        rows = population * generations
        randoms = [random_embeddings(client, ensemble, space, rows, s) for s in range(seeds)]
        pictures: list[Images] = []
        for prompt in PROMPTS:
            grown = [
                grow(
                    client,
                    ensemble,
                    RunSettings(
                        prompt,
                        algorithm=algorithm,
                        population=population,
                        generations=generations,
                        seed=seed,
                    ),
                    space,
                )
                for seed in range(seeds)
            ]
            target = embed_text(ensemble.clip, prompt).astype(np.float64)
            table.add_row(*show(prompt, grown, [r.astype(np.float64) @ target for r in randoms]))
            pictures.append(grown[0].image)
    Console(width=120).print(table)
    if sheet is not None:
        contact_sheet(list(PROMPTS), pictures).save(sheet)


if __name__ == "__main__":
    typer.run(main)
