"""CMA-ME (Fontaine et al. 2020, arXiv 1912.02400) through pyribs: sep-CMA-ES that fills an archive.

One improvement emitter: genomes that open a new cell come first, then those that improve theirs by
most. Where a whole batch improves nothing it starts again from some elite. The evolution strategy
is diagonal, as a latent space is too large for a full covariance.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from ribs.emitters import EvolutionStrategyEmitter

from orchestrator.search.algorithm import WORST, Population, Settings
from orchestrator.search.archive import ArchiveSearch
from orchestrator.search.space import Genomes, repair


class CmaMe(ArchiveSearch):
    """Real segments only; `sigma0` is in units of a fresh gene's spread."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("cma-me", settings)
        self._emitter: Any = None

    def _begin(self) -> None:
        self._emitter = EvolutionStrategyEmitter(
            self._archive,
            x0=self._archive.best_elite["solution"],
            sigma0=self.settings.number("sigma0"),
            ranker="2imp",
            es="sep_cma_es",
            batch_size=self.settings.population,
            seed=int(self._rng.integers(2**31)),
        )

    def _bred(self) -> Genomes:
        return repair(self.settings.space, self._emitter.ask() * self._spread)

    def _told(self, told: Population, added: dict[str, npt.NDArray[Any]]) -> None:
        objective = np.maximum(-told.objectives[:, 0], -WORST)
        self._emitter.tell(told.genomes / self._spread, objective, told.measures, added)
