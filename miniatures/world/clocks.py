"""Clocks, round and square; the colour is that of the rim.

Local units: the clock hangs between y = 0 and 38.
"""

import math
from collections.abc import Callable

from miniatures.world.palette import RGB
from miniatures.world.pen import Pen

DIAL: RGB = (252, 250, 240)
HAND: RGB = (28, 28, 34)
MIDDLE = 19.0
TEN_PAST_TEN = ((math.radians(-57), 7.5, 1.1), (math.radians(60), 11.0, 0.8))
"""Angle from twelve, length and half width of both hands."""


def draw_clock(pen: Pen, kind: str, colour: RGB, *, night: bool) -> None:
    """Draw a clock of `kind`; night does not change it (its dial is lit)."""
    del night
    KINDS[kind](pen, colour)
    for hour in range(12):
        angle = math.pi * hour / 6
        long = 1.5 if hour % 3 == 0 else 0.9
        pen.disc(12.4 * math.sin(angle), MIDDLE + 12.4 * math.cos(angle), long, HAND)
    for angle, length, width in TEN_PAST_TEN:
        along = (math.sin(angle), math.cos(angle))
        across = (along[1] * width, -along[0] * width)
        tip = (along[0] * length, MIDDLE + along[1] * length)
        root = [(across[0], MIDDLE + across[1]), (-across[0], MIDDLE - across[1])]
        pen.polygon([*root, (tip[0] - across[0] / 2, tip[1] - across[1] / 2), tip], HAND)
    pen.disc(0, MIDDLE, 1.6, (206, 40, 40))


def _round(pen: Pen, colour: RGB) -> None:
    pen.disc(0, MIDDLE, 19, HAND)
    pen.disc(0, MIDDLE, 18.2, colour)
    pen.disc(0, MIDDLE, 14.6, DIAL)


def _square(pen: Pen, colour: RGB) -> None:
    pen.box(-18.6, 0.4, 18.6, 37.6, HAND)
    pen.box(-17.8, 1.2, 17.8, 36.8, colour)
    pen.box(-14.4, MIDDLE - 14.4, 14.4, MIDDLE + 14.4, DIAL)


KINDS: dict[str, Callable[[Pen, RGB], None]] = {"round clock": _round, "square clock": _square}
"""Kind -> how it is drawn."""
