"""Pictures in a terminal: two pixels in a character, the upper half block over a background.

Needs 256 colours or more: without colours a picture is a solid block of nothing, so `choose`
leaves pictures out there. Where the terminal shows pixels, the same grid has holes instead, which
a `Painter` fills. A `Picture` is drawn once and printed many times. Its styles remember
the colour system of the console that first prints them (rich/style.py), so a picture belongs to
one console.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.color import Color
from rich.segment import ControlType, Segment
from rich.style import Style

from orchestrator.terminal.graphics import Tile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement

Pixels = npt.NDArray[np.uint8]

UPPER_HALF = "▀"
LAYOUTS = ((4, 4, 14), (4, 3, 12), (4, 2, 8), (4, 1, 7), (2, 1, 7), (1, 1, 7))
"""Thumbnails across, thumbnails down, and the columns that a thumbnail of this layout needs."""
Grid = tuple[int, int, int]
"""Thumbnails across, thumbnails down, and the columns of each."""
LEAST_TILE = 8
"""Columns of a thumbnail in which its rank and score have room."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """Lines of coloured cells, ready to print.

    Attributes:
        lines: one list of segments a row; all rows are `columns` wide.
        columns: width in cells.
        tiles: pictures for the holes in it.
    """

    lines: list[list[Segment]]
    columns: int
    tiles: tuple[Tile, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The cells, row after row."""
        for line in self.lines:
            yield from line
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it was drawn."""
        from rich.measure import Measurement

        return Measurement(self.columns, self.columns)


def halfblock(image: npt.NDArray[Any], columns: int) -> Picture:
    """`image` in `columns` cells, its rows following from its shape.

    Args:
        image: `(h, w, 3)` uint8.
        columns: width in cells, at least 1.

    Raises:
        ValueError: the image has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"Expected image to be a (h, w, 3) uint8 array but it was {image.shape} {image.dtype}"
        )
    rows = rows_of(image.shape[0], image.shape[1], columns)
    small = Image.fromarray(image).resize((columns, 2 * rows), Image.Resampling.BOX)
    pairs = np.asarray(small).reshape(rows, 2, columns, 3).swapaxes(1, 2).reshape(rows, columns, 6)
    return Picture([_line(row) for row in pairs.tolist()], columns)


def rows_of(height: int, width: int, columns: int) -> int:
    """Rows of a `height` by `width` picture drawn `columns` wide; a cell is twice as high."""
    return max(1, round(columns * height / width / 2))


def _line(cells: list[list[int]]) -> list[Segment]:
    """One row of cells, each `[r, g, b, r, g, b]`, upper pixel first."""
    return [
        Segment(
            UPPER_HALF,
            Style.from_color(Color.from_rgb(*cell[:3]), Color.from_rgb(*cell[3:])),
        )
        for cell in cells
    ]


def layout(columns: int, rows: int, height: int, width: int) -> Grid | None:
    """The fullest grid that fits: thumbnails across, down, and the columns of each.

    Args:
        columns: cells to fill, across.
        rows: cells to fill, down; every thumbnail takes one more row for its caption.
        height: height of a picture in pixels.
        width: width of a picture in pixels.
    """
    for across, down, least in LAYOUTS:
        tile = (columns + 1) // across - 1
        while tile >= least and rows_of(height, width, tile) + 1 > rows // down:
            tile -= 1
        if tile >= least:
            return across, down, tile
    return None


