"""Small charts from characters: braille lines (2 by 4 dots a character), sparklines, scatters.

Values may hold anything that is no number (NaN, infinities): those points are left out. The
x axis counts generations from 1 and always fills the width; the y axis fits the values, so it
starts where the run started: at the similarity of random pictures.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

BRAILLE = 0x2800
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)
"""Bit of each dot of a character: rows from the top, columns from the left."""
BARS = "▁▂▃▄▅▆▇█"
MARK = "▲"


@dataclasses.dataclass(frozen=True)
class Curve:
    """One line of a chart: a value for each generation, and the rich style to draw it in."""

    values: Sequence[float]
    style: str = ""


def chart(curves: Sequence[Curve], columns: int, rows: int, marks: Sequence[int] = ()) -> Text:
    """The curves over generations, `rows` lines of `columns` cells.

    The last line is the x axis. Where curves meet, the first one gives the colour.

    Args:
        curves: at least one; empty curves draw nothing.
        columns: width in cells, labels included; at least 16.
        rows: height in cells, x axis included; at least 2.
        marks: generations to point at on the x axis, with `▲`.
    """
    low, high = _bounds(curves)
    labels = _labels(low, high, rows - 1)
    margin = max(len(label) for label in labels) + 1
    width = columns - margin
    layers = [_characters(plot(curve.values, width, rows - 1, low, high)) for curve in curves]
    text = Text(no_wrap=True, overflow="crop")
    for row in range(rows - 1):
        label = labels[row]
        text.append(f"{label:>{margin - 1}}{'┤' if label else '│'}", "dim")
        _append_row(text, [layer[row] for layer in layers], [curve.style for curve in curves])
        text.append("\n")
    last = max(1, *(len(curve.values) for curve in curves))
    at = {round((m - 1) / max(1, last - 1) * (width - 1)) for m in marks if 1 <= m <= last}
    ends = (f"generation {last}", str(last)) if width > 20 else (str(last),)
    text.append(" " * margin + _axis(width, at, ends))
    text.stylize("dim", len(text) - width)
    text.highlight_words([MARK], "not dim bold yellow")
    return text


def _axis(columns: int, marked: set[int], ends: Sequence[str]) -> str:
    """From 1 to the first of `ends` that the marks leave room for at the right edge."""
    cells = ["1", *" " * (columns - 1)]
    for end in ends:
        if marked.isdisjoint(range(columns - len(end) - 1, columns)):
            cells[-len(end) :] = end
            break
    for column in marked:
        cells[column] = MARK
    return "".join(cells)


def scatter(points: Sequence[tuple[float, float]], columns: int, rows: int, name: str) -> Text:
    """Points of a plane of which more is better both ways, `rows` lines of `columns` cells.

    Those that no other beats in both are green: the front. The last line is the x axis.

    Args:
        points: x and y of each; those that are no numbers are left out.
        columns: width in cells, labels included; at least 16.
        rows: height in cells, x axis included; at least 3.
        name: of the x axis.
    """
    shown = [point for point in points if all(map(math.isfinite, point))]
    (left, right), (low, high) = (
        _bounds([Curve([point[axis] for point in shown])]) for axis in (0, 1)
    )
    labels = _labels(low, high, rows - 1)
    margin = max(len(label) for label in labels) + 1
    width = columns - margin
    cells = [[" "] * width for _ in range(rows - 1)]
    best = front(shown)
    for x, y in sorted(shown, key=lambda point: point in best):  # the front lies on top
        row = round((high - y) / (high - low) * (rows - 2))
        column = round((x - left) / (right - left) * (width - 1))
        cells[row][column] = "●" if (x, y) in best else "·"
    text = Text(no_wrap=True, overflow="crop")
    for label, line in zip(labels, cells, strict=True):
        text.append(f"{label:>{margin - 1}}{'┤' if label else '│'}", "dim")
        text.append("".join(line))
        text.append("\n")
    text.highlight_words(["●"], "green")
    end = f"{name} {right:.2f}" if width > 20 else f"{right:.2f}"
    text.append(f"{'':{margin}}{left:<.2f}{end:>{width - len(f'{left:.2f}')}}", "dim")
    return text


def front(points: Sequence[tuple[float, float]]) -> set[tuple[float, float]]:
    """Those of which no other is as good in one and better in the other, more being better."""
    found, best = set(), -math.inf
    for x, y in sorted(points, reverse=True):
        if y > best:
            found.add((x, y))
            best = y
    return found


def plot(
    values: Sequence[float], columns: int, rows: int, low: float, high: float
) -> npt.NDArray[np.bool_]:
    """The dots of one line, `(4 * rows, 2 * columns)` bool, top row first.

    Neighbouring dots are joined, so that a jump is a stroke and not a hole. Before the first number
    and behind the last there is no line.
    """
    dots = np.zeros((4 * rows, 2 * columns), np.bool_)
    y = np.asarray(values, np.float64)
    x = np.flatnonzero(np.isfinite(y))
    if not len(x):
        return dots
    where = np.linspace(0, max(len(y) - 1, 1), 2 * columns)
    near = (where[1] - where[0]) / 2 if len(y) > 1 else np.inf  # one generation is a whole line
    there = (where >= x[0] - near) & (where <= x[-1] + near)
    level = np.rint((high - np.interp(where, x, y[x])) / (high - low) * (4 * rows - 1)).astype(int)
    before = np.concatenate([level[:1], level[:-1]])
    first = np.where(before < level, before + 1, level)
    last = np.where(before > level, before - 1, level)
    height = np.arange(4 * rows)[:, None]
    stroke: npt.NDArray[np.bool_] = (height >= first) & (height <= last) & there
    return stroke


def sparkline(values: Sequence[float], columns: int) -> str:
    """The last `columns` values as bars from the least to the greatest of them."""
    shown = [value for value in values if math.isfinite(value)][-max(1, columns) :]
    if not shown:
        return ""
    low, span = min(shown), max(shown) - min(shown)
    return "".join(BARS[round((value - low) / span * 7) if span else 0] for value in shown)


def _bounds(curves: Sequence[Curve]) -> tuple[float, float]:
    """Least and greatest value, apart from each other."""
    found = [value for curve in curves for value in curve.values if math.isfinite(value)]
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.005, high + 0.005
    return low, high


def _labels(low: float, high: float, rows: int) -> list[str]:
    """A label for each row: one at the top, one at the bottom, about every fourth between."""
    marked = np.rint(np.linspace(0, rows - 1, max(2, (rows - 1) // 4 + 1))).astype(int).tolist()
    digits = max(2, math.ceil(-math.log10((high - low) / len(marked))))
    step = (high - low) / max(1, rows - 1)
    return [f"{high - step * row:.{digits}f}" if row in marked else "" for row in range(rows)]


def _characters(dots: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Braille bits `(rows, columns)` uint8 of `(4 * rows, 2 * columns)` dots."""
    rows, columns = dots.shape[0] // 4, dots.shape[1] // 2
    cells = dots.reshape(rows, 4, columns, 2).swapaxes(1, 2)
    bits: npt.NDArray[np.uint8] = (cells * DOTS).sum((2, 3), dtype=np.uint8)
    return bits


def _append_row(text: Text, layers: list[npt.NDArray[np.uint8]], styles: list[str]) -> None:
    """One row of cells: all curves' dots together, in the colour of the first curve there."""
    together = np.bitwise_or.reduce(layers).tolist()
    owner = np.argmax(np.stack(layers) > 0, axis=0).tolist()
    for style, cells in itertools.groupby(zip(together, owner, strict=True), key=lambda c: c[1]):
        text.append(
            "".join(chr(BRAILLE + bits) if bits else " " for bits, _ in cells), styles[style]
        )
