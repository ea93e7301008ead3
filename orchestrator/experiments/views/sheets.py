"""Pictures: populations at some generations, and what each cell offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from orchestrator.experiments.material import Chart
from orchestrator.experiments.views.drawing import panels, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from orchestrator.experiments.material import Material, Table
    from orchestrator.experiments.results import Unit

MOST_ROWS: Final = 12
SHEET: Final = (2.0, 2.1)
TILE: Final = (1.35, 1.5)


def sheets(material: Material) -> Iterator[Table | Chart]:
    """The population of the first seed of each level, at the generations asked for and the last."""
    found = [
        (f"{panel} {level}".strip(), units[0])
        for panel, levels in material.panels().items()
        for level, units in levels.items()
    ][:MOST_ROWS]
    numbers = material.document.sheets
    if not found or not numbers:
        return

    def draw(axes: npt.NDArray[Any]) -> None:
        for row, (label, unit) in zip(axes, found, strict=True):
            files = {(kind, number): file for kind, number, file in _pictures(material, unit)}
            for axis, number in zip(row, numbers, strict=True):
                show(axis, files.get(("sheet", number)), f"{label}, generation {number}")

    figure = panels(len(found), len(numbers), draw, SHEET)
    yield Chart("sheets", "Populations of the first run of each, best first", figure)


def best(material: Material) -> Iterator[Table | Chart]:
    """What the first seed of each prompt and level offers, with its score."""
    chosen: dict[str, dict[str, Unit]] = {}
    for unit in material.units:
        column = ", ".join(filter(None, [material.level(unit), material.panel(unit)]))
        chosen.setdefault(unit.pair[0], {}).setdefault(column, unit)
    rows = [(prompt, levels) for prompt, levels in chosen.items() if levels][:MOST_ROWS]
    columns = list(dict.fromkeys(name for _, levels in rows for name in levels))[:MOST_ROWS]
    if not rows:
        return

    def draw(axes: npt.NDArray[Any]) -> None:
        for row, (prompt, levels) in zip(axes, rows, strict=True):
            for axis, name in zip(row, columns, strict=True):
                unit = levels.get(name)
                files = {} if unit is None else {k: f for k, _, f in _pictures(material, unit)}
                title = "" if unit is None else f"{name}\n{prompt}\n{_score(material, unit)}"
                show(axis, files.get("best"), title)

    yield Chart("best", "Offered by the first run", panels(len(rows), len(columns), draw, TILE))


def _score(material: Material, unit: Unit) -> str:
    similarity = unit.values["similarity"]
    score = float(material.score(unit, similarity))
    return f"{similarity:.3f}" + (f" = {score:+.1f} σ" if material.scored == "z-score" else "")


def _pictures(material: Material, unit: Unit) -> list[tuple[Any, ...]]:
    return material.results.rows("pictures", unit.cell)
