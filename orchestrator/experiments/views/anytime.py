"""How good at any time: in evaluations and in seconds, and what a target costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.experiments.material import Chart, Table
from orchestrator.experiments.statistics import expected_cost, mean_band
from orchestrator.experiments.views.drawing import panels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from orchestrator.experiments.material import Float64, Material
    from orchestrator.experiments.results import Unit

SIZE: Final = (4.2, 3.2)
POINTS: Final = 200


def anytime(material: Material) -> Iterator[Table | Chart]:
    """Best so far against evaluations and seconds, mean over units with 95 % bands."""
    found = material.panels()

    def draw(axes: npt.NDArray[Any]) -> None:
        for row, (panel, levels) in zip(axes, found.items(), strict=True):
            for axis, spent in zip(row, ("evaluations", "seconds"), strict=True):
                for number, (level, units) in enumerate(levels.items()):
                    _curve(axis, material, units, spent, f"C{number}", level)
                axis.set_xlabel(spent)
                axis.set_ylabel(f"best so far, {material.scored}")
                axis.set_title(panel, fontsize=7)
            row[0].legend(frameon=False, fontsize=6)

    yield Chart("anytime", "Best so far, mean and 95 % interval", panels(len(found), 2, draw, SIZE))


def _curve(
    axis: Any, material: Material, units: list[Unit], spent: str, colour: str, label: str
) -> None:
    """One level, as long as all of its units run."""
    told = [material.curves(unit) for unit in units]
    start = max(float(one[spent][0]) for one in told)
    end = max(start, min(float(one[spent][-1]) for one in told))
    at = np.linspace(start, end, POINTS)
    scores = [material.score(unit, one["best"]) for unit, one in zip(units, told, strict=True)]
    curves = np.stack([_held(one[spent], y, at) for one, y in zip(told, scores, strict=True)])
    mean, low, high = mean_band(curves)
    axis.plot(at, mean, color=colour, label=f"{label} ({len(units)})", linewidth=1)
    axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)


def _held(x: Float64, y: Float64, at: Float64) -> Float64:
    """(points,): the newest y of each moment."""
    return y[np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(y) - 1)]


def reaching(material: Material) -> Iterator[Table | Chart]:
    """What it costs to get so many standard deviations above random genomes."""
    if material.scored != "z-score":
        return
    rows = []
    for panel, levels in material.panels().items():
        for level, units in levels.items():
            row = [panel, level, str(len(units))]
            for target in material.document.reach:
                costs = [_cost(material, unit, target) for unit in units]
                hits = [hit for _, _, hit in costs]
                evaluations = expected_cost([one for one, _, _ in costs], hits)
                seconds = expected_cost([one for _, one, _ in costs], hits)
                shown = "never" if not any(hits) else f"{evaluations:,.0f} ({seconds:.1f} s)"
                row += [f"{sum(hits)}/{len(hits)}", shown]
            rows.append(row)
    head = ["panel", "level", "runs"]
    for target in material.document.reach:
        head += [f"reached +{target:g} σ", "expected evaluations (seconds)"]
    note = (
        "Expected running time: all evaluations of all runs until the target or their end, "
        "over the number of runs that reached it. A z-score is of the best so far, in standard "
        "deviations of random genomes."
    )
    yield Table("reaching", "What a target costs", head, rows, note)


def _cost(material: Material, unit: Unit, target: float) -> tuple[float, float, bool]:
    """Evaluations and seconds until the target or the end, and whether it was reached."""
    told = material.curves(unit)
    reached = np.flatnonzero(material.score(unit, told["best"]) >= target)
    place = int(reached[0]) if len(reached) else -1
    return float(told["evaluations"][place]), float(told["seconds"][place]), bool(len(reached))
