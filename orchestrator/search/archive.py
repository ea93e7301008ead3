"""What quality-diversity algorithms share: an archive of elites over user-named measures.

A measure says where a picture lies between two prompts ("day|night"), so an archive is a gallery:
in each cell of a grid the best picture that lies there (pyribs' `GridArchive`). The grid is laid
after the best-of-N start over what its random genomes measured, three standard deviations to both
sides; what lies beyond falls into the outermost cells. The survivors are all elites.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from ribs.archives import GridArchive

from orchestrator.search.algorithm import (
    Algorithm,
    HeatMap,
    Objectives,
    Population,
    Settings,
)
from orchestrator.search.space import Genomes, layout, sample
from protocol.errors import ConfigError

WIDTH = 3.0  # standard deviations of random genomes from the middle of the grid to its end
LEAST_REACH = 0.01
MOST_CELLS = 4_096
FAR = 10.0  # differences of cosines are within 4; pyribs counts cells in 32 bits


class ArchiveSearch(Algorithm):
    """Fills an archive; one objective and at least one measure.

    Raises:
        ConfigError: no measures, or more cells than an archive may have.
    """

    breeds = False

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(name, settings)
        self._rng = np.random.default_rng(settings.seed)
        self._cells = int(settings.number("cells"))
        self._spread = layout(settings.space).spread.astype(np.float64)
        self._archive: Any = None  # pyribs' signatures are wider than ours
        if self._cells**settings.measures > MOST_CELLS:
            raise ConfigError(
                f"{settings.measures} measures of {self._cells} cells each are more than "
                f"{MOST_CELLS} cells; take fewer measures, or fewer cells: --set cells=4"
            )

    @property
    def heat_map(self) -> HeatMap | None:
        """The archive; None before the grid is laid."""
        if self._archive is None:
            return None
        best = np.full(self._archive.dims, np.nan)
        elites = self._archive.data(["objective", "index"])
        places = self._archive.int_to_grid_index(elites["index"])
        best[tuple(places.T)] = -elites["objective"]
        return HeatMap(best, tuple(np.asarray(edges) for edges in self._archive.boundaries))

    def _propose(self) -> Genomes:
        if self._archive is None:
            return sample(self.settings.space, self.settings.population, self._rng)
        return self._bred()

    def _learn(self, told: Population) -> Population:
        if self._archive is not None:
            self._told(told, self._add(told))
            return self._elites()
        seen = scored(self.population, told)
        if self.generation + 1 < self.settings.fresh_batches or not len(seen):
            return seen if len(seen) else told
        return self._lay(seen)

    def _relearn(self, rescored: Population) -> Population:
        if self._archive is None or not rescored.any_scored:
            self._archive = None  # with nothing to put into it, the grid is laid anew
            return rescored
        self._archive.clear()
        self._add(rescored)
        self._begin()
        return self._elites()

    def _lay(self, seen: Population) -> Population:
        """Lay the grid and put everything into it."""
        measured = measures_of(seen)
        middle, spread = measured.mean(axis=0), measured.std(axis=0)
        reach = np.maximum(WIDTH * spread, LEAST_REACH)
        size = self.settings.space.size
        self._archive = GridArchive(
            solution_dim=size,
            dims=[self._cells] * self.settings.measures,
            ranges=list(zip(middle - reach, middle + reach, strict=True)),
            seed=int(self._rng.integers(2**31)),
            extra_fields={"genome": ((size,), np.float32)},
        )
        self._add(seen)
        self._begin()
        return self._elites()

    def _add(self, told: Population) -> dict[str, npt.NDArray[Any]]:
        """Put rows that did not fail into the archive; what pyribs says of each, for all rows."""
        good = np.isfinite(told.objectives[:, 0])
        status, value = np.zeros(len(told), np.int32), np.full(len(told), -np.inf)
        if good.any():
            genomes = told.genomes[good]
            added = self._archive.add(
                genomes / self._spread,
                -told.objectives[good, 0],
                np.clip(measures_of(told)[good], -FAR, FAR),
                genome=genomes,
            )
            status[good], value[good] = added["status"], added["value"]
            value[~good] = added["value"].min() - 1
        return {"status": status, "value": value}

    def _elites(self) -> Population:
        elites = self._archive.data(["genome", "objective", "measures"])
        return Population(
            np.asarray(elites["genome"], np.float32),
            -elites["objective"][:, None],
            np.asarray(elites["measures"], np.float64),
        )

    @abstractmethod
    def _begin(self) -> None:
        """The archive is filled for the first time, or anew."""

    @abstractmethod
    def _bred(self) -> Genomes:
        """A batch, (population, size) float32, from the elites."""

    @abstractmethod
    def _told(self, told: Population, added: dict[str, npt.NDArray[Any]]) -> None:
        """Learn from a batch that was put into the archive."""


def measures_of(told: Population) -> Objectives:
    """(n, k) float64; an archive is always told measures."""
    if told.measures is None:
        raise TypeError(told)
    return told.measures


def scored(first: Population, second: Population) -> Population:
    """The rows of both that did not fail, one after the other."""
    both = [one for one in (first, second) if one.measures is not None]
    objectives = np.concatenate([one.objectives for one in both])
    good = np.isfinite(objectives[:, 0])
    return Population(
        np.concatenate([one.genomes for one in both])[good],
        objectives[good],
        np.concatenate([measures_of(one) for one in both])[good],
    )
