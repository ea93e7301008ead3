"""Differential evolution as Domagała's thesis ran it: pymoo 0.4's DE/rand/1/bin, for its figures.

It begins with a Latin hypercube over the bounds (of 100 the one with the greatest least distance),
not with the latent space's own draws: in StyleGAN2's box of -10 to 10 that is 5.8 times too far
out. And it keeps what pymoo 0.4.2 did, wanted or not:

* F is drawn for each trial from `F` to 1 (dither "vector");
* partners come from plain permutations, so a target may be its own partner, and where a triple lies
  across two of them, one member may be two partners;
* both steps are skipped in a tenth of the trials each, as every crossover was by default: the donor
  is then a partner itself, or the trial is its target again;
* a donor out of bounds is drawn back as a whole towards its base vector, past the bound, by an
  inverse-penalty law (Padhye, Deb and Mittal 2013);
* no gene is sure to change, and a trial must be better, not as good.
"""

import numpy as np

from orchestrator.search.algorithm import Algorithm, Population, Settings
from orchestrator.search.de import Genes, dithered
from orchestrator.search.space import Genomes, layout, repair

HYPERCUBES = 100
STEP_PROBABILITY = 0.9
TINY = 1e-32


class ThesisDE(Algorithm):
    """Each trial fights its own target and replaces it if it is better."""

    breeds = False  # every member does, whatever it scored

    def __init__(self, settings: Settings) -> None:
        super().__init__("thesis-de", settings)
        self._rng = np.random.default_rng(settings.seed)
        genes = layout(settings.space)
        self._low, self._high = genes.low.astype(np.float64), genes.high.astype(np.float64)

    def _propose(self) -> Genomes:
        space, rows = self.settings.space, self.settings.population
        if not self.generation:
            cube = latin_hypercube(rows, space.size, self._rng)
            return repair(space, self._low + cube * (self._high - self._low))
        targets = self.population.genomes.astype(np.float64)
        donors = self._donors(targets)
        crossed = self._rng.random(targets.shape) < self.settings.number("CR")
        crossed &= self._rng.random((rows, 1)) < STEP_PROBABILITY
        return repair(space, np.where(crossed, donors, targets))

    def _learn(self, told: Population) -> Population:
        if not self.generation:
            return told
        kept = self.population
        wins = told.objectives < kept.objectives
        return Population(
            np.where(wins, told.genomes, kept.genomes),
            np.where(wins, told.objectives, kept.objectives),
        )

    def _donors(self, targets: Genes) -> Genes:
        """(n, size) mutant vectors, in bounds."""
        rows, rng = len(targets), self._rng
        shuffled = np.concatenate([rng.permutation(rows) for _ in range(3)]).reshape(rows, 3)
        first, second, third = targets[shuffled.T]
        scale = dithered(self.settings.number("F"), rows, rng, dither=True)
        donors = drawn_back(first + scale * (second - third), first, self._low, self._high, rng)
        return np.where(rng.random((rows, 1)) < STEP_PROBABILITY, donors, first)


def latin_hypercube(rows: int, size: int, rng: np.random.Generator) -> Genes:
    """(rows, size) in 0..1, one row in each of `rows` strips of every gene."""
    best, widest = np.empty((rows, size)), -np.inf
    for _ in range(HYPERCUBES):
        strips = rng.random((rows, size)).argsort(axis=0) + 1
        cube = (strips - rng.random((rows, size))) / rows
        least = least_distance(cube)
        if least > widest:
            best, widest = cube, least
    return best


def least_distance(points: Genes) -> float:
    """The square of the distance between the two nearest of (n, size) points."""
    lengths = (points**2).sum(axis=1)
    squares = lengths[:, None] + lengths - 2 * points @ points.T
    np.fill_diagonal(squares, np.inf)
    return float(squares.min())


def drawn_back(
    donors: Genes, bases: Genes, low: Genes, high: Genes, rng: np.random.Generator
) -> Genes:
    """(n, size) donors, those with a gene out of bounds drawn back along the line to their base.

    How far beyond the bound is random, by the inverse tangent, up to the bound on the other side.
    """
    below, above = donors < low, donors > high
    outside = (below | above).any(axis=1)
    if not outside.any():
        return donors
    moved = donors.copy()
    below, above = below[outside], above[outside]
    away = bases[outside] - donors[outside]
    length = np.linalg.norm(away, axis=1)
    away[away == 0] = TINY
    to_low, to_high = (low - donors[outside]) / away, (high - donors[outside]) / away
    inside = length * np.maximum(below * to_low, above * to_high).max(axis=1)
    beyond = np.concatenate([~below * to_low, ~above * to_high], axis=1)
    far = length * np.where(beyond > 0, beyond, np.inf).min(axis=1)
    alpha = (length - inside) / length + TINY
    turn = rng.random(len(length)) * np.arctan((far - inside) / (alpha * inside))
    share = inside * (1 + alpha * np.tan(turn)) / length
    moved[outside] = donors[outside] + away * share[:, None]
    return np.clip(moved, low, high)
