"""The genetic algorithms of CLIP-GLaSS as published (arXiv 2102.01645), for its tables.

GA and NSGA-II with pymoo 0.4's operators: simulated binary crossover and polynomial mutation
(Deb and Agrawal 1995) of real and whole numbers, half-uniform crossover and flips of bits, the same
for a token's number as for a length. Semantics that pymoo 0.6 changed are kept:

* polynomial mutation takes its probability for each gene, so half of all genes move;
* in spaces with bits the operators' own crossover probabilities were ignored: 0.9 of the matings;
* whole numbers are real ones, rounded, in bounds half a step wider.

`docs/profiles.md` says what these do to a search. The formulas are pymoo's own (0.6.2): between the
versions only the meaning of the probabilities changed.
"""

from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.algorithms.soo.nonconvex.ga import GA, FitnessSurvival, comp_by_cv_and_fitness
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.operators.crossover.sbx import cross_sbx
from pymoo.operators.mutation.pm import mut_pm
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from orchestrator.search.algorithm import Settings
from orchestrator.search.genetic import GeneticSearch
from orchestrator.search.space import Flags, Genomes, layout, repair
from protocol.latent import LatentSpace

GENE_CROSSOVER = 0.5  # share of genes that one crossover touches
MIXED_PROBABILITY = 0.9  # of a mating, where a space has bits


class Numbers:
    """The genes of a latent space that are numbers, with pymoo 0.4's bounds.

    Attributes:
        chosen: (size,) bool; the rest are bits.
        low: (numbers,) float64.
        high: (numbers,) float64.
    """

    def __init__(self, space: LatentSpace) -> None:
        genes = layout(space)
        self.chosen: Flags = np.concatenate(
            [np.full(segment.size, segment.kind != "binary") for segment in space.segments]
        )
        wider = np.where(genes.whole, 0.5 - 1e-9, 0.0)[self.chosen]
        self.low = genes.low[self.chosen].astype(np.float64) - wider
        self.high = genes.high[self.chosen].astype(np.float64) + wider


class GlassCrossover(Crossover):  # type: ignore[misc] # pymoo ships no types
    """SBX of numbers, HUX of bits."""

    def __init__(self, space: LatentSpace, eta: float) -> None:
        self._space, self._numbers, self._eta = space, Numbers(space), eta
        super().__init__(2, 2, prob=1.0 if self._numbers.chosen.all() else MIXED_PROBABILITY)

    def _do(
        self, _: Any, parents: Genomes, *, random_state: np.random.Generator, **__: Any
    ) -> Genomes:
        matings, chosen = parents.shape[1], self._numbers.chosen
        children = parents.astype(np.float64)
        children[:, :, chosen] = cross_sbx(
            children[:, :, chosen],
            self._numbers.low,
            self._numbers.high,
            np.full((matings, 1), self._eta),
            GENE_CROSSOVER,
            np.full((matings, 1), 0.5),
            random_state=random_state,
        )
        swapped = np.zeros(parents.shape[1:], np.bool_)
        swapped[:, ~chosen] = half_of_different(parents[:, :, ~chosen], random_state)
        children = np.where(swapped, children[::-1], children)
        return np.stack([repair(self._space, one) for one in children])


class GlassMutation(Mutation):  # type: ignore[misc] # pymoo ships no types
    """Polynomial mutation of numbers, gene by gene; flips of bits."""

    def __init__(self, space: LatentSpace, eta: float, rate: float, flip_rate: float) -> None:
        super().__init__(prob=1.0)
        self._space, self._numbers, self._eta = space, Numbers(space), eta
        self._rate, self._flip_rate = rate, flip_rate

    def _do(
        self, _: Any, genomes: Genomes, *, random_state: np.random.Generator, **__: Any
    ) -> Genomes:
        rows, chosen = len(genomes), self._numbers.chosen
        mutated = genomes.astype(np.float64)
        mutated[:, chosen] = mut_pm(
            mutated[:, chosen],
            self._numbers.low,
            self._numbers.high,
            np.full(rows, self._eta),
            np.full(rows, self._rate),
            at_least_once=False,
            random_state=random_state,
        )
        bits = mutated[:, ~chosen]
        flipped = random_state.random(bits.shape) < self._flip_rate
        mutated[:, ~chosen] = np.where(flipped, 1 - bits, bits)
        return repair(self._space, mutated)


def half_of_different(parents: Genomes, rng: np.random.Generator) -> Flags:
    """(matings, genes) bool: half, rounded up, of the genes in which (2, matings, genes) differ."""
    different = parents[0] != parents[1]
    keys = np.where(different, rng.random(different.shape), np.inf)
    order = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1, kind="stable")
    wanted = (different.sum(axis=1, keepdims=True) + 1) // 2
    half: Flags = order < wanted
    return half


class _GlassSearch(GeneticSearch):
    """What both share."""

    def _fresh_batches(self) -> int:
        return 1

    def _operators(self) -> tuple[Any, Any]:
        settings, eta = self.settings, self.settings.number("eta")
        mutation = GlassMutation(
            settings.space, eta, settings.number("mutation"), settings.number("flip")
        )
        return GlassCrossover(settings.space, eta), mutation


class GlassGa(_GlassSearch):
    """CLIP-GLaSS's genetic algorithm, one objective."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("glass-ga", settings, comp_by_cv_and_fitness)

    def _make(self, **parts: Any) -> Any:
        return GA(survival=FitnessSurvival(), **parts)


class GlassNsga2(_GlassSearch):
    """CLIP-GLaSS's NSGA-II, for similarity and realism."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("glass-nsga2", settings, binary_tournament)

    def _make(self, **parts: Any) -> Any:
        return NSGA2(survival=RankAndCrowding(), **parts)
