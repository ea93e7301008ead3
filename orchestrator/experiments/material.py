"""What tables and figures are made from: the units of an experiment, and z-scores.

A raw cosine says little: random pictures score otherwise for each prompt. So a score is given in
standard deviations over random genomes of the same generator, CLIP, profile and prompt, its
z-score, wherever a reference was run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from orchestrator.experiments.grid import reference_of
from orchestrator.experiments.results import ASKED, BEST
from orchestrator.profiles import FIXED
from orchestrator.settings import read_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from orchestrator.experiments.grid import Document
    from orchestrator.experiments.results import Results, Unit

Float64 = npt.NDArray[np.float64]

UNIT_AXES = frozenset({"prompt", "caption", "seed"})


@dataclass(frozen=True)
class Table:
    """A table for people and programs.

    Attributes:
        name: of its file.
        title: one line.
        head: names of columns.
        rows: cells, as text.
        note: what to know when reading it.
    """

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        name: of its file.
        title: one line.
        figure: drawn.
    """

    name: str
    title: str
    figure: Figure


@dataclass(frozen=True)
class Chance:
    """Scores of random genomes.

    Attributes:
        similarity: (n,) float64.
        realism: (n,) float64, NaN without a discriminator.
    """

    similarity: Float64
    realism: Float64

    def z(self, similarity: Float64 | float) -> Float64:
        """How many standard deviations above the mean of random genomes."""
        found: Float64 = (np.asarray(similarity) - self.similarity.mean()) / self.similarity.std()
        return found


@dataclass(frozen=True)
class Material:
    """An experiment's results.

    Attributes:
        results: the file.
        document: what the experiment says of itself.
        units: cells that are done, but for references.
        references: the others.
    """

    results: Results
    document: Document
    units: tuple[Unit, ...]
    references: tuple[Unit, ...] = field(default=())

    @classmethod
    def read(cls, results: Results) -> Material:
        """From results.

        Raises:
            GlasshouseError: they hold no experiment, or cannot be read.
        """
        units = results.units()
        return cls(
            results,
            results.document,
            tuple(unit for unit in units if not unit.reference),
            tuple(unit for unit in units if unit.reference),
        )

    @cached_property
    def chances(self) -> dict[str, Chance]:
        """Random genomes by target."""
        found = {}
        for unit in self.references:
            rows = self.results.rows("population", unit.cell)
            numbers = np.array([row[1:] for row in rows], np.float64)
            found[unit.target] = Chance(numbers[:, 0], numbers[:, 1])
        return found

    @property
    def scored(self) -> str:
        """What `score` gives: z-scores where wanted and every unit has a reference, or cosines."""
        known = all(unit.target in self.chances for unit in self.units)
        return "z-score" if known and self.document.score == "z" else "similarity"

    def score(self, unit: Unit, similarity: Float64 | float) -> Float64:
        """Similarities of one unit in the scale of `scored`."""
        if self.scored == "z-score":
            return self.chances[unit.target].z(similarity)
        return np.asarray(similarity, np.float64)

    def judged(self, unit: Unit) -> float | None:
        """What the judge says of its best, in the scale of `scored`; None if it was not asked."""
        judge = self.document.judge
        looks = {(clip, to): value for clip, to, value in self.results.rows("looks", unit.cell)}
        found = looks.get((judge, unit.pair[0]))
        if found is None or self.scored != "z-score":
            return found
        settings = read_settings(unit.settings)
        own = reference_of(replace(settings, clip=judge, profile=FIXED.name))
        return float(self.chances[own].z(found)) if own in self.chances else None

    def seen(self, unit: Unit) -> float | None:
        """Share, 0 to 1, of what its prompt asks for that the classifier sees in its best.

        None if no classifier was asked, or the prompt names nothing that it knows.
        """
        rows = self.results.rows("readings", unit.cell)
        asked, seen = (
            {head: value for at, head, value, _ in rows if at == place} for place in (ASKED, BEST)
        )
        return sum(seen[head] == asked[head] for head in asked) / len(asked) if asked else None

    def rank(self, unit: Unit) -> int | None:
        """Of its own target among all that its best was compared with, 1 for the most similar.

        By the judge if there is one, else by the search's own CLIP.
        """
        by = self.document.judge or unit.settings["clip"]
        looks = [row[1:] for row in self.results.rows("looks", unit.cell) if row[0] == by]
        own = [value for target, value in looks if target == unit.pair[0]]
        return 1 + sum(value > own[0] for _, value in looks) if own else None

    def level(self, unit: Unit) -> str:
        """The unit's level of the axis that is compared."""
        return unit.factors.get(self.document.compare, "all")

    def panel(self, unit: Unit) -> str:
        """All its other levels but prompt and seed: only units of one panel are compared."""
        return ", ".join(self._others(unit))

    def _others(self, unit: Unit) -> list[str]:
        """Its levels of axes that are neither compared nor prompt and seed."""
        apart = UNIT_AXES | {self.document.compare}
        return [name for axis, name in unit.factors.items() if axis not in apart]

    def panels(self) -> dict[str, dict[str, list[Unit]]]:
        """Panel -> level -> units, in the order of the plan."""
        found: dict[str, dict[str, list[Unit]]] = {}
        for unit in self.units:
            found.setdefault(self.panel(unit), {}).setdefault(self.level(unit), []).append(unit)
        return found

    def pooled(self) -> dict[str, dict[str, list[Unit]]]:
        """Level of another axis -> level -> the units of all panels that have it."""
        found: dict[str, dict[str, list[Unit]]] = {}
        for unit in self.units:
            others = self._others(unit)
            for name in others if len(others) > 1 else ():
                levels = found.setdefault(f"all of {name}", {})
                levels.setdefault(self.level(unit), []).append(unit)
        return found

    def curves(self, unit: Unit) -> dict[str, Float64]:
        """A column for each of `generations`, each (generations,) float64."""
        rows = np.array(self.results.rows("generations", unit.cell), np.float64)
        names = list(self.results.columns("generations"))[1:]
        return {name: rows[:, place] for place, name in enumerate(names)}


View = Callable[[Material], Iterator["Table | Chart"]]
Values = Mapping[Any, float]
