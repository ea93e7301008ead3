"""Differential evolution (Storn and Price 1997) on whole arrays.

Own code rather than pymoo's: that one adds a hidden polynomial mutation, keeps a member alive whose
objective is NaN, and repairs out-of-bounds genes from an unseeded generator (0.6.2). The search
begins with the best of `best_of` fresh genomes. What Domagała's thesis ran is in `thesis_de.py`.
"""

import numpy as np
import numpy.typing as npt

from orchestrator.search.algorithm import Algorithm, Population, Settings
from orchestrator.search.pareto import best_first
from orchestrator.search.space import Genomes, layout, repair, sample

Rows = npt.NDArray[np.intp]
Genes = npt.NDArray[np.float64]


class DifferentialEvolution(Algorithm):
    """Each trial fights its own target and replaces it if it is no worse."""

    breeds = False  # every member does, whatever it scored

    def __init__(self, settings: Settings) -> None:
        super().__init__("de", settings)
        self._rng = np.random.default_rng(settings.seed)
        self._variant = settings.word("variant")
        self._dither = settings.word("dither") == "vector"

    def _propose(self) -> Genomes:
        space, rows = self.settings.space, self.settings.population
        if self.generation < self.settings.fresh_batches:
            return sample(space, rows, self._rng)
        targets = self.population.genomes.astype(np.float64)
        donors = self._donors(targets)
        crossed = self._rng.random(targets.shape) < self.settings.number("CR")
        crossed[np.arange(rows), self._rng.integers(0, space.size, rows)] = True
        return repair(space, np.where(crossed, self._bounced(donors, targets), targets))

    def _learn(self, told: Population) -> Population:
        kept = self.population
        if self.generation < self.settings.fresh_batches:
            objectives = np.concatenate([kept.objectives, told.objectives])
            best = np.sort(best_first(objectives)[: self.settings.population])
            genomes = np.concatenate([kept.genomes, told.genomes])
            return Population(genomes[best], objectives[best])
        wins = told.objectives <= kept.objectives
        return Population(
            np.where(wins, told.genomes, kept.genomes),
            np.where(wins, told.objectives, kept.objectives),
        )

    def _donors(self, targets: Genes) -> Genes:
        """(n, size) mutant vectors of the chosen variant."""
        scale = dithered(self.settings.number("F"), len(targets), self._rng, dither=self._dither)
        first, second, third = targets[_partners(len(targets), 3, self._rng)]
        best = targets[np.argmin(self.population.objectives[:, 0])]
        starts: dict[str, Genes] = {
            "rand/1": first,
            "best/1": best,
            "current-to-best/1": targets + scale * (best - targets),
        }
        donors: Genes = starts[self._variant] + scale * (second - third)
        return donors

    def _bounced(self, donors: Genes, targets: Genes) -> Genes:
        """A donor gene out of bounds goes half way between its target and the bound."""
        genes = layout(self.settings.space)
        donors = np.where(donors < genes.low, (targets + genes.low) / 2, donors)
        return np.where(donors > genes.high, (targets + genes.high) / 2, donors)


def dithered(scale: float, rows: int, rng: np.random.Generator, *, dither: bool) -> Genes:
    """(rows, 1) F of each row: `scale`, or with dither uniform from `scale` to 1."""
    if not dither:
        return np.full((rows, 1), scale)
    return scale + rng.random((rows, 1)) * (1 - scale)


def _partners(rows: int, count: int, rng: np.random.Generator) -> Rows:
    """(count, rows): for each row, `count` different other rows."""
    keys = rng.random((rows, rows))
    np.fill_diagonal(keys, np.inf)
    return np.argsort(keys, axis=1, kind="stable")[:, :count].T
