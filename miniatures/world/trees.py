"""Trees: the pine, the broad one and the palm; the colour is the colour of the leaves.

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


def _palm(pen: Pen, colour: RGB) -> None:
    pen.polygon([(-6, 0), (-1, 0), (3, 31), (-0.5, 31)], BARK)
    for side, reach, drop in ((-1, 19, 12), (1, 19, 12), (-1, 20, -1), (1, 20, -1), (-1, 9, -12)):
        tip = (1 + side * reach, 31 - drop)
        bend = (1 + side * reach * 0.55, 36 - drop * 0.2)
        back = (1 + side * reach * 0.45, 29.5 - drop * 0.3)
        pen.polygon([(1, 33), bend, tip, back, (1, 29)], colour)
    pen.polygon([(0, 32), (6, 45), (12, 41), (4, 31)], scaled(colour, 0.82))
    for x in (-1.6, 3):
        pen.disc(x, 28.6, 1.9, (120, 70, 30))


KINDS: dict[str, Callable[[Pen, RGB], None]] = {"pine": _pine, "broad": _broad, "palm": _palm}
"""Kind -> how it is drawn."""
