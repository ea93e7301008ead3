"""Which algorithm should be the default? Equal evaluations on the miniatures, in one process.

Without services and without a judge, so it takes minutes and decides little: raw similarity in
standard deviations over 512 random latents of the same space and prompt, best so far, median over
prompts and seeds.

    python -m benchmarks.algorithms --seeds 2 --evaluations 3200
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.search import PROMPTS
from orchestrator.evaluation.evaluator import Float64
from orchestrator.search import Genomes, make_algorithm, sample
from protocol.latent import LatentSpace
from services.catalogue import find_model
from services.clip.open_clip import load as load_clip
from services.generator.role import to_uint8
from services.generator.stylegan2_generator import load as load_generator
from services.models.checkpoints import load_checkpoint

MARKS = (640, 1_920, 3_200)
BATCH = 32
RANDOM = 512


@dataclass(frozen=True)
class Choice:
    """An algorithm with its settings, in one latent space."""

    name: str
    space: str
    population: int
    parameters: dict[str, float | str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For the table."""
        words = " ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.name} in {self.space} {words}".strip()


CHOICES = (
    Choice("sep-cma-es", "w", 22),
    Choice("ga", "w", 32),
    Choice("ga", "z", 32),
    Choice("de", "w", 32),
    Choice("de", "w", 32, {"variant": "best/1", "dither": "none", "F": 0.5, "CR": 0.9}),
    Choice("glass-ga", "z", 16),
)
RANDOM_SPACE = "z"

Score = Callable[[Genomes], Float64]


class Miniatures:
    """The bundled generator and CLIP, without services."""

    def __init__(self) -> None:
        device = torch.device("cpu")
        generator, clip = (
            load_checkpoint(find_model(name, role).path)
            for role, name in (("generator", "mini-car"), ("clip", "mini-clip"))
        )
        self._generator = load_generator(generator, device)
        self._clip = load_clip(clip, device)
        self.spaces = {space.name: space for space in self._generator.spaces}

    def target(self, prompt: str) -> torch.Tensor:
        """(d,), the embedding of a prompt."""
        with torch.inference_mode():
            return self._clip.embed_tokens(self._clip.tokenize([prompt]))[0]

    def similarity(self, space: str, genomes: Genomes, target: torch.Tensor) -> Float64:
        """(n,) float64."""
        found = []
        with torch.inference_mode():
            for rows in torch.from_numpy(genomes).split(BATCH):
                pictures = to_uint8(self._generator.draw(space, rows, 1.0))
                found.append(self._clip.embed_levels(pictures) @ target)
        return torch.cat(found).double().numpy()


def so_far(
    choice: Choice, space: LatentSpace, score: Score, evaluations: int, seed: int
) -> list[float]:
    """Best similarity at each mark."""
    algorithm = make_algorithm(
        choice.name,
        space,
        population=choice.population,
        seed=seed,
        parameters=choice.parameters,
    )
    best, marks, found = -np.inf, [mark for mark in MARKS if mark <= evaluations], []
    while algorithm.evaluations < marks[-1]:
        similarity = score(algorithm.ask())
        algorithm.tell(1 - similarity[:, None])
        best = max(best, float(similarity.max()))
        while len(found) < len(marks) and algorithm.evaluations >= marks[len(found)]:
            found.append(best)
    return found


def main(*, prompts: int = 3, seeds: int = 2, evaluations: int = 3_200) -> None:
    """Print one line a search while they run, then the table of medians."""
    torch.set_num_threads(1)
    miniatures = Miniatures()
    gains: dict[str, list[list[float]]] = {choice.title: [] for choice in CHOICES}
    for prompt, seed in itertools.product(PROMPTS[:prompts], range(seeds)):
        target = miniatures.target(prompt)
        fresh = sample(miniatures.spaces[RANDOM_SPACE], RANDOM, np.random.default_rng(seed))
        chance = miniatures.similarity(RANDOM_SPACE, fresh, target)
        for choice in CHOICES:
            score = partial(miniatures.similarity, choice.space, target=target)
            found = so_far(choice, miniatures.spaces[choice.space], score, evaluations, seed)
            gain = [(one - chance.mean()) / chance.std() for one in found]
            gains[choice.title].append(gain)
            print(prompt, seed, choice.title, *(f"{one:+.2f}" for one in gain), flush=True)  # noqa: T201
    marks = [f"{mark:,}" for mark in MARKS if mark <= evaluations]
    table = Table(
        "algorithm", *marks, title=f"deviations over random, {prompts} prompts x {seeds} seeds"
    )
    for title, rows in gains.items():
        medians = np.median(rows, axis=0)
        table.add_row(title, *(f"{one:+.2f}" for one in medians))
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
