"""Simple shapes of one colour: circle, square, triangle and star.

Local units: the shape stands on y = 0 and is about 36 units wide and high.
"""

import math
from collections.abc import Callable

from miniatures.world.palette import RGB
from miniatures.world.pen import Pen

EDGE: RGB = (34, 34, 40)


def draw_shape(pen: Pen, kind: str, colour: RGB, *, night: bool) -> None:
    """Draw a shape of `kind`, with a thin dark edge; night does not change it."""
    del night
    KINDS[kind](pen, colour)


def _circle(pen: Pen, colour: RGB) -> None:
    pen.disc(0, 18, 18, EDGE)
    pen.disc(0, 18, 17, colour)


def _square(pen: Pen, colour: RGB) -> None:
    pen.box(-16.5, 1.5, 16.5, 34.5, EDGE)
    pen.box(-15.5, 2.5, 15.5, 33.5, colour)


def _triangle(pen: Pen, colour: RGB) -> None:
    pen.polygon([(-20, 1), (20, 1), (0, 37)], EDGE)
    pen.polygon([(-18.2, 2), (18.2, 2), (0, 34.8)], colour)


def _star(pen: Pen, colour: RGB) -> None:
    for radius, fill in ((21.0, EDGE), (19.2, colour)):
        turns = [(radius if i % 2 == 0 else radius * 0.42, math.pi * i / 5) for i in range(10)]
        pen.polygon([(r * math.sin(a), 19 + r * math.cos(a)) for r, a in turns], fill)


KINDS: dict[str, Callable[[Pen, RGB], None]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
}
"""Kind -> how it is drawn."""
