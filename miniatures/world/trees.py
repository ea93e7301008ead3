"""Trees: the pine and the broad one; the colour is the colour of the leaves.

Local units: the tree stands on y = 0, is about 28 units wide and 44 high.
"""

from collections.abc import Callable

from miniatures.world.palette import RGB, blended, scaled
from miniatures.world.pen import Pen

BARK: RGB = (98, 66, 42)


def draw_tree(pen: Pen, kind: str, colour: RGB, *, night: bool) -> None:
    """Draw a tree of `kind`; night does not change it (it is lit)."""
    del night
    KINDS[kind](pen, colour)


def _pine(pen: Pen, colour: RGB) -> None:
    pen.box(-2, 0, 2, 9, BARK)
    for bottom, width, top in ((7, 14, 23), (17, 11.5, 33), (27, 8.5, 44)):
        pen.polygon([(-width, bottom), (width, bottom), (0, top)], colour)
        pen.polygon([(width * 0.2, bottom), (width, bottom), (0, top)], scaled(colour, 0.82))


def _broad(pen: Pen, colour: RGB) -> None:
    pen.polygon([(-3, 0), (3, 0), (2, 20), (-2, 20)], BARK)
    pen.polygon([(0, 12), (7, 22), (5, 23), (-1, 15)], BARK)
    light = blended(colour, (255, 255, 255), 0.16)
    for x, y, radius in ((-8.5, 24, 7.5), (8.5, 24, 7.5), (0, 31, 11.5), (-5, 36, 7), (6, 35, 7)):
        pen.disc(x, y, radius, colour)
    for x, y in ((-7, 26), (1, 38), (8, 28), (0, 27)):
        pen.disc(x, y, 2, light)


KINDS: dict[str, Callable[[Pen, RGB], None]] = {"pine": _pine, "broad": _broad}
"""Kind -> how it is drawn."""
