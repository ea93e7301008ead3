"""How genomes vary: mutation by kind of segment, on whole arrays. Pure functions of a generator.

Crossover needs no code of its own: it is uniform for every kind, each gene from one parent or the
other (pymoo's `UX`), because mixing numbers of token ids or bits makes values that neither parent
had. Mutation is small and local where closeness means something, a fresh draw where it does not:

* real: add N(0, sigma x spread);
* integer: a step of at least 1, as long as such a normal draw, turned back at a bound;
* categorical: any other category, all equally likely;
* binary: the other bit.

Why small steps: polynomial mutation of half the genes, as CLIP-GLaSS had it, is nearly re-sampling;
N(0, 0.3) on a tenth of them gained 1.4 standard deviations at 3,200 evaluations of a surrogate.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.search.space import Flags, Genomes, repair, spread, whole_bounds
from protocol.latent import LatentSpace, Segment

Genes = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Strength:
    """How much a mutation changes.

    Attributes:
        rate: share of real, integer and categorical genes that change, 0..1.
        flip_rate: share of bits that change, 0..1.
        sigma: length of a step, in units of a fresh gene's spread.
    """

    rate: float
    flip_rate: float
    sigma: float


def mutate(
    space: LatentSpace, genomes: Genomes, strength: Strength, rng: np.random.Generator
) -> Genomes:
    """Mutated copies of (n, size) float32; at least one gene of each row is chosen."""
    mutated = genomes.astype(np.float64)
    chosen = _chosen(space, len(genomes), strength, rng)
    for segment, columns in space.slices():
        moved = _moved(segment, mutated[:, columns], strength.sigma, rng)
        mutated[:, columns] = np.where(chosen[:, columns], moved, mutated[:, columns])
    return repair(space, mutated)


def _chosen(space: LatentSpace, n: int, strength: Strength, rng: np.random.Generator) -> Flags:
    """(n, size) bool: the genes that change, one at random in a row that would have none."""
    rates = np.concatenate(
        [
            np.full(segment.size, strength.flip_rate if segment.kind == "binary" else strength.rate)
            for segment in space.segments
        ]
    )
    chosen = rng.random((n, space.size)) < rates
    fallback = rng.integers(0, space.size, n)
    none = ~chosen.any(axis=1)
    chosen[none, fallback[none]] = True
    return chosen


def _moved(segment: Segment, genes: Genes, sigma: float, rng: np.random.Generator) -> Genes:
    """(n, segment.size) float64: every gene of one segment, moved as its kind demands."""
    if segment.kind == "binary":
        return 1 - genes
    if segment.kind == "categorical":
        low, high = whole_bounds(segment)
        count = high - low + 1
        shift = rng.integers(1, count, genes.shape)
        others: Genes = low + np.mod(genes - low + shift, count)
        return others
    steps = rng.normal(0.0, sigma * spread(segment), genes.shape)
    if segment.kind == "real":
        return genes + steps
    low, high = whole_bounds(segment)
    steps = np.copysign(1 + np.floor(np.abs(steps)), steps)
    moved: Genes = genes + steps
    return np.where((moved < low) | (moved > high), genes - steps, moved)
