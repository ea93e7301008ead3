"""Pictures: populations at some generations, and what each cell offers."""

from __future__ import annotations

import textwrap
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
TILE: Final = (1.5, 1.7)
MOST_ACROSS: Final = 9
WORDS: Final = 30
"""Characters of a line over a picture."""


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
    """What the first seed of each prompt and level offers, with its score; a prompt a row."""
    chosen: dict[str, dict[str, Unit]] = {}
    for unit in material.units:
        level = material.level(unit) if material.document.compare else ""
        column = ", ".join(filter(None, [level, material.panel(unit)]))
        chosen.setdefault(unit.pair[0], {}).setdefault(column, unit)
    columns = list(dict.fromkeys(name for levels in chosen.values() for name in levels))
    tiles = [(levels.get(name), name) for levels in chosen.values() for name in columns]
    across = len(columns)
    if across > MOST_ACROSS or sum(unit is None for unit, _ in tiles) > len(tiles) / 4:
        tiles = [tile for tile in tiles if tile[0] is not None]
        across = min(len(tiles), MOST_ACROSS)
    tiles = tiles[: MOST_ROWS * across]
    if not tiles or material.units[0].text:  # there are no pictures of words
        return

    def draw(axes: npt.NDArray[Any]) -> None:
        for axis in axes.flat:
            axis.axis("off")
        for axis, (unit, name) in zip(axes.flat, tiles, strict=False):
            if unit is not None:
                files = {kind: file for kind, _, file in _pictures(material, unit)}
                said = [*[name] * bool(name), unit.pair[0], _score(material, unit)]
                show(axis, files.get("best"), "\n".join(textwrap.fill(one, WORDS) for one in said))

    figure = panels(-(-len(tiles) // across), across, draw, TILE)
    yield Chart("best", "Offered by the first run", figure)


def _score(material: Material, unit: Unit) -> str:
    similarity = unit.values["similarity"]
    score = float(material.score(unit, similarity))
    return f"{similarity:.3f}" + (f" = {score:+.1f} σ" if material.scored == "z-score" else "")


def _pictures(material: Material, unit: Unit) -> list[tuple[Any, ...]]:
    return material.results.rows("pictures", unit.cell)
