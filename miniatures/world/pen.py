"""A pen that draws in picture units onto a supersampled canvas.

One unit is one pixel of the finished 64x64 picture; the canvas is `OVERSAMPLING` times larger and
is box-filtered down at the end, which is what makes edges smooth. A pen has an origin, a scale
and a facing, so an object is described once, standing on its origin, facing right, y upwards.
"""

from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw

from miniatures.world.palette import RGB

PICTURE_SIZE: Final = 64
OVERSAMPLING: Final = 4

Point = tuple[float, float]


def new_canvas(colour: RGB) -> Image.Image:
    """A canvas of (64 * OVERSAMPLING) pixels a side, filled with `colour`."""
    side = PICTURE_SIZE * OVERSAMPLING
    return Image.new("RGB", (side, side), colour)


class Pen:
    """Draws shapes in units from `origin`; x grows to where the object faces, y upwards."""

    def __init__(
        self, canvas: Image.Image, origin: Point = (0.0, 64.0), scale: float = 1.0, facing: int = 1
    ) -> None:
        """`origin` is in picture units from the top left; `facing` is 1 (right) or -1 (left)."""
        self._draw = ImageDraw.Draw(canvas, "RGBA")
        self._x = origin[0] * OVERSAMPLING
        self._y = origin[1] * OVERSAMPLING
        self._dx = scale * facing * OVERSAMPLING
        self._dy = -scale * OVERSAMPLING

    def polygon(self, points: Sequence[Point], colour: RGB, opacity: float = 1.0) -> None:
        """A filled polygon."""
        placed = [(self._x + x * self._dx, self._y + y * self._dy) for x, y in points]
        self._draw.polygon(placed, fill=(*colour, round(255 * opacity)))

    def box(self, left: float, bottom: float, right: float, top: float, colour: RGB) -> None:
        """A filled rectangle."""
        self._draw.rectangle(self._corners(left, bottom, right, top), fill=colour)

    def rounded(
        self, left: float, bottom: float, right: float, top: float, radius: float, colour: RGB
    ) -> None:
        """A filled rectangle with round corners of `radius` units."""
        corners = self._corners(left, bottom, right, top)
        self._draw.rounded_rectangle(corners, radius=radius * abs(self._dx), fill=colour)

    def ellipse(self, x: float, y: float, width: float, height: float, colour: RGB) -> None:
        """A filled ellipse around (x, y) with these half axes."""
        self._draw.ellipse(self._corners(x - width, y - height, x + width, y + height), fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: RGB) -> None:
        """A filled circle."""
        self.ellipse(x, y, radius, radius, colour)

    def ring(self, x: float, y: float, radius: float, width: float, colour: RGB) -> None:
        """A circle that is `width` units thick, inwards from `radius`."""
        corners = self._corners(x - radius, y - radius, x + radius, y + radius)
        self._draw.ellipse(corners, outline=colour, width=round(width * abs(self._dx)))

    def dome(self, x: float, y: float, width: float, height: float, colour: RGB) -> None:
        """The upper half of an ellipse that stands on y."""
        corners = self._corners(x - width, y - height, x + width, y + height)
        self._draw.pieslice(corners, 180, 360, fill=colour)

    def _corners(
        self, left: float, bottom: float, right: float, top: float
    ) -> tuple[float, float, float, float]:
        """Canvas corners in the order that PIL wants, whatever the facing."""
        xs = sorted((self._x + left * self._dx, self._x + right * self._dx))
        ys = sorted((self._y + bottom * self._dy, self._y + top * self._dy))
        return xs[0], ys[0], xs[1], ys[1]
