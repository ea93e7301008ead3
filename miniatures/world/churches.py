"""Churches: the chapel with a steeple and the basilica with a dome.

Local units: the church stands on y = 0 and is about 36 units wide and 44 high.
"""

from collections.abc import Callable

from miniatures.world.palette import LAMP, RGB, TYRE, accented, blended
from miniatures.world.pen import Pen

SLATE: RGB = (72, 80, 98)
COPPER: RGB = (84, 150, 138)
GOLD: RGB = (226, 184, 60)
STAINED: RGB = (70, 90, 150)
DOOR: RGB = (74, 46, 30)


def draw_church(pen: Pen, kind: str, colour: RGB, *, night: bool) -> None:
    """Draw a church of `kind`; at night its windows are lit."""
    KINDS[kind](pen, colour, LAMP if night else STAINED)


def _cross(pen: Pen, x: float, bottom: float) -> None:
    pen.box(x - 0.6, bottom, x + 0.6, bottom + 7, GOLD)
    pen.box(x - 2.4, bottom + 3.6, x + 2.4, bottom + 4.9, GOLD)


def _arch(pen: Pen, x: float, y: float, width: float, height: float, colour: RGB) -> None:
    pen.box(x - width, y, x + width, y + height, colour)
    pen.dome(x, y + height, width, width * 1.4, colour)


def _chapel(pen: Pen, colour: RGB, glass: RGB) -> None:
    pen.box(-8, 0, 19, 16, colour)
    pen.polygon([(-10, 15.5), (-6, 25), (15, 25), (21, 15.5)], SLATE)
    pen.box(-18, 0, -6, 27, accented(colour))
    pen.box(-17, 0, -7, 27, colour)
    pen.polygon([(-19, 27), (-12, 42), (-5, 27)], SLATE)
    _cross(pen, -12, 41)
    _arch(pen, -12, 17, 1.8, 4, glass)
    _arch(pen, -12, 0, 2.6, 7, DOOR)
    for x in (-1, 6, 13):
        _arch(pen, x, 5, 1.8, 4.5, glass)


def _basilica(pen: Pen, colour: RGB, glass: RGB) -> None:
    pen.box(-20, 0, 20, 17, colour)
    pen.box(-21, 16, 21, 18.5, accented(colour))
    pen.box(-9, 18, 9, 24, colour)
    pen.dome(0, 24, 10, 12, COPPER)
    pen.dome(0, 24, 4, 12, blended(COPPER, TYRE, 0.25))
    _cross(pen, 0, 35)
    for x in (-17, 17):
        pen.dome(x, 18, 3.6, 6, COPPER)
    _arch(pen, 0, 0, 3.4, 8, DOOR)
    for left in (-14.5, -8, 8, 14.5):
        _arch(pen, left, 4, 1.7, 5.5, glass)


KINDS: dict[str, Callable[[Pen, RGB, RGB], None]] = {"chapel": _chapel, "basilica": _basilica}
"""Kind -> how it is drawn with wall colour and window colour."""
