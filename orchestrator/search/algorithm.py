"""Ask and tell: the one interface of every search algorithm.

`ask` returns the next batch of genomes, `tell` takes their objective values: in turn, and never
twice in a row. Promises:

* every batch has exactly `population` rows, in every generation, and never ends early;
* all randomness comes from one generator made from the seed; nothing global is read or changed;
* the same settings, seed and objective values give the same batches, bit for bit (on one machine
  with one version of numpy). That is what resuming by replay rests on: nothing is ever pickled;
* a row whose values are not all finite ranks last, as +inf, and is counted in `failed`.
  A service that failed is retried by the evaluator before it comes to that.

It refuses a second `ask` before `tell` (pymoo gives other offspring and goes on), a `tell` without
an `ask`, and objective values of another shape. Where the idea comes from: pyribs' scheduler.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.search.space import Genomes
from protocol.errors import BadRequestError
from protocol.latent import LatentSpace

Objectives = npt.NDArray[np.float64]

WORST = 1e300  # stands for +inf inside algorithms that subtract objective values


@dataclass(frozen=True)
class Settings:
    """One algorithm's settings, checked and complete (`make_algorithm` does that).

    Attributes:
        space: the latent space that is searched.
        population: rows in a batch.
        objectives: objective values in a row, all minimised.
        seed: of the algorithm's only random generator.
        parameters: every parameter of the algorithm, with its value.
        measures: what else a row is told: where it lies, for those that fill an archive.
    """

    space: LatentSpace
    population: int
    objectives: int
    seed: int
    parameters: Mapping[str, float | str]
    measures: int = 0

    @property
    def columns(self) -> int:
        """Values in a row that is told: objectives, then measures."""
        return self.objectives + self.measures

    @property
    def fresh_batches(self) -> int:
        """Random batches with which the search begins, at least 1: best-of-N start."""
        return max(1, math.ceil(self.number("best_of") / self.population))

    def number(self, name: str) -> float:
        """The value of a parameter that is a number."""
        return float(self.parameters[name])

    def word(self, name: str) -> str:
        """The value of a parameter that is a word."""
        return str(self.parameters[name])


@dataclass(frozen=True, eq=False)
class Population:
    """Genomes and what they scored.

    Attributes:
        genomes: (n, size) float32.
        objectives: (n, m) float64, +inf in every column of a row that failed.
        measures: (n, k) float64, for algorithms that are told any; of a row that failed, zeros.
    """

    genomes: Genomes
    objectives: Objectives
    measures: Objectives | None = None

    def __len__(self) -> int:
        return len(self.genomes)

    @property
    def any_scored(self) -> bool:
        """Whether at least one row did not fail."""
        return bool(np.isfinite(self.objectives).all(axis=1).any())


@dataclass(frozen=True, eq=False)
class HeatMap:
    """An archive of elites as a picture of numbers.

    Attributes:
        best: the best objective of each cell, one axis a measure; NaN where nothing lies.
        edges: for each measure its cells' bounds, (cells + 1,) float64, ascending.
    """

    best: npt.NDArray[np.float64]
    edges: tuple[npt.NDArray[np.float64], ...]


class Algorithm(ABC):
    """Base of all algorithms: keeps the order of calls and the counts.

    Attributes:
        name: what the catalogue calls it.
        settings: what it was made with.
        generation: generations told so far.
        evaluations: rows told so far, rescored ones included.
        failed: how many of them were not finite.
        breeds: whether single survivors become parents, so that it matters which are liked.
    """

    breeds = True

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.generation = 0
        self.evaluations = 0
        self.failed = 0
        self._asked: Genomes | None = None
        self._population = Population(
            np.empty((0, settings.space.size), np.float32),
            np.empty((0, settings.objectives), np.float64),
        )

    @property
    def population(self) -> Population:
        """The current survivors: what the next batch is bred from; empty before the first tell."""
        return self._population

    @property
    def heat_map(self) -> HeatMap | None:
        """The archive, for algorithms that fill one; None before its grid is laid."""
        return None

    def ask(self) -> Genomes:
        """The next batch to evaluate, (population, size) float32; the caller's own copy.

        Raises:
            BadRequestError: the last batch was not told yet.
        """
        if self._asked is not None:
            raise BadRequestError(
                f"{self.name} was asked twice; tell the objectives of the last batch first, "
                "or evaluate that batch again"
            )
        self._asked = self._propose()
        return self._asked.copy()

    def tell(self, objectives: Objectives) -> None:
        """Learn from the batch that was asked for.

        Args:
            objectives: (population, m + k) float64, row for row what `ask` returned: m objective
                values, minimised, then k measures.

        Raises:
            BadRequestError: nothing was asked for, or another shape.
        """
        if self._asked is None:
            raise BadRequestError(f"{self.name} was told objectives without an ask; ask first")
        told = self._checked(self._asked, objectives)
        self._asked = None
        self._population = self._learn(told)
        self.generation += 1

    def rescore(self, objectives: Objectives) -> None:
        """Replace the objective values of the survivors, after a swap of the generator.

        Args:
            objectives: (survivors, m + k) float64, row for row `population.genomes`.

        Raises:
            BadRequestError: a batch is still out, nothing was told yet, or another shape.
        """
        if self._asked is not None or not len(self._population):
            raise BadRequestError(
                f"{self.name} can be rescored only after a tell and before the next ask"
            )
        self._population = self._relearn(self._checked(self._population.genomes, objectives))

    @abstractmethod
    def _propose(self) -> Genomes:
        """A batch, (population, size) float32."""

    @abstractmethod
    def _learn(self, told: Population) -> Population:
        """Take in an evaluated batch and return the survivors."""

    def _relearn(self, rescored: Population) -> Population:
        """Take in new objective values of the survivors and return the survivors."""
        return rescored

    def _checked(self, genomes: Genomes, objectives: Objectives) -> Population:
        """A private copy, failed rows as +inf; counts evaluations and failures."""
        try:
            values = np.array(objectives, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise BadRequestError(f"objectives must be numbers, but {error}") from error
        wanted = (len(genomes), self.settings.columns)
        if values.shape != wanted:
            what = "rows, objectives and measures" if self.settings.measures else "rows, objectives"
            raise BadRequestError(
                f"expected objectives with shape {wanted} ({what}), "
                f"but they have shape {values.shape}"
            )
        broken = ~np.isfinite(values).all(axis=1)
        count = self.settings.objectives
        values[broken, :count], values[broken, count:] = np.inf, 0
        self.failed += int(broken.sum())
        self.evaluations += len(genomes)
        measures = values[:, count:] if self.settings.measures else None
        return Population(genomes, values[:, :count], measures)


def finite(objectives: Objectives) -> Objectives:
    """The same values with `WORST` for +inf, so that they can be subtracted from one another."""
    return np.minimum(objectives, WORST)
