"""Houses: the cottage with a pitched roof and the block with a flat one.

Local units: the house stands on y = 0 and is about 34 units wide and 36 high.
"""

from collections.abc import Callable

from miniatures.world.palette import GLASS, LAMP, RGB, accented, blended
from miniatures.world.pen import Pen

ROOF: RGB = (108, 52, 44)
DOOR: RGB = (84, 54, 36)
CHIMNEY: RGB = (126, 92, 84)


def draw_house(pen: Pen, kind: str, colour: RGB, *, night: bool) -> None:
    """Draw a house of `kind`; at night its windows are lit."""
    KINDS[kind](pen, colour, LAMP if night else GLASS)


def _window(pen: Pen, x: float, y: float, colour: RGB) -> None:
    pen.box(x - 2.6, y - 2.6, x + 2.6, y + 2.6, (250, 250, 250))
    pen.box(x - 2, y - 2, x - 0.3, y + 2, colour)
    pen.box(x + 0.3, y - 2, x + 2, y + 2, colour)


def _cottage(pen: Pen, colour: RGB, glass: RGB) -> None:
    pen.box(8, 24, 12.5, 37, CHIMNEY)
    pen.box(-16, 0, 16, 20, colour)
    pen.polygon([(-20, 19.5), (0, 36), (20, 19.5)], ROOF)
    pen.polygon([(-20, 19.5), (-16, 22.8), (16, 22.8), (20, 19.5)], blended(ROOF, (0, 0, 0), 0.25))
    pen.box(-3.5, 0, 3.5, 11, DOOR)
    pen.disc(2, 5.5, 0.7, LAMP)
    for x in (-10, 10):
        _window(pen, x, 11, glass)


def _block(pen: Pen, colour: RGB, glass: RGB) -> None:
    pen.box(-15, 0, 15, 38, colour)
    pen.box(-16.5, 36, 16.5, 39, accented(colour))
    for y in (11, 20, 29):
        for x in (-9, 0, 9):
            _window(pen, x, y + 1, glass)
    pen.box(-3.2, 0, 3.2, 7.5, DOOR)


KINDS: dict[str, Callable[[Pen, RGB, RGB], None]] = {"cottage": _cottage, "block": _block}
"""Kind -> how it is drawn with wall colour and window colour."""
