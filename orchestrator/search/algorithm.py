"""Ask and tell: the one interface of every search algorithm.

`ask` returns the next batch of genomes, `tell` takes their objective values: in turn, and never
twice in a row. Promises:

* every batch has exactly `population` rows, in every generation, and never ends early;
* all randomness comes from one generator made from the seed; nothing global is read or changed;
* the same settings, seed and objective values give the same batches, bit for bit (on one machine
  with one version of numpy). That is what resuming by replay rests on: nothing is ever pickled;
* a row whose objective values are not all finite ranks last, as +inf, and is counted in `failed`.
  A service that failed is retried by the evaluator before it comes to that.

It refuses a second `ask` before `tell` (pymoo gives other offspring and goes on), a `tell` without
an `ask`, and objective values of another shape. Where the idea comes from: pyribs' scheduler.
"""

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
    """

    space: LatentSpace
    population: int
    objectives: int
    seed: int
    parameters: Mapping[str, float | str]

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
    """

    genomes: Genomes
    objectives: Objectives

    def __len__(self) -> int:
        return len(self.genomes)


class Algorithm(ABC):
    """Base of all algorithms: keeps the order of calls and the counts.

    Attributes:
        name: what the catalogue calls it.
        settings: what it was made with.
        generation: generations told so far.
        evaluations: rows told so far, rescored ones included.
        failed: how many of them were not finite.
    """

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
            objectives: (population, m) float64, row for row what `ask` returned, minimised.

        Raises:
            BadRequestError: nothing was asked for, or another shape.
        """
        if self._asked is None:
            raise BadRequestError(f"{self.name} was told objectives without an ask; ask first")
        values = self._checked(objectives, len(self._asked))
        asked, self._asked = self._asked, None
        self._population = self._learn(Population(asked, values))
        self.generation += 1

    def rescore(self, objectives: Objectives) -> None:
        """Replace the objective values of the survivors, after a swap of the generator.

        Args:
            objectives: (survivors, m) float64, row for row `population.genomes`.

        Raises:
            BadRequestError: a batch is still out, nothing was told yet, or another shape.
        """
        if self._asked is not None or not len(self._population):
            raise BadRequestError(
                f"{self.name} can be rescored only after a tell and before the next ask"
            )
        values = self._checked(objectives, len(self._population))
        self._population = self._relearn(Population(self._population.genomes, values))

    @abstractmethod
    def _propose(self) -> Genomes:
        """A batch, (population, size) float32."""

    @abstractmethod
    def _learn(self, told: Population) -> Population:
        """Take in an evaluated batch and return the survivors."""

    def _relearn(self, rescored: Population) -> Population:
        """Take in new objective values of the survivors and return the survivors."""
        return rescored

    def _checked(self, objectives: Objectives, rows: int) -> Objectives:
        """A private copy, failed rows as +inf; counts evaluations and failures."""
        try:
            values = np.array(objectives, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise BadRequestError(f"objectives must be numbers, but {error}") from error
        wanted = (rows, self.settings.objectives)
        if values.shape != wanted:
            raise BadRequestError(
                f"expected objectives with shape {wanted} (rows, objectives), "
                f"but they have shape {values.shape}"
            )
        broken = ~np.isfinite(values).all(axis=1)
        values[broken] = np.inf
        self.failed += int(broken.sum())
        self.evaluations += rows
        return values


def finite(objectives: Objectives) -> Objectives:
    """The same values with `WORST` for +inf, so that they can be subtracted from one another."""
    return np.minimum(objectives, WORST)
