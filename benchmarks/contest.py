"""One search of the miniatures and what judges that it never sees say of it, without services.

A search is the work of one (choice, prompt, seed). After every `MARK` evaluations, counted row by
row, its best picture so far is shown to the judge CLIP and to the attribute classifiers. Scores
are in standard deviations over 512 random latents (z) of the same prompt, the same 512 always.

Batches that cannot depend on a prompt (all of random search, the fresh genomes that others begin
with) are drawn and embedded once for all prompts of a thing.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from miniatures.classifiers import OBJECT, classifier_path
from miniatures.evaluation.main_job import Judges, Prompt
from orchestrator.evaluation.evaluator import Float64
from orchestrator.runs.pictures import png
from orchestrator.search import Genomes, make_algorithm, sample
from protocol.latent import LatentSpace
from services.clip.open_clip import load as load_clip
from services.generator.role import to_uint8
from services.generator.stylegan2_generator import load as load_generator
from services.models.checkpoints import load_checkpoint

MARK: Final = 200
"""Evaluations between two looks of the judges."""
RANDOM: Final = 512
RANDOM_SEED: Final = 512
RANDOM_SPACE: Final = "z"
BATCH: Final = 32
CLIPS: Final = {"search": "mini-clip", "judge": "mini-judge-clip"}

Embeddings = torch.Tensor  # (n, d) float32, of length 1
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Choice:
    """An algorithm with its settings, in one latent space.

    Attributes:
        name: of the algorithm.
        space: where it searches.
        population: rows in a batch.
        longer: how many times the evaluations of the others it gets.
        parameters: what differs from its defaults.
    """

    name: str
    space: str
    population: int
    longer: float = 1.0
    parameters: dict[str, float | str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For tables."""
        words = " ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.name} in {self.space} {words}".strip()


class Outcome(msgspec.Struct, frozen=True):
    """How one search went; a line of the file of results.

    Attributes:
        choice: its title.
        thing: what the generator draws.
        prompt: what was asked for.
        seed: of the search.
        models: digests of all models that had to do with it.
        marks: evaluations at each look.
        search: the best picture so far at each mark, by the CLIP that the search sees.
        judge: the same picture, by the one that it never sees.
        fulfilled: whether the classifiers find all that the prompt asks for in it.
        seconds: that it took, on whatever else the machine did.
        picture: the last one, a PNG file.
    """

    choice: str
    thing: str
    prompt: str
    seed: int
    models: str
    marks: tuple[int, ...]
    search: tuple[float, ...]
    judge: tuple[float, ...]
    fulfilled: tuple[bool, ...]
    seconds: float
    picture: bytes


