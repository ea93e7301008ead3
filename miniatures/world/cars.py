"""Cars, seen from the side: sedan, beetle, SUV and truck.

Local units: the car stands on y = 0, is 40 units long (x from -20 to 20) and faces right.
"""

from collections.abc import Callable

from miniatures.world.palette import GLASS, LAMP, RGB, TYRE, accented, blended, scaled
from miniatures.world.pen import Pen

BEAM: RGB = (255, 240, 150)
TAIL_LIGHT: RGB = (200, 20, 30)
HUB: RGB = (188, 190, 196)
SHADOW: RGB = (20, 20, 26)


def draw_car(pen: Pen, kind: str, colour: RGB, *, night: bool) -> None:
    """Draw a car of `kind`; at night its headlight throws a beam."""
    pen.polygon([(-21, 0), (-17, -1.6), (18, -1.6), (22, 0), (18, 1), (-18, 1)], SHADOW, 0.45)
    KINDS[kind](pen, colour)
    if night:
        pen.polygon([(19.5, 8.5), (34, 12.5), (34, 0.5), (19.5, 6.5)], BEAM, 0.55)


def _wheels(pen: Pen, rear: float, front: float, radius: float) -> None:
    for x in (rear, front):
        pen.disc(x, radius, radius, TYRE)
        pen.disc(x, radius, radius * 0.48, HUB)


def _lights(pen: Pen, height: float) -> None:
    pen.ellipse(18.6, height, 1.3, 1.5, LAMP)
    pen.box(-20, height - 1.2, -18.4, height + 1.2, TAIL_LIGHT)


def _sedan(pen: Pen, colour: RGB) -> None:
    pen.polygon(
        [
            *((-20, 4), (-20, 10), (-18, 12), (-11.5, 12.5), (-6, 19)),
            *((5.5, 19), (12, 12.3), (18, 10.8), (20, 8.5), (20, 4)),
        ],
        colour,
    )
    pen.polygon([(-20, 3), (20, 3), (20, 5.5), (-20, 5.5)], scaled(colour, 0.72))
    pen.polygon([(-9, 12.4), (-5, 17.6), (-0.7, 17.6), (-0.7, 12.4)], GLASS)
    pen.polygon([(0.7, 12.4), (0.7, 17.6), (5, 17.6), (9.8, 12.4)], GLASS)
    pen.box(-0.3, 5.5, 0.3, 12.4, accented(colour))
    _lights(pen, 9)
    _wheels(pen, -11.5, 11.5, 4.6)


def _beetle(pen: Pen, colour: RGB) -> None:
    pen.dome(-0.5, 4.5, 15.5, 17.5, colour)
    pen.ellipse(12.5, 6.2, 7.5, 5.6, scaled(colour, 0.86))
    pen.ellipse(-12.5, 6.2, 7.5, 5.6, scaled(colour, 0.86))
    pen.box(-13, 3, 13, 6.5, colour)
    pen.box(-7, 2.6, 7, 4.2, scaled(colour, 0.66))
    pen.polygon([(-9, 13), (-6.5, 17.6), (-1, 19.6), (-1, 13)], GLASS)
    pen.polygon([(0.6, 13), (0.6, 19.6), (5.5, 17.6), (8, 13)], GLASS)
    pen.box(-0.6, 5.5, 0, 13, accented(colour))
    _lights(pen, 8)
    _wheels(pen, -11.5, 11.5, 4.8)


def _suv(pen: Pen, colour: RGB) -> None:
    pen.rounded(-20, 5, 20, 14.5, 1.5, colour)
    pen.polygon([(-19.5, 13), (-18.5, 23), (7, 23), (11.5, 13)], colour)
    pen.box(-15, 23, 4, 24, TYRE)
    pen.box(-20, 4, 20, 6.8, blended(colour, TYRE, 0.55))
    pen.polygon([(-17.5, 14.5), (-16.8, 21.3), (-9.5, 21.3), (-9.5, 14.5)], GLASS)
    pen.polygon([(-8, 14.5), (-8, 21.3), (-1, 21.3), (-1, 14.5)], GLASS)
    pen.polygon([(0.5, 14.5), (0.5, 21.3), (6, 21.3), (9, 14.5)], GLASS)
    pen.box(-22, 9, -20, 16, TYRE)
    _lights(pen, 11.5)
    _wheels(pen, -12, 12, 5.4)


def _truck(pen: Pen, colour: RGB) -> None:
    pen.box(-20, 5, 20, 8, scaled(colour, 0.7))
    pen.box(-20, 7, -1.5, 14, colour)
    pen.box(-19, 13, -2.5, 14.6, accented(colour))
    for x in (-15.5, -11, -6.5):
        pen.box(x - 0.3, 7.5, x + 0.3, 13, accented(colour))
    pen.polygon([(-1.5, 7), (-1.5, 24), (8, 24), (13, 15), (20, 13.5), (20, 7)], colour)
    pen.polygon([(1, 15), (1, 22), (7, 22), (10.8, 15)], GLASS)
    _lights(pen, 11)
    _wheels(pen, -12, 12, 5.2)


KINDS: dict[str, Callable[[Pen, RGB], None]] = {
    "sedan": _sedan,
    "beetle": _beetle,
    "suv": _suv,
    "truck": _truck,
}
"""Kind -> how it is drawn."""
