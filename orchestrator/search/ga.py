"""Genetic algorithm (Holland 1975) for one objective, through pymoo.

Binary tournaments, uniform crossover, small mutations, and the best of parents and offspring
survive. The whole population is the product: many near-ties, from which a person picks.
"""

from typing import Any

from pymoo.algorithms.soo.nonconvex.ga import GA, FitnessSurvival, comp_by_cv_and_fitness

from orchestrator.search.algorithm import Settings
from orchestrator.search.genetic import GeneticSearch


class GeneticAlgorithm(GeneticSearch):
    """Elitist GA with as many offspring as parents."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("ga", settings, comp_by_cv_and_fitness)

    def _make(self, **parts: Any) -> Any:
        return GA(survival=FitnessSurvival(), **parts)
