"""Pictures as files: the population as one grid, the best one with its recipe inside.

Everything here turns arrays into bytes and back; who writes them to disk is `RunFolder`.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from orchestrator.runs.storage import storing, to_json
from protocol.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Pixels = npt.NDArray[np.uint8]

RECIPE_KEY = "glasshouse"
GAP = 2
"""Pixels between the pictures of a grid."""
GREATEST_SIDE = 4096
"""Pixels along a grid's longer side, at most; WebP itself ends at 16383."""
GREATEST_TILE = 256
"""Pixels along a picture's longer side within a grid, at most."""
FILM_SIDE = 768
"""Pixels along a film's longer side, at most."""
MOST_FRAMES = 100
FRAME_MS, LAST_MS = 400, 2500


def grid(images: Pixels) -> Pixels:
    """All pictures in one, row by row from the top left, on black.

    As nearly square as it goes. Pictures are made smaller, by a whole factor, where the grid would
    otherwise be too large.

    Args:
        images: `(n, h, w, 3)` uint8, n at least 1, best first.

    Returns:
        `(rows * (h' + 2) - 2, columns * (w' + 2) - 2, 3)` uint8.

    Raises:
        ValueError: the images have another shape or type.
    """
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or not images.size:
        raise ValueError(
            "Expected images to be a (n, h, w, 3) uint8 array with n of at least 1 "
            f"but it was {images.shape} {images.dtype}"
        )
    columns, rows = _across_and_down(len(images))
    side = min(GREATEST_TILE, GREATEST_SIDE // columns - GAP)
    images = _shrink(images, math.ceil(max(images.shape[1:3]) / max(1, side)))
    height, width = images.shape[1] + GAP, images.shape[2] + GAP
    canvas = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * height, index % columns * width
        canvas[top : top + height - GAP, left : left + width - GAP] = image
    return canvas[:-GAP, :-GAP]


def read_grid(path: Path, count: int) -> Pixels:
    """The pictures of a file that `grid` made of `count` of them, `(count, h, w, 3)` uint8.

    Raises:
        BadRequestError: the file is no such grid.
        StorageError: it cannot be read.
    """
    with storing("read a picture", path):
        content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise BadRequestError(f"Wanted a grid of pictures, but {path} is none.") from None
    columns, rows = _across_and_down(count)
    height, width = (pixels.shape[0] + GAP) // rows, (pixels.shape[1] + GAP) // columns
    if min(height, width) <= GAP:
        raise BadRequestError(f"Wanted a grid of {count} pictures, but {path} is too small.")
    corners = ((index // columns * height, index % columns * width) for index in range(count))
    tiles = [pixels[top : top + height - GAP, left : left + width - GAP] for top, left in corners]
    return np.stack(tiles)


def _across_and_down(count: int) -> tuple[int, int]:
    """Columns and rows of a grid, as nearly square as it goes."""
    columns = math.ceil(math.sqrt(count))
    return columns, math.ceil(count / columns)


def _shrink(images: Pixels, factor: int) -> Pixels:
    """The images reduced by averaging blocks of `factor` by `factor`."""
    if factor <= 1:
        return images
    return np.stack([np.asarray(Image.fromarray(image).reduce(factor)) for image in images])


def webp(image: Pixels) -> bytes:
    """`image`, `(h, w, 3)` uint8, as a WebP file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", quality=85, method=2)
    return file.getvalue()


def readable(path: Path) -> bool:
    """Whether a file is a whole picture."""
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def film(paths: Sequence[Path]) -> bytes:
    """Pictures one after the other as an animated WebP that stands still on the last one.

    Args:
        paths: files of pictures, in order, at least one; all are made as large as the last.
    """
    if len(paths) > MOST_FRAMES:
        kept = np.linspace(0, len(paths) - 1, MOST_FRAMES).round().astype(int)
        paths = [paths[index] for index in kept]
    with Image.open(paths[-1]) as last:
        last.thumbnail((FILM_SIDE, FILM_SIDE))
        size = last.size
    frames = []
    for path in paths:
        with Image.open(path) as image:
            frames.append(image.convert("RGB").resize(size, Image.Resampling.BOX))
    file = io.BytesIO()
    waits = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    frames[0].save(
        file, "WEBP", save_all=True, append_images=frames[1:], duration=waits, loop=0, quality=80,
        method=2,
    )  # fmt: skip
    return file.getvalue()


def png(image: Pixels, recipe: Mapping[str, Any]) -> bytes:
    """`image`, `(h, w, 3)` uint8, as a PNG file that carries `recipe`."""
    text = PngImagePlugin.PngInfo()
    text.add_itxt(RECIPE_KEY, to_json(recipe).decode())
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", pnginfo=text, compress_level=3)
    return file.getvalue()


def read_pixels(path: Path) -> Pixels:
    """A saved picture, (height, width, 3) uint8.

    Raises:
        StorageError: it cannot be read.
    """
    with storing("read a picture", path), Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def read_recipe(path: Path | str) -> dict[str, Any]:
    """What a picture saved by a run says about how it was made.

    Raises:
        BadRequestError: the file is no picture, or carries no recipe.
        StorageError: the file cannot be read.
    """
    path = Path(path)
    with storing("read a picture", path):
        content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            found = str(image.info.get(RECIPE_KEY, ""))
        return msgspec.json.decode(found, type=dict[str, Any])
    except (OSError, SyntaxError, ValueError, msgspec.MsgspecError, Image.DecompressionBombError):
        raise BadRequestError(
            f"Wanted a PNG with a Glasshouse recipe, but {path} carries none: "
            "name the best.png of a run folder."
        ) from None
