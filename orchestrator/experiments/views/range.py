"""The range of similarity: random pictures, the best, and the best for another prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.experiments.material import UNIT_AXES, Chart, Table
from orchestrator.experiments.statistics import mean_interval
from orchestrator.experiments.views.drawing import panels, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from orchestrator.experiments.material import Material
    from orchestrator.experiments.results import Unit


def spread(material: Material) -> Iterator[Table | Chart]:
    """Distributions for each prompt, a table of z-scores, and the last population sorted."""
    groups = _groups(material.units)
    rows = []
    for name, units in groups.items():
        chance = material.chances.get(units[0].target)
        best = [unit.values["similarity"] for unit in units]
        others = [one for unit in units for one in _mismatched(material, unit)]
        row = [name, str(len(units)), "-", "-", mean_interval(best).text(3), "-", "-"]
        if chance is not None:
            row[2] = f"{chance.similarity.mean():.3f} ± {chance.similarity.std():.3f}"
            row[3] = f"{chance.similarity.max():.3f}"
            row[5] = mean_interval([float(chance.z(one)) for one in best]).text(1)
        if others:
            clusters = [unit.pair for unit in units for _ in _mismatched(material, unit)]
            row[6] = mean_interval(others, clusters).text(3)
        rows.append(row)
    head = ["runs of", "runs", "random, mean ± σ", "best of random", "best of search",
            "the same, z-score", "best for another prompt"]  # fmt: skip
    note = "Cosines compare within a row only: what counts as high differs from prompt to prompt."
    yield Table("range", "The range of similarity", head, rows, note)

    def draw(axes: npt.NDArray[Any]) -> None:
        for (axis, pictures), (name, units) in zip(axes, groups.items(), strict=True):
            _histogram(axis, material, units, name)
            files = {k: file for k, _, file in material.results.rows("pictures", units[0].cell)}
            show(pictures, files.get("population"), "last population, most similar first")

    yield Chart(
        "range", "Random, found, and found for another", panels(len(groups), 2, draw, (3.2, 1.9))
    )


def _groups(units: Sequence[Unit]) -> dict[str, list[Unit]]:
    """Runs that differ in their seed alone, by prompt, generator and whatever else is varied."""
    asked: dict[str, list[Unit]] = {}
    for unit in units:
        asked.setdefault(f"{unit.pair[0]}, {unit.settings['generator']}", []).append(unit)
    found: dict[str, list[Unit]] = {}
    for name, alike in asked.items():
        axes = [axis for axis in alike[0].factors if axis not in UNIT_AXES]
        varied = [axis for axis in axes if len({one.factors[axis] for one in alike}) > 1]
        for one in alike:
            label = ", ".join([name, *(one.factors[axis] for axis in varied)])
            found.setdefault(label, []).append(one)
    return found


def _histogram(axis: Any, material: Material, units: list[Unit], title: str) -> None:
    chance = material.chances.get(units[0].target)
    if chance is not None:
        axis.hist(chance.similarity, bins=30, color="0.7", density=True, label="random")
    last = np.concatenate(
        [np.array([row[1] for row in material.results.rows("population", one.cell)])
         for one in units]
    )  # fmt: skip
    axis.hist(last, bins=20, color="C0", alpha=0.5, density=True, label="last populations")
    for unit in units:
        axis.axvline(unit.values["similarity"], color="C0", linewidth=0.8)
        for other in _mismatched(material, unit):
            axis.axvline(other, color="C3", linewidth=0.5, alpha=0.5)
    axis.set_title(title, fontsize=7)
    axis.set_xlabel("similarity; blue lines: best, red lines: best for another prompt", fontsize=6)
    axis.legend(frameon=False, fontsize=6)


def _mismatched(material: Material, unit: Unit) -> list[float]:
    """How similar this prompt is to the best pictures of runs that differ in their prompt alone."""
    own, clip = unit.pair[0], str(unit.settings["clip"])
    asked = dict.fromkeys(("prompt", "likes"))
    held = {**unit.settings, **asked}
    apart = [one for one in material.units if one.pair[0] != own]
    alike = [one for one in apart if {**one.settings, **asked} == held]
    looks = [row for one in alike for row in material.results.rows("looks", one.cell)]
    return [similarity for name, target, similarity in looks if (name, target) == (clip, own)]