@dataclass(frozen=True)
class Chance:
    """Random latents of one prompt, under one CLIP."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, similarity: Float64) -> "Chance":
        """From (n,) similarities."""
        return cls(float(similarity.mean()), float(similarity.std(ddof=1)))

    def over(self, similarity: Float64) -> tuple[float, ...]:
        """(n,) similarities in standard deviations."""
        return tuple(((similarity - self.mean) / self.deviation).tolist())


class Stage:
    """The models of one thing: a generator, both CLIPs and the classifiers. For any threads.

    Attributes:
        thing: what its generator draws.
        models: digests of the files, joined.
        spaces: name -> latent space.
    """

    def __init__(self, weights: Path, thing: str) -> None:
        device = torch.device("cpu")
        files = [weights / f"mini-{thing}.safetensors"]
        files += [weights / f"{name}.safetensors" for name in CLIPS.values()]
        drawn, *seen = [load_checkpoint(file) for file in files]
        self.thing = thing
        self._generator = load_generator(drawn, device)
        self._clips = dict(zip(CLIPS, (load_clip(one, device) for one in seen), strict=True))
        self._judges = Judges.load(weights, thing)
        read = [load_checkpoint(classifier_path(name, weights)) for name in (OBJECT, thing)]
        self.models = " ".join(one.digest.split(":")[1][:12] for one in (drawn, *seen, *read))
        self.spaces = {space.name: space for space in self._generator.spaces}
        self._remembered: dict[tuple[str, bytes], Embeddings] = {}
        self._lock = threading.Lock()
        space = self.spaces[RANDOM_SPACE]
        fresh = self.draw(RANDOM_SPACE, sample(space, RANDOM, np.random.default_rng(RANDOM_SEED)))
        self._random = {who: self.look(fresh, who) for who in CLIPS}

    def draw(self, space: str, genomes: Genomes) -> torch.Tensor:
        """(n, 64, 64, 3) uint8."""
        with torch.inference_mode():
            parts = torch.split(torch.from_numpy(genomes), BATCH)
            return torch.cat([to_uint8(self._generator.draw(space, rows, 1.0)) for rows in parts])

    def look(self, pictures: torch.Tensor, who: str) -> Embeddings:
        """What a CLIP sees in (n, 64, 64, 3) uint8."""
        with torch.inference_mode():
            return torch.cat(
                [self._clips[who].embed_levels(one) for one in torch.split(pictures, BATCH)]
            )

    def target(self, prompt: str, who: str) -> torch.Tensor:
        """(d,), a CLIP's embedding of a prompt."""
        with torch.inference_mode():
            return self._clips[who].embed_tokens(self._clips[who].tokenize([prompt]))[0]

    def chance(self, prompt: str, who: str) -> Chance:
        """How random latents score."""
        return Chance.of(cosines(self._random[who], self.target(prompt, who)))

    def seen(self, space: str, genomes: Genomes, *, shared: bool) -> Embeddings:
        """What the search's CLIP sees; computed once where prompts share the batch."""
        if not shared:
            return self.look(self.draw(space, genomes), "search")
        key = space, genomes.tobytes()
        with self._lock:
            if key not in self._remembered:
                self._remembered[key] = self.look(self.draw(space, genomes), "search")
            return self._remembered[key]

    def fulfilled(self, prompt: Prompt, picture: torch.Tensor) -> bool:
        """Whether (64, 64, 3) uint8 shows all that is wanted."""
        return not self._judges.missed(prompt, picture)


def cosines(embeddings: Embeddings, target: torch.Tensor) -> Float64:
    """(n,) float64."""
    found: Float64 = (embeddings @ target).double().numpy()
    return found


def compete(stage: Stage, choice: Choice, prompt: Prompt, seed: int, evaluations: int) -> Outcome:
    """One search, and what the judges say of it at every mark."""
    began = time.perf_counter()
    target = stage.target(prompt.text, "search")

    def score(genomes: Genomes, *, shared: bool) -> Float64:
        return cosines(stage.seen(choice.space, genomes, shared=shared), target)

    space = stage.spaces[choice.space]
    genomes, similarity = grown(choice, space, score, evaluations, seed)
    marks = range(MARK, evaluations + 1, MARK)
    best = best_until(similarity, marks)
    rows, places = np.unique(best, return_inverse=True)
    pictures = stage.draw(choice.space, genomes[rows])
    judged = cosines(stage.look(pictures, "judge"), stage.target(prompt.text, "judge"))
    shown = [stage.fulfilled(prompt, picture) for picture in pictures]
    return Outcome(
        choice=choice.title,
        thing=stage.thing,
        prompt=prompt.text,
        seed=seed,
        models=stage.models,
        marks=tuple(marks),
        search=stage.chance(prompt.text, "search").over(similarity[best]),
        judge=stage.chance(prompt.text, "judge").over(judged[places]),
        fulfilled=tuple(shown[place] for place in places),
        seconds=round(time.perf_counter() - began, 1),
        picture=png(pictures[places[-1]].numpy(), {}),
    )


def grown(
    choice: Choice,
    space: LatentSpace,
    score: Callable[..., Float64],
    evaluations: int,
    seed: int,
) -> tuple[Genomes, Float64]:
    """All genomes of a search, (n, size) float32, and their similarities, (n,)."""
    algorithm = make_algorithm(
        choice.name, space, population=choice.population, seed=seed, parameters=choice.parameters
    )
    fresh = choice.name == "random"
    first = algorithm.settings.fresh_batches if "best_of" in algorithm.settings.parameters else 1
    asked, told = [], []
    while algorithm.evaluations < evaluations:
        shared = fresh or algorithm.generation < first
        asked.append(algorithm.ask())
        told.append(score(asked[-1], shared=shared))
        algorithm.tell(1 - told[-1][:, None])
    return np.concatenate(asked), np.concatenate(told)


def best_until(similarity: Float64, marks: range) -> Rows:
    """(marks,) the row of the best among the first so many of (n,) similarities."""
    return np.array([int(similarity[:mark].argmax()) for mark in marks], np.intp)
