"""A search that moves only by steps: the same steps make the same search, bit for bit.

A living run makes each step, writes it to the journal, and then takes it; a resumed run takes the
steps that the journal holds. Both come through `take`, so nothing that a search knows can be lost
by stopping it. Repeating asks the algorithm for every batch and compares it with the recorded one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.runs.folder import REPLAY_DEPENDS_ON, versions
from orchestrator.search import (
    Algorithm,
    Genomes,
    Population,
    Refinement,
    knee,
    make_algorithm,
    most_real,
)
from protocol.errors import ConfigError, ModelFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.profiles import Pick
    from orchestrator.runs.journal import About, Conditions, Step


BANNED = 1e9
"""Objective of a genome that the user banned: behind every score, and still a number."""


GROWING = ("generation", "refinement")
REFINED = 8  # the best genomes, from each of which the gradient is followed


@dataclass(frozen=True)
class Plan:
    """What makes an algorithm, but for the latent space.

    Attributes:
        algorithm: its name.
        population: rows in a batch.
        objectives: values in a row.
        seed: of its randomness.
        parameters: what differs from its defaults.
        measures: values in a row besides its objectives, for those that fill an archive.
        pick: which picture of a front is the champion.
        weighted: whether its one objective is a weighted sum, and not similarity alone.
    """

    algorithm: str
    population: int
    objectives: int
    seed: int
    parameters: Mapping[str, str]
    measures: int = 0
    pick: Pick = "knee"
    weighted: bool = False


@dataclass(frozen=True)
class Score:
    """What one genome scored, and in which generation first, as long as it stayed."""

    similarity: float
    realism: float | None
    generation: int
    scored: float | None = None


class History:
    """One search, from its first step to now.

    Attributes:
        plan: what the algorithm is made from.
        generation: the newest that is complete.
        conditions: under what the survivors were scored; None before the first step.
        best: highest similarity among the survivors of each generation; NaN where none has one.
        mean: their mean similarity.
        second: their mean realism; empty without a discriminator.
        judged: the mean of a scorer's numbers for them; empty without one.
        first_diversity: of the first batch.
        banned: bytes of survivors that the user will not have bred from.
        changes: generations after which survivors were scored anew, or the search began afresh.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.generation = 0
        self.conditions: Conditions | None = None
        self.best: list[float] = []
        self.mean: list[float] = []
        self.second: list[float] = []
        self.judged: list[float] = []
        self.first_diversity: float | None = None
        self.banned: frozenset[bytes] = frozenset()
        self.changes: list[int] = []
        self._algorithm: Algorithm | None = None
        self._scores: dict[bytes, Score] = {}
        self._champion: Genomes | None = None
        self._worth = -np.inf

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm as it is now.

        Raises:
            RuntimeError: before `begin`.
        """
        if self._algorithm is None:
            raise RuntimeError("this search has not begun")
        return self._algorithm

    def begin(self, conditions: Conditions) -> None:
        """Start afresh in a latent space; the curves go on."""
        plan = self.plan
        self.conditions = conditions
        self._algorithm = make_algorithm(
            plan.algorithm,
            conditions.space,
            population=plan.population,
            objectives=plan.objectives,
            seed=plan.seed,
            parameters=plan.parameters,
            measures=plan.measures,
        )
        self._scores, self._champion, self.banned = {}, None, frozenset()

    @property
    def refining(self) -> bool:
        """Whether evolution is over and the gradient is followed."""
        return isinstance(self._algorithm, Refinement)

    def refine(self) -> None:
        """Follow the gradient from now on, from the best of all and the best survivors.

        Not from those that were banned, or have no similarity.

        Raises:
            ModelFailedError: none is left.
        """
        if self.refining:
            return
        conditions = self.conditions
        if conditions is None:
            raise RuntimeError("nothing was scored yet")
        known = {genome.tobytes(): genome for genome in (self.champion, *self.survivors)}
        able = [
            genome
            for key, genome in known.items()
            if key not in self.banned and np.isfinite(self._scores[key].similarity)
        ]
        ranked = sorted(able, key=lambda genome: -self.score(genome).similarity)
        if not ranked:
            raise ModelFailedError("no survivor has a similarity to follow the gradient of")
        start = np.stack(ranked[:REFINED])
        similarity = np.array([[self.score(genome).similarity] for genome in start])
        self._algorithm = Refinement(conditions.space, Population(start, 1.0 - similarity))

    def take(self, step: Step) -> None:
        """Let one step happen."""
        if self._algorithm is None or step.kind == "reseed":
            self.begin(step.conditions)
        if step.kind in {"reseed", "rescore"} and self.generation:
            self.changes.append(self.generation)
        if step.kind == "reseed":
            return
        keys = [genome.tobytes() for genome in step.genomes]
        scores = dict(zip(keys, _scores(step), strict=True))
        self.conditions = step.conditions
        if step.kind in GROWING:
            self.algorithm.tell(step.objectives)
            self.generation = step.generation
            self._scores |= {key: self._since(key, score) for key, score in scores.items()}
        elif step.kind == "choice":
            self.algorithm.rescore(step.objectives)
            self._mark_banned(step)
        else:
            self.algorithm.rescore(step.objectives)
            self._scores, self._champion, self.banned = scores, None, frozenset()
        self._choose(step)
        kept = [genome.tobytes() for genome in (*self.survivors, self.champion)]
        self._scores = {key: self._scores[key] for key in kept}
        if step.kind in GROWING:
            self._draw_curves()
        if self.first_diversity is None:
            self.first_diversity = step.diversity

    def repeat(self, steps: Iterable[Step]) -> None:
        """Let recorded steps happen again.

        Raises:
            ConfigError: the algorithm asks for other genomes than those recorded.
        """
        for step in steps:
            if self._algorithm is None:
                self.begin(step.conditions)
            if step.kind == "refinement":
                self.refine()
            if step.kind in GROWING:
                self._compare(step, self.algorithm.ask())
            elif step.kind in {"rescore", "choice"}:
                self._compare(step, self.survivors)
            self.take(step)

    @property
    def scored(self) -> bool:
        """Whether there are survivors, under the conditions of now."""
        return self._champion is not None

    @property
    def survivors(self) -> Genomes:
        """(n, size) float32: what the next batch is bred from."""
        return self.algorithm.population.genomes

    @property
    def champion(self) -> Genomes:
        """(size,) float32: the best so far under these conditions; of a front, its knee."""
        if self._champion is None:
            raise RuntimeError("nothing was scored yet")
        return self._champion

    def score(self, genome: Genomes) -> Score:
        """What a survivor or the champion scored."""
        return self._scores[genome.tobytes()]

    def _choose(self, step: Step) -> None:
        """The champion after this step; an older one wins a tie."""
        if self.plan.objectives > 1:
            population = self.algorithm.population
            pick = most_real if self.plan.pick == "pseudo-weights" else knee
            row = pick(population.objectives) if population.any_scored else self._most_similar()
            self._champion = population.genomes[row]
            return
        allowed = step.objectives[:, 0] < BANNED
        worth = -step.objectives[:, 0] if self.plan.weighted else step.similarity
        worth = np.where(allowed & np.isfinite(worth), worth, -np.inf)
        row = int(np.argmax(worth))
        if self._champion is None or worth[row] > self._worth:
            self._champion, self._worth = step.genomes[row].copy(), float(worth[row])

    def _since(self, key: bytes, score: Score) -> Score:
        """A genome's score, with the generation in which it was first asked for."""
        known = self._scores.get(key)
        return score if known is None else replace(score, generation=known.generation)

    def _most_similar(self) -> int:
        """The survivor's row to show where none has a number in every objective."""
        similarity = [self.score(genome).similarity for genome in self.survivors]
        return int(np.argmax(np.nan_to_num(similarity, nan=-np.inf)))

    def _mark_banned(self, step: Step) -> None:
        """Whom this choice bans; a banned champion is none any more."""
        rows = step.objectives[:, 0] >= BANNED
        self.banned = frozenset(genome.tobytes() for genome in step.genomes[rows])
        if self._champion is not None and self._champion.tobytes() in self.banned:
            self._champion = None

    def _draw_curves(self) -> None:
        scores = [self.score(genome) for genome in self.survivors]
        similarity = _finite(score.similarity for score in scores) or [math.nan]
        self.best.append(max(similarity))
        self.mean.append(float(np.mean(similarity)))
        if any(score.realism is not None for score in scores):
            realism = _finite(score.realism for score in scores) or [math.nan]
            self.second.append(float(np.mean(realism)))
        if numbers := _finite(score.scored for score in scores):
            self.judged.append(float(np.mean(numbers)))

    def _compare(self, step: Step, genomes: Genomes) -> None:
        if genomes.shape != step.genomes.shape or genomes.tobytes() != step.genomes.tobytes():
            raise ConfigError(
                f"generation {step.generation} does not repeat: this machine asks for other "
                "genomes than the journal holds; resume it on the machine that grew it, or fork "
                f"it before that: --at {max(1, step.generation - 1)}"
            )


