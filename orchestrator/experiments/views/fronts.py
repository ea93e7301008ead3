"""Similarity against realism: the last populations, and the hypervolume of their fronts.

Objectives are normalised by random genomes: -z of similarity, and z of softplus(-logit), both
minimised. The reference point is (0, 2): a front is worth what it dominates of the region that
matches better than the mean random picture and looks at most two deviations less real.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.experiments.material import Chart, Table
from orchestrator.experiments.statistics import compare, hypervolume, mean_interval
from orchestrator.experiments.views.drawing import panels as figure_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from orchestrator.experiments.material import Float64, Material
    from orchestrator.experiments.results import Unit

REFERENCE: Final = (0.0, 2.0)


def fronts(material: Material) -> Iterator[Table | Chart]:
    """The scatter, and hypervolumes with intervals and paired tests."""
    found = {
        panel: {level: [unit for unit in units if _judged(material, unit)] for level, units in
                levels.items()}
        for panel, levels in material.panels().items()
    }  # fmt: skip
    found = {panel: {k: v for k, v in levels.items() if v} for panel, levels in found.items()}
    found = {panel: levels for panel, levels in found.items() if levels}
    if not found:
        return

    def draw(axes: npt.NDArray[Any]) -> None:
        for (axis,), (panel, levels) in zip(axes, found.items(), strict=True):
            for number, (level, units) in enumerate(levels.items()):
                points = np.concatenate([_objectives(material, unit) for unit in units])
                axis.scatter(-points[:, 0], -points[:, 1], s=3, color=f"C{number}", label=level)
            axis.set_xlabel("similarity, z-score (right is better)")
            axis.set_ylabel("realism, z-score (up is better)")
            axis.set_title(panel, fontsize=7)
            axis.legend(frameon=False, fontsize=6)

    yield Chart(
        "fronts", "Last populations of all runs", figure_of(len(found), 1, draw, (4.2, 2.8))
    )
    rows, tests = [], []
    for panel, levels in found.items():
        volumes = {
            level: {
                unit.pair: hypervolume(_objectives(material, unit), REFERENCE) for unit in units
            }
            for level, units in levels.items()
        }
        for level, values in volumes.items():
            rows.append([panel, level, mean_interval(list(values.values())).text()])
        tests += [
            [panel, f"{one.first} - {one.second}", str(one.units), f"{one.difference:+.2f}",
             f"{one.wins:.2f}", f"{one.adjusted:.3g}"]
            for one in compare(volumes)
        ]  # fmt: skip
    note = f"Reference point {REFERENCE}: mean random match, two deviations less real than random."
    yield Table("hypervolume", "Hypervolume of the front", ["panel", "level", "volume"], rows, note)
    head = ["panel", "levels", "pairs", "median difference", "wins", "p (Holm)"]
    yield Table("hypervolume-tests", "Hypervolumes against each other", head, tests)


def _judged(material: Material, unit: Unit) -> bool:
    chance = material.chances.get(unit.target)
    return "realism" in unit.values and chance is not None and not np.isnan(chance.realism).any()


def _objectives(material: Material, unit: Unit) -> Float64:
    """(n, 2) of the last population, minimised and normalised."""
    rows = np.array([row[1:] for row in material.results.rows("population", unit.cell)], np.float64)
    chance = material.chances[unit.target]
    usual = np.logaddexp(0, -chance.realism)
    cost = (np.logaddexp(0, -rows[:, 1]) - usual.mean()) / usual.std()
    return np.stack([-chance.z(rows[:, 0]), cost], axis=1)
