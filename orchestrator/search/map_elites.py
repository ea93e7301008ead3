"""MAP-Elites (Mouret and Clune 2015, arXiv 1504.04909): mutated elites of an archive, for ever.

Parents are drawn from pyribs' archive, all elites equally likely; half of a child's genes come from
a second one, and then it is mutated by the operators of our GA, so genes of any kind will do.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.search.algorithm import Population, Settings
from orchestrator.search.archive import ArchiveSearch
from orchestrator.search.operators import Strength, mutate
from orchestrator.search.space import Genomes


class MapElites(ArchiveSearch):
    """Breeds from all elites alike."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("map-elites", settings)
        self._strength = Strength(
            rate=settings.number("mutation"),
            flip_rate=settings.number("flip"),
            sigma=settings.number("sigma"),
        )

    def _begin(self) -> None:
        pass

    def _bred(self) -> Genomes:
        rows = self.settings.population
        first, second = (self._archive.sample_elites(rows)["genome"] for _ in range(2))
        mated = self._rng.random((rows, 1)) < self.settings.number("crossover")
        mixed = (self._rng.random(first.shape) < 0.5) & mated
        children = np.where(mixed, second, first).astype(np.float32)
        return mutate(self.settings.space, children, self._strength, self._rng)

    def _told(self, told: Population, added: dict[str, npt.NDArray[Any]]) -> None:
        pass