def check_versions(about: About) -> None:
    """Refuse a journal that other versions of the libraries wrote.

    Raises:
        ConfigError: a replay could give other genomes.
    """
    here = versions()
    differing = {
        name: about.versions.get(name, "unknown")
        for name in REPLAY_DEPENDS_ON
        if about.versions.get(name) != here[name]
    }
    if differing:
        grown = ", ".join(f"{name} {version}" for name, version in differing.items())
        now = ", ".join(f"{name} {here[name]}" for name in differing)
        wanted = " ".join(f"{name}=={version}" for name, version in differing.items())
        raise ConfigError(
            f"this run was grown with {grown}, but here is {now}, and only the same versions "
            f"repeat it exactly; install them (pip install {wanted}), or try orchestrator fork"
        )


def _finite(numbers: Iterable[float | None]) -> list[float]:
    """Those that are there and finite, of what survivors scored."""
    return [number for number in numbers if number is not None and math.isfinite(number)]


def _scores(step: Step) -> list[Score]:
    none = [None] * len(step.genomes)
    realism = none if step.realism is None else step.realism.tolist()
    scored = none if step.scored is None else step.scored.tolist()
    return [
        Score(similarity, real, step.generation, number)
        for similarity, real, number in zip(step.similarity.tolist(), realism, scored, strict=True)
    ]
