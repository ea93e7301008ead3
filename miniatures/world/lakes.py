"""Lakes and ponds in the foreground; the colour is that of the water.

Local units: the nearer shore is at y = 0; a lake is 60 units wide.
"""

from collections.abc import Callable

from miniatures.world.palette import RGB, blended
from miniatures.world.pen import Pen

SHORE: RGB = (216, 194, 146)
REED: RGB = (70, 122, 54)
LILY: RGB = (60, 160, 76)
FOAM: RGB = (255, 255, 255)


def draw_lake(pen: Pen, kind: str, colour: RGB, *, night: bool) -> None:
    """Draw a lake or a pond; night does not change its water."""
    del night
    KINDS[kind](pen, colour)


def _ripples(pen: Pen, colour: RGB, places: tuple[tuple[float, float], ...]) -> None:
    for x, y in places:
        pen.ellipse(x, y, 5.5, 0.55, blended(colour, FOAM, 0.45))


def _lake(pen: Pen, colour: RGB) -> None:
    pen.ellipse(0, 9.5, 31, 10.5, SHORE)
    pen.ellipse(0, 9.8, 29.2, 9, colour)
    _ripples(pen, colour, ((-14, 12), (2, 15), (14, 10), (-4, 7), (8, 4.5), (-18, 7)))
    pen.polygon([(4, 11), (15, 11), (13, 9), (6, 9)], (120, 76, 44))
    pen.polygon([(9, 11.4), (9, 21), (15, 12.2)], (250, 250, 250))


def _pond(pen: Pen, colour: RGB) -> None:
    pen.ellipse(0, 8.5, 22, 9.5, REED)
    pen.ellipse(0, 8.7, 20, 8, colour)
    _ripples(pen, colour, ((-6, 12), (8, 6)))
    for x, y in ((-9.0, 7.0), (-2.0, 4.5), (7.0, 11.0), (12.0, 8.5)):
        pen.ellipse(x, y, 2.8, 1.4, LILY)
    pen.disc(-2, 5.4, 1.1, (250, 150, 190))
    for reed, height in ((-20, 17), (-17.5, 21), (-15, 16), (17, 20), (19.5, 16)):
        pen.box(reed - 0.5, 7, reed + 0.5, 7 + height, REED)
        pen.rounded(reed - 1.2, 5 + height, reed + 1.2, 10 + height, 1, (110, 66, 36))


KINDS: dict[str, Callable[[Pen, RGB], None]] = {"lake": _lake, "pond": _pond}
"""Kind -> how it is drawn."""
