"""Does a classifier see what was asked for, as the thesis's tables, matrix and bars have it.

A prompt names one class of the classifier's attribute. One picture a run, its best, is the primary
unit; whole populations are counted too, as the thesis did, but with intervals over runs, because
members of one population are near-copies.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.experiments.material import Chart, Table
from orchestrator.experiments.results import ASKED, BEST
from orchestrator.experiments.statistics import share_interval
from orchestrator.experiments.views.drawing import panels
from orchestrator.runs.slug import slug

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from orchestrator.experiments.material import Material
    from orchestrator.experiments.results import Unit

MOST_BARS: Final = 8


def confusion(material: Material) -> Iterator[Table | Chart]:
    """Accuracy by class and in all, the confusion matrix, and what is seen instead."""
    levels: dict[str, list[Unit]] = {}
    for unit in material.units:
        levels.setdefault(material.level(unit), []).append(unit)
    for level, units in levels.items():
        found = _Readings(material, units)
        if found.asked:
            yield from _tables(found, level)


class _Readings:
    """What was asked for and what is seen, picture by picture."""

    def __init__(self, material: Material, units: list[Unit]) -> None:
        self.attribute = material.document.attribute
        self.best: list[tuple[str, str, str]] = []
        self.members: list[tuple[str, str, str]] = []
        for unit in units:
            rows = material.results.rows("readings", unit.cell)
            seen = {place: value for place, head, value, _ in rows if head == self.attribute}
            asked = seen.pop(ASKED, None)
            for place, value in seen.items() if asked else ():
                (self.best if place == BEST else self.members).append((unit.cell, asked, value))
        self.asked = list(dict.fromkeys(asked for _, asked, _ in self.best))


def _tables(found: _Readings, name: str) -> Iterator[Table | Chart]:
    rows = [[asked, *_accuracy(found, asked)] for asked in found.asked]
    rows.append(["all", *_accuracy(found, None)])
    head = ["asked for", "runs", "best: seen", "best: accuracy", "pictures", "seen", "accuracy"]
    note = (
        "Accuracies in per cent with 95 % intervals over runs, never over pictures of one "
        f"population. {found.attribute} is what the classifier reads."
    )
    title = f"Is the class seen that was asked for? {name}"
    yield Table(f"accuracy-{slug(name)}", title, head, rows, note)
    counted = found.members or found.best
    seen = list(dict.fromkeys([*found.asked, *(value for _, _, value in counted)]))
    table = np.zeros((len(found.asked), len(seen)))
    for _, asked, value in counted:
        table[found.asked.index(asked), seen.index(value)] += 1

    def draw(axes: npt.NDArray[Any]) -> None:
        _map(axes[0, 0], table, found.asked, seen)
        _bars(axes[0, 1], counted)

    figure = panels(1, 2, draw, (4.4, 3.6))
    yield Chart(f"confusion-{slug(name)}", f"Asked for, and seen: {name}", figure)


def _accuracy(found: _Readings, asked: str | None) -> list[str]:
    cells = []
    for rows in (found.best, found.members):
        own = [(cell, want == value) for cell, want, value in rows if asked in {None, want}]
        if not own:
            cells += ["-", "-", "-"]
            continue
        cells += [str(len(own)), str(sum(hit for _, hit in own)), _percent(own)]
    return cells


def _percent(own: list[tuple[str, bool]]) -> str:
    found = share_interval([hit for _, hit in own], [cell for cell, _ in own])
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _map(axis: Any, table: npt.NDArray[np.float64], asked: list[str], seen: list[str]) -> None:
    shares = table / table.sum(axis=1, keepdims=True)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in zip(*np.nonzero(table), strict=True):
        dark = "white" if shares[row, column] > 0.5 else "black"
        number = f"{table[row, column]:.0f}"
        axis.text(column, row, number, ha="center", va="center", fontsize=6, color=dark)
    axis.set_xticks(range(len(seen)), seen, rotation=90, fontsize=6)
    axis.set_yticks(range(len(asked)), asked, fontsize=6)
    axis.set_xlabel("seen")
    axis.set_ylabel("asked for")


def _bars(axis: Any, counted: list[tuple[str, str, str]]) -> None:
    """What is seen most in place of what was asked for."""
    wrong = Counter(f"{value} for {asked}" for _, asked, value in counted if value != asked)
    shown = wrong.most_common(MOST_BARS)[::-1]
    axis.barh([name for name, _ in shown], [count for _, count in shown], color="C3")
    axis.tick_params(labelsize=6)
    axis.set_xlabel("pictures")
    axis.set_title("most confused", fontsize=7)
