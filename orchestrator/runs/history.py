"""A search that moves only by steps: the same steps make the same search, bit for bit.

A living run makes each step, writes it to the journal, and then takes it; a resumed run takes the
steps that the journal holds. Both come through `take`, so nothing that a search knows can be lost
by stopping it. Repeating asks the algorithm for every batch and compares it with the recorded one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.runs.folder import REPLAY_DEPENDS_ON, versions
from orchestrator.search import Algorithm, Genomes, knee_and_extremes, make_algorithm
from protocol.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.runs.journal import About, Conditions, Step


@dataclass(frozen=True)
class Plan:
    """What makes an algorithm, but for the latent space.

    Attributes:
        algorithm: its name.
        population: rows in a batch.
        objectives: values in a row.
        seed: of its randomness.
        parameters: what differs from its defaults.
    """

    algorithm: str
    population: int
    objectives: int
    seed: int
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Score:
    """What one genome scored, and when."""

    similarity: float
    realism: float | None
    generation: int


class History:
    """One search, from its first step to now.

    Attributes:
        plan: what the algorithm is made from.
        generation: the newest that is complete.
        conditions: under what the survivors were scored; None before the first step.
        best: highest similarity among the survivors of each generation.
        mean: their mean similarity.
        second: their mean realism; empty without a discriminator.
        first_diversity: of the first batch.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.generation = 0
        self.conditions: Conditions | None = None
        self.best: list[float] = []
        self.mean: list[float] = []
        self.second: list[float] = []
        self.first_diversity: float | None = None
        self._algorithm: Algorithm | None = None
        self._scores: dict[bytes, Score] = {}
        self._champion: Genomes | None = None

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
        )
        self._scores, self._champion = {}, None

    def take(self, step: Step) -> None:
        """Let one step happen."""
        if self._algorithm is None or step.kind == "reseed":
            self.begin(step.conditions)
        if step.kind == "reseed":
            return
        keys = [genome.tobytes() for genome in step.genomes]
        scores = dict(zip(keys, _scores(step), strict=True))
        self.conditions = step.conditions
        if step.kind == "generation":
            self.algorithm.tell(step.objectives)
            self.generation = step.generation
            self._scores |= scores
        else:
            self.algorithm.rescore(step.objectives)
            self._scores, self._champion = scores, None
        self._choose(step)
        kept = [genome.tobytes() for genome in (*self.survivors, self.champion)]
        self._scores = {key: self._scores[key] for key in kept}
        if step.kind == "generation":
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
            if step.kind == "generation":
                self._compare(step, self.algorithm.ask())
            elif step.kind == "rescore":
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
            self._champion = population.genomes[knee_and_extremes(population.objectives).knee]
            return
        row = int(np.argmax(np.nan_to_num(step.similarity, nan=-np.inf)))
        best = step.similarity[row]
        if self._champion is None or best > self.score(self._champion).similarity:
            self._champion = step.genomes[row].copy()

    def _draw_curves(self) -> None:
        scores = [self.score(genome) for genome in self.survivors]
        similarity = [score.similarity for score in scores]
        realism = [score.realism for score in scores if score.realism is not None]
        self.best.append(max(similarity))
        self.mean.append(float(np.mean(similarity)))
        if realism:
            self.second.append(float(np.mean(realism)))

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


def _scores(step: Step) -> list[Score]:
    realism = [None] * len(step.genomes) if step.realism is None else step.realism.tolist()
    return [
        Score(similarity, real, step.generation)
        for similarity, real in zip(step.similarity.tolist(), realism, strict=True)
    ]
