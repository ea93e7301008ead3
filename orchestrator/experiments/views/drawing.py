"""What figures have in common: one look, and panels side by side."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

LOOK: Final[Any] = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
INCH_WIDE, INCH_HIGH = 3.2, 2.5


def panels(
    rows: int,
    columns: int,
    draw: Callable[[npt.NDArray[Any]], None],
    size: tuple[float, float] = (INCH_WIDE, INCH_HIGH),
) -> Figure:
    """A figure of (rows, columns) axes, which `draw` gets; `size` is of one, inches."""
    wide, high = size
    with rc_context(LOOK):
        size = (wide * columns + 0.4, high * rows + 0.3)
        figure = Figure(figsize=size, layout="constrained", dpi=120)
        draw(figure.subplots(rows, columns, squeeze=False))
        return figure


def picture(file: bytes) -> npt.NDArray[np.uint8]:
    """(h, w, 3) uint8 of a picture's file."""
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))


def show(axes: Any, file: bytes | None, title: str = "") -> None:
    """A picture without ticks; nothing where there is none."""
    axes.axis("off")
    if file is not None:
        axes.imshow(picture(file), interpolation="nearest")
    if title:
        axes.set_title(title, fontsize=6)


def webp(figure: Figure) -> bytes:
    """The figure as a WebP file."""
    file = io.BytesIO()
    with rc_context(LOOK):
        figure.savefig(file, format="png", bbox_inches="tight")
    out = io.BytesIO()
    with Image.open(file) as image:
        image.convert("RGB").save(out, "WEBP", quality=88, method=4)
    return out.getvalue()
