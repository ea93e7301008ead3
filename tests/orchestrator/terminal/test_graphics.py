"""Pictures as pixels: what is sent is read back as a terminal would read it."""

import base64
import dataclasses
import io
import os
import pty
import re
import struct
import termios
from collections.abc import Callable
from fcntl import ioctl
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator.terminal import Snapshot
from orchestrator.terminal.graphics import CELL, CLEAR, FORGET, Painter, Tile, cell_size, sixels
from orchestrator.terminal.halfblock import thumbnails
from orchestrator.terminal.live import LiveDisplay

SCREEN = (80, 24)
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def picture(seed: int, size: int = 64) -> Pixels:
    """Noise, which no codec can guess."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def kittens(written: str) -> list[tuple[dict[str, str], bytes]]:
    """The commands of kitty's protocol, those in chunks put together."""
    found: list[tuple[dict[str, str], str]] = []
    more = False
    for keys, chunk in re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", written):
        assert len(chunk) <= 4096
        said = dict(pair.split("=") for pair in keys.split(","))
        if more:
            found[-1] = (found[-1][0], found[-1][1] + chunk)
        else:
            found.append((said, chunk))
        more = said["m"] == "1"
    assert not more
    return [(said, base64.b64decode(text, validate=True)) for said, text in found]


def read_sixels(written: str) -> Pixels:
    """The picture that a terminal would show; pixels without a colour are 0."""
    start = re.match(r'\x1bP9;1;0q"1;1;(\d+);(\d+)', written)
    assert start is not None
    assert written.endswith("\x1b\\")
    width, height = int(start[1]), int(start[2])
    shown = np.zeros((height + 5, width, 3), np.uint8)
    palette: dict[int, list[int]] = {}
    left = top = colour = 0
    token = r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|([$-])"
    for one in re.finditer(token, written[start.end() : -2]):
        if one[1]:
            palette[int(one[1])] = [round(int(part) * 2.55) for part in one.group(2, 3, 4)]
        elif one[5]:
            colour = int(one[5])
        elif one[9]:
            left, top = 0, top + 6 * (one[9] == "-")
        else:
            times, bits = int(one[6] or 1), ord(one[7] or one[8]) - 63
            for row in range(6):
                if bits >> row & 1:
                    shown[top + row, left : left + times] = palette[colour]
            left += times
            assert left <= width
    assert not shown[height:].any()
    return shown[:height]


def test_kitty_is_sent_the_very_picture_and_where_it_goes() -> None:
    image = picture(1)
    _, after = Painter("kitty").paint([Tile(3, 7, 5, 10, image)], SCREEN)
    assert after.startswith("\x1b[4;8H")
    ((said, png),) = kittens(after)
    assert {key: said[key] for key in ("a", "f", "c", "r", "C", "q")} == {
        "a": "T", "f": "100", "c": "10", "r": "5", "C": "1", "q": "2",
    }  # fmt: skip
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), image)


def test_sixels_show_the_picture() -> None:
    flat = np.zeros((12, 10, 3), np.uint8)
    flat[:5, :4] = (255, 0, 102)
    flat[5:, 4:] = (0, 255, 51)
    shown = read_sixels(sixels(flat.tobytes(), (10, 12), (10, 12)))
    assert np.abs(shown.astype(int) - flat).max() <= 3  # colours are sent in percent


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (120, 119)])
def test_sixels_of_any_size(size: tuple[int, int]) -> None:
    smooth = np.linspace(0, 255, 48 * 32 * 3).astype(np.uint8).reshape(48, 32, 3)
    shown = read_sixels(sixels(smooth.tobytes(), (32, 48), size))
    wanted = Image.fromarray(smooth).resize(size, Image.Resampling.BICUBIC)
    assert np.abs(shown.astype(int) - np.asarray(wanted)).mean() < 4


def test_only_what_changed_is_sent_again() -> None:
    tiles = [Tile(0, 0, 5, 10, picture(1)), Tile(0, 11, 5, 10, picture(2))]
    painter = Painter("kitty")
    before, after = painter.paint(tiles, SCREEN)
    assert before == CLEAR + FORGET
    assert len(kittens(after)) == 2
    assert painter.paint(tiles, SCREEN) == ("", "")
    other = [tiles[0], dataclasses.replace(tiles[1], image=picture(3))]
    before, after = painter.paint(other, SCREEN)
    assert before == ""
    assert after.startswith("\x1b[1;12H")
    assert len(kittens(after)) == 1
    before, after = painter.paint([tile.moved(1, 0) for tile in other], SCREEN)
    assert before == CLEAR + FORGET
    assert len(kittens(after)) == 2
    assert painter.paint([], SCREEN) == (CLEAR + FORGET, "")
    assert painter.paint(tiles, (90, 30))[0] == CLEAR + FORGET


def test_the_kernel_knows_the_size_of_a_cell() -> None:
    master, slave = pty.openpty()
    try:
        termios.tcsetwinsize(slave, (24, 80))
        assert cell_size(slave) == CELL
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 800, 480))
        assert cell_size(slave) == (10, 20)
        tile = Tile(0, 0, 3, 5, picture(1))
        _, after = Painter("sixel", slave).paint([tile], SCREEN)
        assert 'q"1;1;50;50#' in after, "as large as fits into 50 by 60 pixels"
    finally:
        os.close(master)
        os.close(slave)
    assert cell_size(None) == CELL
    assert cell_size(slave) == CELL, "nobody has that file any more"


def test_holes_lie_where_half_blocks_would() -> None:
    images = np.stack([picture(n) for n in range(6)])
    scores = [0.3 - 0.01 * n for n in range(6)]
    blocks = thumbnails(images, scores, 48, 13)
    found = thumbnails(images, scores, 48, 13, holes=True)
    assert blocks is not None
    assert found is not None
    assert (len(found.lines), found.columns) == (len(blocks.lines), blocks.columns)
    for tile, image in zip(found.tiles, images, strict=True):
        assert np.array_equal(tile.image, image)
        for row in range(tile.row, tile.row + tile.rows):
            cells = [segment.text for segment in blocks.lines[row]]
            assert set(cells[tile.column : tile.column + tile.columns]) == {"▀"}
            assert [segment.text for segment in found.lines[row]] == [f"\x1b[{found.columns}C"]


@pytest.mark.parametrize("protocol", ["kitty", "sixel"])
def test_the_display_sends_pixels_once_and_leaves_half_blocks(
    snapshot: Snapshot, terminal: Callable[..., Any], protocol: Any
) -> None:
    console = terminal(120, 40)
    sign = "\x1b_Ga=T" if protocol == "kitty" else "\x1bP9;1;0q"
    display = LiveDisplay(console, images=True, painter=Painter(protocol))
    display.update(snapshot)
    display._draw()
    drawn = console.file.getvalue()
    assert drawn.count(sign) == 12
    assert "▀" not in drawn
    display.update(dataclasses.replace(snapshot, generation=13))
    display._draw()
    assert console.file.getvalue().count(sign) == 12
    display._leave()
    left = console.file.getvalue()[len(drawn) :]
    assert left.count(sign) == 0
    assert "▀" in left
    assert display.draw_errors == 0
