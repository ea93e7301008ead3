"""CMA-ES (Hansen 2016, arXiv 1604.00772) and sep-CMA-ES (Ros and Hansen 2008) through `cma`.

sep-CMA-ES has a diagonal covariance, linear in the genome's size, and is the one of the two for
latent spaces; the full covariance is cubic in it. The best of `best_of` fresh genomes becomes the
mean, and from then on every batch is a sample of the adapted normal distribution. The survivors are
the last batch: this search has no elite, the journal keeps what was best.

`cma` reads and changes global state in four places, each closed here: it draws from `np.random`
(own `randn`), seeds it (`seed` NaN), checks step-size samples at random (`check_consistency`), and
sets a warnings filter. Objective values are passed as ranks: CMA-ES uses nothing else, ties and
+inf are decided by us, and no tolerance can call a flat objective converged.
"""

import warnings
from typing import Any

import cma
import numpy as np
import numpy.typing as npt

from orchestrator.search.algorithm import Algorithm, Population, Settings
from orchestrator.search.space import Genomes, layout, repair, sample
from protocol.errors import ConfigError


class CmaEs(Algorithm):
    """One objective, real segments only; `sigma0` is in units of a fresh gene's spread.

    Raises:
        ConfigError: the space has a single gene, which `cma` breaks on at some generation or other.
    """

    breeds = False

    def __init__(self, settings: Settings, name: str = "cma-es", *, diagonal: bool = False) -> None:
        super().__init__(name, settings)
        if settings.space.size < 2:
            raise ConfigError(
                f"{name} searches two genes or more, but latent space '{settings.space.name}' has "
                "one; use ga"
            )
        self._diagonal = diagonal
        self._rng = np.random.default_rng(settings.seed)
        self._strategy: Any = None  # cma ships no types
        self._best: tuple[float, npt.NDArray[np.float32]] | None = None
        self._solutions: list[npt.NDArray[np.float64]] = []

    def _propose(self) -> Genomes:
        if self._strategy is None:
            return sample(self.settings.space, self.settings.population, self._rng)
        self._solutions = self._strategy.ask()
        return repair(self.settings.space, np.array(self._solutions))

    def _learn(self, told: Population) -> Population:
        order = np.argsort(told.objectives[:, 0], kind="stable")
        if self._strategy is None:
            value, genome = told.objectives[order[0], 0], told.genomes[order[0]]
            if self._best is None or value < self._best[0]:
                self._best = (value, genome)
            if self.generation + 1 >= self.settings.fresh_batches:
                self._strategy = self._start(self._best[1])
            return told
        ranks = np.empty(len(order))
        ranks[order] = np.arange(len(order))
        self._strategy.tell(self._solutions, ranks.tolist())
        return told

    def _relearn(self, rescored: Population) -> Population:
        if self._strategy is None:  # the values so far were another model's
            row = int(np.argmin(rescored.objectives[:, 0]))
            self._best = (rescored.objectives[row, 0], rescored.genomes[row])
        return rescored

    def _start(self, mean: npt.NDArray[np.float32]) -> Any:
        """A strategy around `mean`, (size,) float32, that shares nothing with the process."""
        genes = layout(self.settings.space)
        options = {
            "popsize": self.settings.population,
            "CMA_diagonal": self._diagonal,
            "CMA_mirrors": 0,
            "CMA_stds": genes.spread.astype(np.float64),
            "bounds": [genes.low.astype(np.float64), genes.high.astype(np.float64)],
            "randn": self._normal,
            "seed": np.nan,
            "signals_filename": "",
            "verb_disp": 0,
            "verb_log": 0,
            "verbose": -11,
        }
        with warnings.catch_warnings():
            strategy = cma.CMAEvolutionStrategy(
                mean.astype(np.float64), self.settings.number("sigma0"), options
            )
        # Two-point adaptation (the default from 300 genes on) picks genes to check by
        # np.random; the check only warns.
        strategy.adapt_sigma.check_consistency = lambda _: None
        return strategy

    def _normal(self, *shape: int) -> npt.NDArray[np.float64]:
        return self._rng.standard_normal(shape)


class SepCmaEs(CmaEs):
    """The same with a diagonal covariance."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "sep-cma-es", diagonal=True)
