"""NSGA-III (Deb and Jain 2014) for two or more objectives, through pymoo.

Survival by non-domination rank, then by the reference direction that a row is nearest to: an even
spread over the front also where there are many objectives. The directions are those of Das and
Dennis (1998), as many as the population has rows or fewer. Objectives are normalised by the best
and the extreme values seen so far, which are forgotten when the survivors are rescored: those were
another model's.

pymoo (0.6.2) silences all warnings of the process when it looks for the nadir point, which is
closed here.
"""

import math
import warnings
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga3 import NSGA3, ReferenceDirectionSurvival, comp_by_cv_then_random
from pymoo.util.reference_direction import UniformReferenceDirectionFactory

from orchestrator.search.algorithm import Objectives, Population, Settings
from orchestrator.search.genetic import GeneticSearch


class Nsga3(GeneticSearch):
    """NSGA-III with the operators of our GA."""

    def __init__(self, settings: Settings) -> None:
        self._directions = directions(settings.objectives, settings.population)
        super().__init__("nsga3", settings, comp_by_cv_then_random)

    def _make(self, **parts: Any) -> Any:
        survival = ReferenceDirectionSurvival(self._directions)
        return NSGA3(self._directions, survival=survival, **parts)

    def _learn(self, told: Population) -> Population:
        with warnings.catch_warnings():
            return super()._learn(told)

    def _relearn(self, rescored: Population) -> Population:
        self._engine.survival = ReferenceDirectionSurvival(self._directions)
        with warnings.catch_warnings():
            return super()._relearn(rescored)


def directions(objectives: int, most: int) -> Objectives:
    """(n, objectives) float64, each row sums to 1: the finest even grid of at most `most` rows."""
    partitions = 1
    while math.comb(partitions + objectives, objectives - 1) <= most:
        partitions += 1
    factory = UniformReferenceDirectionFactory(objectives, n_partitions=partitions)
    return np.asarray(factory.do(), np.float64)
