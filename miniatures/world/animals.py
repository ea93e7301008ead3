"""Animals, seen from the side: dog, cat, horse and bird; the colour is that of fur or feathers.

Local units: the animal stands on y = 0, is about 44 units wide, and faces right.
"""

from collections.abc import Callable

from miniatures.world.palette import RGB, accented, blended, scaled
from miniatures.world.pen import Pen

DARK: RGB = (24, 22, 24)
BEAK: RGB = (246, 160, 40)
PUPIL: RGB = (20, 20, 24)
WHITE: RGB = (250, 250, 250)


def draw_animal(pen: Pen, kind: str, colour: RGB, *, night: bool) -> None:
    """Draw an animal of `kind`; night does not change it (it is lit)."""
    del night
    KINDS[kind](pen, colour)


def _eye(pen: Pen, x: float, y: float, radius: float, white: RGB = WHITE) -> None:
    pen.disc(x, y, radius, white)
    pen.disc(x + radius * 0.25, y, radius * 0.6, PUPIL)


def _dog(pen: Pen, colour: RGB) -> None:
    shade = accented(colour)
    for x in (-9, 8):
        pen.box(x - 2.2, 0, x + 2.2, 14, shade)
    pen.polygon([(-13, 17), (-23, 28), (-20, 31), (-10, 22)], colour)
    pen.rounded(-15, 11, 14, 24, 6, colour)
    for x in (-13, 12):
        pen.rounded(x - 2.4, 0, x + 2.4, 15, 1.2, colour)
    pen.polygon([(4, 20), (8, 34), (19, 30), (14, 14)], colour)
    pen.ellipse(14.5, 32, 8, 7, colour)
    pen.rounded(17, 26, 27, 33, 2.6, blended(colour, WHITE, 0.25))
    pen.disc(26, 31.8, 1.9, DARK)
    pen.polygon([(8, 37), (4, 25), (8, 22), (12.5, 33)], shade)
    _eye(pen, 17.5, 34.6, 1.9)
    pen.box(7.5, 21.5, 13, 24, (214, 40, 40))


def _cat(pen: Pen, colour: RGB) -> None:
    shade = accented(colour)
    pen.polygon([(-8, 1), (-16, 2), (-22, 9), (-22, 20), (-17, 20), (-17, 11), (-8, 8)], colour)
    pen.disc(-19.5, 20, 2.5, colour)
    pen.ellipse(-2, 11, 12, 12, colour)
    pen.ellipse(2, 18, 8.5, 10, colour)
    for x in (2.0, 7.5):
        pen.rounded(x - 2.2, 0, x + 2.2, 14, 2, colour)
        pen.box(x + 2, 0.5, x + 2.7, 11, shade)
    for x in (-3.0, 11.0):
        pen.polygon([(x - 4.5, 34), (x, 45), (x + 4.5, 34)], colour)
        pen.polygon([(x - 2, 35), (x, 41.5), (x + 2, 35)], (240, 150, 160))
    pen.ellipse(4, 31, 11, 9, colour)
    for x in (0.0, 8.4):
        pen.ellipse(x, 32.4, 2.6, 2.4, (150, 230, 70))
        pen.ellipse(x, 32.4, 0.9, 2.2, PUPIL)
    pen.polygon([(2.8, 29.2), (5.6, 29.2), (4.2, 27.6)], (236, 110, 130))
    for side in (-1, 1):
        for y in (26.6, 28.4):
            near, far = 4.2 + side * 4, 4.2 + side * 15
            pen.polygon([(near, y), (far, y + 1), (far, y + 0.3)], shade)


def _horse(pen: Pen, colour: RGB) -> None:
    shade, mane = accented(colour), blended(scaled(colour, 0.45), DARK, 0.4)
    if sum(colour) < 150:
        mane = (120, 100, 84)
    pen.polygon([(-15, 27), (-22, 22), (-23, 8), (-18, 7), (-15, 20)], mane)
    for x in (-9.0, 7.0):
        pen.box(x - 1.8, 0, x + 1.8, 18, shade)
    pen.rounded(-17, 16, 13, 29, 6, colour)
    for x in (-14, 10.5):
        pen.polygon([(x - 2.8, 18), (x + 2.8, 18), (x + 1.7, 2), (x - 1.7, 2)], colour)
        pen.box(x - 1.9, 0, x + 1.9, 2.4, DARK)
    pen.polygon([(2, 26), (12, 44), (20, 41), (13, 18)], colour)
    pen.polygon([(11, 44), (19, 45), (29, 34), (26.5, 30), (17, 36)], colour)
    pen.polygon([(12, 44), (13, 48), (16, 44.5)], colour)
    pen.polygon([(0, 27), (9, 45), (13.5, 45.5), (6, 27)], mane)
    pen.disc(26.8, 32.6, 0.8, DARK)
    _eye(pen, 18, 41, 1.6)


def _bird(pen: Pen, colour: RGB) -> None:
    for x in (-2, 4):
        pen.box(x - 0.7, 0, x + 0.7, 11, BEAK)
        pen.polygon([(x - 2.5, 0), (x + 4, 0), (x, 2)], BEAK)
    pen.polygon([(-11, 22), (-26, 27), (-27, 20), (-12, 14)], accented(colour))
    pen.ellipse(0, 19, 14.5, 10, colour)
    pen.disc(12, 30, 8, colour)
    pen.polygon([(18.5, 32.5), (28, 29.4), (18.5, 27)], BEAK)
    pen.polygon([(4, 23), (-16, 21), (-9, 13), (2, 13)], accented(colour))
    pen.ellipse(4, 16, 7, 4.6, blended(colour, WHITE, 0.3))
    _eye(pen, 14.4, 31.6, 2)


KINDS: dict[str, Callable[[Pen, RGB], None]] = {
    "dog": _dog,
    "cat": _cat,
    "horse": _horse,
    "bird": _bird,
}
"""Kind -> how it is drawn."""
