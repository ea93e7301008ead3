"""Gradient refinement: Adam (Kingma and Ba 2015) on latents that evolution found.

What is asked first is the start itself, for its gradient; every further batch is one step on. The
measures of a row are the gradient of its objective by its genes. Steps are in units of a fresh
gene's spread, and only genes of real segments move. The survivors are each row's best so far, so a
step too far costs nothing.
"""

import numpy as np
import numpy.typing as npt

from orchestrator.search.algorithm import Algorithm, Population, Settings
from orchestrator.search.space import Genomes, layout, repair
from protocol.errors import ConfigError
from protocol.latent import LatentSpace

RATE = 0.05
DECAYS = (0.9, 0.999)
EPSILON = 1e-8


class Refinement(Algorithm):
    """Follows the gradient from every row of `start`.

    Args:
        space: latent space of the genomes.
        start: what to refine.

    Raises:
        ConfigError: the space has no real genes.
    """

    breeds = False

    def __init__(self, space: LatentSpace, start: Population) -> None:
        settings = Settings(space, len(start), 1, 0, {}, measures=space.size)
        super().__init__("refinement", settings)
        check_refinable(space)
        self._population = start
        self._genes = start.genomes.astype(np.float64)
        self._mean = np.zeros_like(self._genes)
        self._square = np.zeros_like(self._genes)

    def _propose(self) -> Genomes:
        return repair(self.settings.space, self._genes)

    def _learn(self, told: Population) -> Population:
        gradient = told.measures if told.measures is not None else np.zeros_like(self._genes)
        self._genes = told.genomes + self._step(gradient)
        kept = self.population
        wins = told.objectives <= kept.objectives
        return Population(
            np.where(wins, told.genomes, kept.genomes),
            np.where(wins, told.objectives, kept.objectives),
        )

    def _step(self, gradient: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(n, size): one step of Adam downhill, by momentum alone where a row failed."""
        genes = layout(self.settings.space)
        spread = np.where(genes.whole, 0.0, genes.spread)
        slope = gradient * spread
        first, second = DECAYS
        self._mean = first * self._mean + (1 - first) * slope
        self._square = second * self._square + (1 - second) * slope**2
        count = self.generation + 1
        mean = self._mean / (1 - first**count)
        square = self._square / (1 - second**count)
        step: npt.NDArray[np.float64] = -RATE * spread * mean / (np.sqrt(square) + EPSILON)
        return step


def check_refinable(space: LatentSpace) -> None:
    """Refuse a space in which there is no gradient.

    Raises:
        ConfigError: no segment of it is real.
    """
    if all(segment.kind != "real" for segment in space.segments):
        raise ConfigError(
            f"latent space '{space.name}' has no real genes, so there is no gradient to follow; "
            "leave --refine out"
        )
