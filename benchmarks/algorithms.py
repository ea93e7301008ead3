"""Which algorithm should be the default? Equal evaluations on the miniatures, in one process.

Without services, so it takes minutes. Three verdicts on each search's best picture: its similarity
in standard deviations over 512 random latents (z) of the same prompt, by the CLIP that the search
saw; the same by the judge CLIP, which no search sees, where its weights are; and whether the
attribute classifiers find every attribute that the prompt asks for, which matters most. Best so
far, medians over prompts and seeds.

    python -m benchmarks.algorithms --seeds 3 --things car,church,face --prompts 2 --sheet best.png
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.search import contact_sheet
from miniatures.evaluation.main_job import Judges, Prompt, prompts
from miniatures.training import WEIGHTS
from orchestrator.evaluation.evaluator import Float64, Images
from orchestrator.search import Genomes, make_algorithm, sample
from protocol.latent import LatentSpace
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
    Choice("sep-cma-es", "w", 22, {"sigma0": 0.15}),
    Choice("sep-cma-es", "z", 22),
    Choice("ga", "w", 32),
    Choice("ga", "z", 32),
    Choice("de", "w", 32),
    Choice("glass-ga", "z", 16),
)
RANDOM_SPACE = "z"

Score = Callable[[Genomes], Float64]


class Miniatures:
    """The bundled generator of one thing and the CLIPs, without services."""

    def __init__(self, weights: Path, thing: str) -> None:
        device = torch.device("cpu")
        clips = {"search": "mini-clip", "judge": "mini-judge-clip"}
        files = {who: weights / f"{name}.safetensors" for who, name in clips.items()}
        self._generator = load_generator(
            load_checkpoint(weights / f"mini-{thing}.safetensors"), device
        )
        self.clips = {
            who: load_clip(load_checkpoint(file), device)
            for who, file in files.items()
            if file.is_file()
        }
        self.spaces = {space.name: space for space in self._generator.spaces}

    def target(self, prompt: str, clip: str = "search") -> torch.Tensor:
        """(d,), the embedding of a prompt."""
        with torch.inference_mode():
            looks = self.clips[clip]
            return looks.embed_tokens(looks.tokenize([prompt]))[0]

    def draw(self, space: str, genomes: Genomes) -> torch.Tensor:
        """(n, 64, 64, 3) uint8."""
        with torch.inference_mode():
            parts = torch.from_numpy(genomes).split(BATCH)
            return torch.cat([to_uint8(self._generator.draw(space, rows, 1.0)) for rows in parts])

    def compare(
        self, pictures: torch.Tensor, target: torch.Tensor, clip: str = "search"
    ) -> Float64:
        """(n,) float64, cosines."""
        with torch.inference_mode():
            parts = [self.clips[clip].embed_levels(rows) @ target for rows in pictures.split(BATCH)]
        return torch.cat(parts).double().numpy()

    def similarity(self, space: str, genomes: Genomes, target: torch.Tensor) -> Float64:
        """(n,) float64, what a search is told."""
        return self.compare(self.draw(space, genomes), target)


def grown(
    choice: Choice, space: LatentSpace, score: Score, evaluations: int, seed: int
) -> tuple[list[float], Genomes]:
    """Best similarity at each mark, and the best genome, (1, size) float32."""
    algorithm = make_algorithm(
        choice.name,
        space,
        population=choice.population,
        seed=seed,
        parameters=choice.parameters,
    )
    marks, found = [mark for mark in MARKS if mark <= evaluations], []
    best, genome = -np.inf, np.empty((1, space.size), np.float32)
    while algorithm.evaluations < marks[-1]:
        genomes = algorithm.ask()
        similarity = score(genomes)
        algorithm.tell(1 - similarity[:, None])
        row = int(similarity.argmax())
        if similarity[row] > best:
            best, genome = float(similarity[row]), genomes[row : row + 1]
        while len(found) < len(marks) and algorithm.evaluations >= marks[len(found)]:
            found.append(best)
    return found, genome


@dataclass(frozen=True)
class Chance:
    """Random latents of one prompt, under one CLIP."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, similarity: Float64) -> "Chance":
        """From (n,) similarities."""
        return cls(float(similarity.mean()), float(similarity.std(ddof=1)))

    def over(self, similarity: float) -> float:
        """In standard deviations."""
        return (similarity - self.mean) / self.deviation


