"""Two axes against each other as a heat map: which generator for which kind of prompt.

Cells hold cosines, by the judge if there is one: z-scores are over random pictures of each
generator and would hide that one of them cannot draw what is asked for. Prompts differ, so compare
within a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.experiments.material import UNIT_AXES, Chart, Table
from orchestrator.experiments.statistics import Interval, mean_interval
from orchestrator.experiments.views.drawing import panels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from orchestrator.experiments.material import Material
    from orchestrator.experiments.results import Unit


def matrix(material: Material) -> Iterator[Table | Chart]:
    """The first two axes that are neither compared nor prompt and seed; a map for each level."""
    apart = UNIT_AXES | {material.document.compare}
    axes = [axis for axis in material.document.grid if axis not in apart | {"seeds"}]
    if len(axes) < 2:
        return
    down, across = axes[:2]
    name = "cosine of what is offered" + ", by the judge" * bool(material.document.judge)
    found: dict[str, dict[tuple[str, str], list[float]]] = {}
    for unit in material.units:
        score = _cosine(material, unit)
        if score is not None:
            place = unit.factors[down], unit.factors[across]
            found.setdefault(material.level(unit), {}).setdefault(place, []).append(score)
    if not found:
        return
    means = {
        level: {place: mean_interval(scores) for place, scores in cells.items()}
        for level, cells in found.items()
    }

    def draw(figure_axes: npt.NDArray[Any]) -> None:
        for axis, (level, cells) in zip(figure_axes[0], means.items(), strict=True):
            _map(axis, cells, f"{level}: {name}")

    yield Chart("matrix", f"{down} (rows) by {across}", panels(1, len(means), draw))
    rows = [
        [level, *place, one.text(), str(one.units)]
        for level, cells in means.items()
        for place, one in cells.items()
    ]
    yield Table("matrix", name, ["level", down, across, "mean [95 %]", "runs"], rows)


def _cosine(material: Material, unit: Unit) -> float | None:
    judge = material.document.judge
    looks = {row[:2]: row[2] for row in material.results.rows("looks", unit.cell)}
    return looks.get((judge, unit.pair[0])) if judge else unit.values["similarity"]


def _map(axis: Any, cells: dict[tuple[str, str], Interval], title: str) -> None:
    down = list(dict.fromkeys(place[0] for place in cells))
    across = list(dict.fromkeys(place[1] for place in cells))
    values = np.full((len(down), len(across)), np.nan)
    for (row, column), one in cells.items():
        values[down.index(row), across.index(column)] = one.value
    axis.imshow(values, cmap="viridis", aspect="auto")
    for (row, column), one in cells.items():
        place = across.index(column), down.index(row)
        axis.text(*place, one.text(2).replace(" ", "\n"), ha="center", va="center", fontsize=6,
                  color="white" if one.value < np.nanmean(values) else "black")  # fmt: skip
    axis.set_xticks(range(len(across)), across)
    axis.set_yticks(range(len(down)), down)
    axis.set_title(title, fontsize=7)
