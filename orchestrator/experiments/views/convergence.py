"""How similarity and diversity go over the generations (the thesis's Fig 4.8, 4.10, 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.experiments.material import Chart, Table
from orchestrator.experiments.statistics import mean_band, mean_interval
from orchestrator.experiments.views.drawing import panels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from orchestrator.experiments.material import Float64, Material
    from orchestrator.experiments.results import Unit

MARKS: Final = (1, 10, 25, 50, 100, 200, 500)
CURVES: Final = {
    "best": "best so far, cosine",
    "mean": "mean of the population, cosine",
    "diversity": "mean pairwise CLIP distance",
}


def convergence(material: Material) -> Iterator[Table | Chart]:
    """Best so far, population mean and diversity, with 95 % bands over units."""
    found = material.panels()

    def draw(axes: npt.NDArray[Any]) -> None:
        for row, (panel, levels) in zip(axes, found.items(), strict=True):
            for axis, (name, label) in zip(row, CURVES.items(), strict=True):
                for colour, (level, units) in enumerate(levels.items()):
                    _band(axis, _stack(material, units, name), f"C{colour}", level)
                axis.set_xlabel("generation")
                axis.set_title(f"{panel}: {label}" if panel else label, fontsize=7)
            row[0].legend(frameon=False, fontsize=6)

    figure = panels(len(found), len(CURVES), draw)
    yield Chart("convergence", "Mean over runs, and its 95 % interval", figure)
    rows = [
        [panel, level, str(number), *(_at(material, units, name, number) for name in CURVES)]
        for panel, levels in found.items()
        for level, units in levels.items()
        for number in _marks(_stack(material, units, "best").shape[1])
    ]
    yield Table(
        "convergence",
        "Means over runs with 95 % intervals, by generation",
        ["panel", "level", "generation", *CURVES.values()],
        rows,
    )


def _marks(generations: int) -> list[int]:
    return sorted({mark for mark in MARKS if mark <= generations} | {generations})


def _stack(material: Material, units: list[Unit], name: str) -> Float64:
    """(units, generations), as far as all of them went."""
    curves = [material.curves(unit)[name] for unit in units]
    shortest = min(map(len, curves))
    return np.stack([curve[:shortest] for curve in curves])


def _band(axis: Any, curves: Float64, colour: str, label: str) -> None:
    numbers = np.arange(1, curves.shape[1] + 1)
    mean, low, high = mean_band(curves)
    axis.plot(numbers, mean, color=colour, label=f"{label} ({len(curves)} runs)", linewidth=1)
    axis.fill_between(numbers, low, high, color=colour, alpha=0.2, linewidth=0)


def _at(material: Material, units: list[Unit], name: str, generation: int) -> str:
    return mean_interval(_stack(material, units, name)[:, generation - 1].tolist()).text(4)
