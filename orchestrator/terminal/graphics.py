"""Pictures as pixels, for terminals that show them: by kitty's graphics protocol, or as sixels.

A frame leaves the cells of its pictures untouched and says where they lie, as `Tile`s; a `Painter`
says what to write so that they appear there. A picture is sent again only when it, its place or the
screen changed. Nothing is asked of the terminal: how large a cell is (sixels are pixels of the
screen) comes from the kernel, which knows it where the terminal has said so.

kitty's protocol is that of kitty's manual, "Terminal graphics protocol": a PNG in base64, in chunks
of 4096 bytes, scaled by the terminal to the cells that it is given. Sixels are those of the VT340
(its programmer reference, chapter 14): bands of six rows, a pass over each band for every colour.
"""

from __future__ import annotations

import base64
import dataclasses
import fcntl
import functools
import io
import struct
import termios
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Pixels = npt.NDArray[np.uint8]
    Cell = tuple[int, int]
    Encode = Callable[["Tile", int, Cell], str]

Protocol = Literal["kitty", "sixel"]

CLEAR = "\x1b[2J"
FORGET = "\x1b_Ga=d,d=A,q=2\x1b\\"
"""To kitty: every picture of this screen goes, and its pixels."""
CHUNK = 4096
FIRST_ID = 4200
"""kitty numbers pictures; other programs of the same terminal have their own."""
CELL: Cell = (8, 16)
"""Width and height of a cell in pixels where nobody knows: a picture is then rather too small."""
COLOURS = 128


@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """One picture and the cells that it fills.

    Attributes:
        row: of its upper left cell, from 0.
        column: of the same.
        rows: height in cells.
        columns: width in cells.
        image: `(h, w, 3)` uint8.
    """

    row: int
    column: int
    rows: int
    columns: int
    image: Pixels

    def moved(self, rows: int, columns: int) -> Tile:
        """The same, so much lower and further right."""
        return dataclasses.replace(self, row=self.row + rows, column=self.column + columns)

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Where it lies."""
        return self.row, self.column, self.rows, self.columns


class Painter:
    """Fills the holes of the frames of one screen.

    Args:
        protocol: what the terminal understands.
        descriptor: of the terminal's file, of which the size of a cell is asked; None for unknown.
    """

    def __init__(self, protocol: Protocol, descriptor: int | None = None) -> None:
        self._encode: Encode = kitty if protocol == "kitty" else _sixels
        self._clear = CLEAR + FORGET if protocol == "kitty" else CLEAR
        self._descriptor = descriptor
        self._filled: tuple[object, ...] = ()
        self._images: list[bytes] = []

    def paint(self, tiles: Sequence[Tile], screen: tuple[int, int]) -> tuple[str, str]:
        """What to write before the text of a frame, and after it.

        Args:
            tiles: the holes of the frame.
            screen: columns and rows of the terminal.
        """
        cell = cell_size(self._descriptor)
        filled = (screen, cell, *(tile.place for tile in tiles))
        before = ""
        if filled != self._filled:
            self._filled, self._images = filled, []
            before = self._clear
        images = [tile.image.tobytes() for tile in tiles]
        known = self._images or [b""] * len(images)
        after = [
            f"\x1b[{tile.row + 1};{tile.column + 1}H{self._encode(tile, number, cell)}"
            for number, (tile, old, new) in enumerate(zip(tiles, known, images, strict=True))
            if old != new
        ]
        self._images = images
        return before, "".join(after)

    def leave(self) -> str:
        """What to write before the screen is given back."""
        self._filled, self._images = (), []
        return self._clear


def cell_size(descriptor: int | None) -> Cell:
    """Width and height of a cell in pixels, as the kernel knows them."""
    if descriptor is None:
        return CELL
    try:
        said = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return CELL
    rows, columns, width, height = struct.unpack("HHHH", said)
    if not (rows and columns and width >= columns and height >= rows):
        return CELL
    return width // columns, height // rows


def kitty(tile: Tile, number: int, _: Cell) -> str:
    """The picture in place of the one that has this number, at the cursor, which stays."""
    file = io.BytesIO()
    Image.fromarray(tile.image).save(file, "PNG", compress_level=1)
    text = base64.standard_b64encode(file.getvalue()).decode()
    chunks = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    about = f"a=T,f=100,i={FIRST_ID + number},p=1,c={tile.columns},r={tile.rows},C=1,q=2,"
    written = []
    for index, chunk in enumerate(chunks):
        more = int(index < len(chunks) - 1)
        written.append(f"\x1b_G{about if index == 0 else ''}m={more};{chunk}\x1b\\")
    return "".join(written)


def _sixels(tile: Tile, _: int, cell: Cell) -> str:
    """The picture in the pixels of its cells, its proportions kept."""
    height, width = tile.image.shape[:2]
    scale = min(tile.columns * cell[0] / width, tile.rows * cell[1] / height)
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return sixels(tile.image.tobytes(), (width, height), size)


@functools.lru_cache(maxsize=64)  # survivors stay for many generations
def sixels(pixels: bytes, shape: tuple[int, int], size: tuple[int, int]) -> str:
    """A picture as sixels.

    Args:
        pixels: red, green and blue of each, row after row.
        shape: width and height of the picture.
        size: width and height on the screen, in its pixels.
    """
    image = Image.frombytes("RGB", shape, pixels).resize(size, Image.Resampling.BICUBIC)
    few = image.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    indices, palette = np.asarray(few), np.asarray(few.getpalette()).reshape(-1, 3)
    written = [f'\x1bP9;1;0q"1;1;{size[0]};{size[1]}']
    for colour in np.unique(indices):
        red, green, blue = np.rint(palette[colour] / 2.55).astype(int)
        written.append(f"#{colour};2;{red};{green};{blue}")
    for top in range(0, size[1], 6):
        written += [_band(indices[top : top + 6]), "-"]
    return "".join([*written[:-1], "\x1b\\"])


def _band(indices: npt.NDArray[Any]) -> str:
    """Up to six rows: for each colour its dots, then back to the left edge."""
    worth = (1 << np.arange(len(indices)))[:, None]
    passes = []
    for colour in np.unique(indices):
        dots = ((indices == colour) * worth).sum(0)
        passes.append(f"#{colour}{_repeated(dots)}")
    return "$".join(passes)


def _repeated(dots: npt.NDArray[Any]) -> str:
    """Columns of dots as characters, equal neighbours counted; none after the last dot."""
    dots = np.trim_zeros(dots, "b")
    starts = np.flatnonzero(np.diff(dots, prepend=-1))
    lengths = np.diff(starts, append=len(dots))
    written = []
    for value, length in zip(dots[starts].tolist(), lengths.tolist(), strict=True):
        sign = chr(63 + value)
        written.append(f"!{length}{sign}" if length > 3 else sign * length)
    return "".join(written)
