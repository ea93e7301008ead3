"""NSGA-II (Deb et al. 2002) for two or more objectives, through pymoo.

Survival by non-domination rank, then crowding distance. In a tournament that parent wins which
dominates the other, else the lonelier: pymoo's default, which ranks do not enter.
"""

from typing import Any

from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from orchestrator.search.algorithm import Settings
from orchestrator.search.genetic import GeneticSearch


class Nsga2(GeneticSearch):
    """NSGA-II with the operators of our GA."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("nsga2", settings, binary_tournament)

    def _make(self, **parts: Any) -> Any:
        return NSGA2(survival=RankAndCrowding(), **parts)
