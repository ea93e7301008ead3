"""Churches: the chapel with a steeple, the basilica with a dome, the gothic and the orthodox one.

Local units: the church stands on y = 0 and is about 36 units wide and 44 high.
"""

from collections.abc import Callable

from miniatures.world.palette import LAMP, RGB, TYRE, accented, blended
from miniatures.world.pen import Pen

SLATE: RGB = (72, 80, 98)
COPPER: RGB = (84, 150, 138)
GOLD: RGB = (226, 184, 60)
STAINED: RGB = (70, 90, 150)
ONION: RGB = (40, 146, 116)
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


def _pointed(pen: Pen, x: float, y: float, width: float, height: float, colour: RGB) -> None:
    """A window or door that ends in a point."""
    pen.box(x - width, y, x + width, y + height, colour)
    pen.polygon(
        [(x - width, y + height), (x, y + height + 2.6 * width), (x + width, y + height)], colour
    )


def _gothic(pen: Pen, colour: RGB, glass: RGB) -> None:
    pen.box(-10, 0, 10, 25, colour)
    pen.polygon([(-10, 25), (0, 34), (10, 25)], accented(colour))
    for x in (-13.5, 13.5):
        pen.box(x - 5.5, 0, x + 5.5, 30, colour)
        pen.box(x - 5.5, 16, x + 5.5, 17.2, accented(colour))
        pen.polygon([(x - 6, 30), (x, 51), (x + 6, 30)], SLATE)
        for side in (-4.6, 4.6):
            pen.polygon(
                [(x + side - 1.1, 30), (x + side, 36), (x + side + 1.1, 30)], accented(colour)
            )
        _pointed(pen, x, 20, 1.6, 4, glass)
        _pointed(pen, x, 4, 1.6, 5, glass)
    pen.disc(0, 20.5, 4.6, accented(colour))
    pen.disc(0, 20.5, 3.6, glass)
    pen.disc(0, 20.5, 1.2, accented(colour))
    _pointed(pen, 0, 0, 3.6, 6, DOOR)


def _onion(pen: Pen, x: float, y: float, width: float, colour: RGB) -> None:
    """An onion dome of half `width` standing on y, with its cross."""
    profile = ((0.6, 0), (0.96, 0.45), (1, 0.8), (0.8, 1.2), (0.36, 1.6), (0.1, 2.0))
    right = [(x + share * width, y + up * width) for share, up in profile]
    left = [(2 * x - px, py) for px, py in reversed(right)]
    pen.polygon([*right, (x, y + 2.3 * width), *left], colour)
    gleam = ((-0.5, 0.3), (-0.1, 1.5), (-0.1, 0.3))
    light = blended(colour, (255, 255, 255), 0.4)
    pen.polygon([(x + px * width, y + py * width) for px, py in gleam], light)
    top = y + 2.2 * width
    pen.box(x - 0.5, top, x + 0.5, top + 4.6, GOLD)
    pen.box(x - 1.7, top + 2.2, x + 1.7, top + 3.2, GOLD)


def _orthodox(pen: Pen, colour: RGB, glass: RGB) -> None:
    pen.box(-19, 0, 19, 16, colour)
    for x in (-12.6, 0, 12.6):
        pen.dome(x, 16, 6.3, 4.6, colour)
    pen.box(-19, 14.4, 19, 15.6, accented(colour))
    for x, width, height in ((-13.5, 3.4, 22), (13.5, 3.4, 22), (0, 4.6, 27)):
        pen.box(x - width, 16, x + width, height, colour)
        pen.box(x - width, height - 1.4, x + width, height, accented(colour))
        pen.box(x - 0.8, height - 5, x + 0.8, height - 2, glass)
    for x in (-13.5, 13.5):
        _onion(pen, x, 22, 5.4, ONION)
    _onion(pen, 0, 27, 7.2, GOLD)
    _arch(pen, 0, 0, 3, 6.5, DOOR)
    for x in (-12.6, 12.6):
        _arch(pen, x, 4, 1.8, 5, glass)


KINDS: dict[str, Callable[[Pen, RGB, RGB], None]] = {
    "chapel": _chapel,
    "basilica": _basilica,
    "gothic": _gothic,
    "orthodox": _orthodox,
}
"""Kind -> how it is drawn with wall colour and window colour."""