def largest(count: int, columns: int, rows: int, height: int, width: int) -> Grid:
    """The grid that shows all pictures as large as they fit; the smallest where they do not.

    Args:
        count: how many, at least one.
        columns: cells to fill, across.
        rows: cells to fill, down.
        height: height of a picture in pixels.
        width: width of a picture in pixels.
    """
    most = min(count, max(1, (columns + 1) // (LEAST_TILE + 1)))
    for across in range(1, most + 1):
        grid = across, -(-count // across), (columns + 1) // across - 1
        if grid[1] * (rows_of(height, width, grid[2]) + 1) <= rows:
            break
    return grid


def sheet(images: npt.NDArray[Any], scores: Sequence[float], columns: int, rows: int) -> Picture:
    """All of `images`, as large as they fit on one screen; where they cannot, it is longer.

    Args:
        images: `(k, h, w, 3)` uint8, best first; at least one.
        scores: similarity of each, in the same order.
        columns: of the screen.
        rows: of the screen.
    """
    across, _, tile = largest(len(images), columns, rows, images.shape[1], images.shape[2])
    lines: list[list[Segment]] = []
    for start in range(0, len(images), across):
        row = slice(start, start + across)
        tiles = [halfblock(image, tile).lines for image in images[row]]
        lines += map(_join, zip(*tiles, strict=True))
        ranks = range(start, min(start + across, len(images)))
        lines.append(_join([_caption(rank, scores, (), tile) for rank in ranks]))
    width = across * (tile + 1) - 1
    return Picture([Segment.adjust_line_length(line, width) for line in lines], width)


def thumbnails(  # noqa: PLR0913 # what to draw, where and how
    images: npt.NDArray[Any],
    scores: Sequence[float],
    columns: int,
    rows: int,
    marks: Sequence[str] = (),
    *,
    numbers: Sequence[int] = (),
    grid: Grid | None = None,
    holes: bool = False,
) -> Picture | None:
    """The first of `images` as a grid, each with its rank and score beneath.

    Args:
        images: `(k, h, w, 3)` uint8, best first.
        scores: similarity of each, in the same order.
        columns: cells that the grid may fill, across.
        rows: cells that the grid may fill, down.
        marks: a sign for each, in the same order, or nothing.
        numbers: what to call them; their ranks from 1 without.
        grid: how they lie; as many as fit without.
        holes: whether to leave the pictures out, for a `Painter`.

    Returns:
        The grid, or None where not even one thumbnail fits.
    """
    found = grid or (
        layout(columns, rows, images.shape[1], images.shape[2]) if len(images) else None
    )
    if found is None:
        return None
    across, down, tile = found
    count = min(len(images), across * down)
    width, height = across * (tile + 1) - 1, rows_of(images.shape[1], images.shape[2], tile)
    lines: list[list[Segment]] = []
    tiles: list[Tile] = []
    for start in range(0, count, across):
        ranks = range(start, min(start + across, count))
        if holes:
            lefts = range(0, width, tile + 1)
            tiles += [
                Tile(len(lines), left, height, tile, images[rank])
                for left, rank in zip(lefts, ranks, strict=False)
            ]
            lines += [[_hole(width)]] * height
        else:
            pictures = [halfblock(images[rank], tile).lines for rank in ranks]
            joined = [_join(cells) for cells in zip(*pictures, strict=True)]
            lines += [Segment.adjust_line_length(line, width) for line in joined]
        captions = _join([_caption(rank, scores, marks, tile, numbers) for rank in ranks])
        lines.append(Segment.adjust_line_length(captions, width))
    return Picture(lines, width, tuple(tiles))


def _hole(columns: int) -> Segment:
    """So many cells that are left as they are."""
    return Segment(f"\x1b[{columns}C", None, [(ControlType.CURSOR_FORWARD, columns)])


def _join(parts: Sequence[list[Segment]]) -> list[Segment]:
    """Tiles side by side, one column apart."""
    line = list(parts[0])
    for part in parts[1:]:
        line += [Segment(" "), *part]
    return line


def _caption(
    rank: int,
    scores: Sequence[float],
    marks: Sequence[str],
    columns: int,
    numbers: Sequence[int] = (),
) -> list[Segment]:
    """`1 0.312 ♥`: rank from 1, similarity, never a percentage, and the user's mark."""
    score = f"{scores[rank]:.3f}" if rank < len(scores) else ""
    number = numbers[rank] if numbers else rank + 1
    text = f"{number} {score} {marks[rank] if rank < len(marks) else ''}".rstrip()
    return [Segment(text[:columns].center(columns), Style(dim=rank > 0, bold=rank == 0))]
