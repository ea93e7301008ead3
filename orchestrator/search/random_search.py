"""Random search: fresh genomes for ever, the best `population` of them kept.

The baseline that every other algorithm has to beat at equal evaluations. With several objectives it
keeps the best by non-domination rank and crowding, as NSGA-II does (Deb et al. 2002).
"""

import numpy as np

from orchestrator.search.algorithm import Algorithm, Population, Settings
from orchestrator.search.pareto import best_first
from orchestrator.search.space import Genomes, sample


class RandomSearch(Algorithm):
    """Draws each batch the way the latent space says; learns nothing."""

    breeds = False

    def __init__(self, settings: Settings) -> None:
        super().__init__("random", settings)
        self._rng = np.random.default_rng(settings.seed)

    def _propose(self) -> Genomes:
        return sample(self.settings.space, self.settings.population, self._rng)

    def _learn(self, told: Population) -> Population:
        kept = self.population
        objectives = np.concatenate([kept.objectives, told.objectives])
        best = best_first(objectives)[: self.settings.population]
        return Population(np.concatenate([kept.genomes, told.genomes])[best], objectives[best])