@dataclass(frozen=True)
class Verdict:
    """How one search went: deviations at the marks, the judge's, and what the classifiers say."""

    gains: list[float]
    judged: float
    fulfilled: bool
    picture: Images


class Contest:
    """All choices on one prompt with one seed."""

    def __init__(self, miniatures: Miniatures, judges: Judges, prompt: Prompt, seed: int) -> None:
        self._miniatures, self._judges, self._prompt, self._seed = miniatures, judges, prompt, seed
        space = miniatures.spaces[RANDOM_SPACE]
        pictures = miniatures.draw(RANDOM_SPACE, sample(space, RANDOM, np.random.default_rng(seed)))
        self._targets = {who: miniatures.target(prompt.text, who) for who in miniatures.clips}
        self._chances = {
            who: Chance.of(miniatures.compare(pictures, target, who))
            for who, target in self._targets.items()
        }

    def grow(self, choice: Choice, evaluations: int) -> Verdict:
        """One search and what the judges say."""
        space = self._miniatures.spaces[choice.space]
        target = self._targets["search"]
        score = partial(self._miniatures.similarity, choice.space, target=target)
        found, genome = grown(choice, space, score, evaluations, self._seed)
        picture, judged = self._miniatures.draw(choice.space, genome), np.nan
        if "judge" in self._targets:
            seen = self._miniatures.compare(picture, self._targets["judge"], "judge")
            judged = self._chances["judge"].over(float(seen[0]))
        return Verdict(
            [self._chances["search"].over(one) for one in found],
            judged,
            self._judges.fulfilled(self._prompt, picture[0]),
            picture[0].numpy(),
        )


def main(  # one parameter an option
    *,
    things: str = "car",
    count: Annotated[int, typer.Option("--prompts")] = 3,
    seeds: int = 2,
    evaluations: int = 3_200,
    only: Annotated[str, typer.Option(help="Titles of choices, joined with commas.")] = "",
    weights: Path = WEIGHTS,
    sheet: Path | None = None,
) -> None:
    """Print one line a search while they run, then the table."""
    torch.set_num_threads(1)
    choices = [one for one in CHOICES if not only or one.title in only.split(",")]
    verdicts: dict[str, list[Verdict]] = {choice.title: [] for choice in choices}
    titles: list[str] = []
    for thing in things.split(","):
        miniatures, judges = Miniatures(weights, thing), Judges.load(weights, thing)
        for prompt, seed in itertools.product(prompts(thing, count), range(seeds)):
            contest = Contest(miniatures, judges, prompt, seed)
            titles.append(f"{prompt.text} {seed}")
            for choice in choices:
                one = contest.grow(choice, evaluations)
                verdicts[choice.title].append(one)
                said = [*(f"{gain:+.2f}" for gain in one.gains), f"judge {one.judged:+.2f}"]
                print(prompt.text, seed, choice.title, *said, one.fulfilled, flush=True)  # noqa: T201
    Console(width=100).print(table(verdicts, evaluations))
    if sheet is not None:
        rows = zip(*verdicts.values(), strict=True)
        named = [
            (f"{choice.title}: {title}"[:26], one.picture)
            for title, row in zip(titles, rows, strict=True)
            for choice, one in zip(choices, row, strict=True)
        ]
        words, images = map(list, zip(*named, strict=True))
        contact_sheet(words, images, len(choices)).save(sheet)


def table(verdicts: dict[str, list[Verdict]], evaluations: int) -> Table:
    """One row a choice: medians, shares, and how often it was better than the first choice."""
    marks = [f"{mark:,}" for mark in MARKS if mark <= evaluations]
    first = next(iter(verdicts.values()))
    found = Table(
        *("algorithm", *marks, "judge", "fulfilled", "beats the first"),
        title=f"deviations over random, medians of {len(first)} searches",
    )
    for title, rows in verdicts.items():
        gains = np.median([one.gains for one in rows], axis=0)
        judged = np.median([one.judged for one in rows])
        wins = sum(one.gains[-1] > other.gains[-1] for one, other in zip(rows, first, strict=True))
        done = sum(one.fulfilled for one in rows)
        words = (*gains, judged)
        found.add_row(
            title, *(f"{one:+.2f}" for one in words), f"{done}/{len(rows)}", f"{wins}/{len(rows)}"
        )
    return found


if __name__ == "__main__":
    typer.run(main)
