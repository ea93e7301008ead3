"""Faces: a man or a woman, head and shoulders; the colour is the colour of the hair.

Local units: the shoulders stand on y = 0, the head reaches to about 44 and is 24 wide.
"""

from miniatures.world.palette import RGB, blended
from miniatures.world.pen import Pen

SKIN: RGB = (236, 188, 152)
SHIRT: RGB = (70, 92, 124)
DRESS: RGB = (148, 60, 84)
EYE: RGB = (40, 34, 34)
LIPS: dict[str, RGB] = {"man": (168, 104, 92), "woman": (196, 48, 62)}
KINDS = ("man", "woman")


def draw_face(pen: Pen, kind: str, colour: RGB, *, night: bool) -> None:
    """Draw a `man` or a `woman` with hair of `colour`; by night the skin is a little darker."""
    skin = blended(SKIN, (90, 80, 110), 0.2) if night else SKIN
    if kind == "woman":
        pen.rounded(-14.5, 4, 14.5, 41, 12, colour)
    pen.rounded(-17, -8, 17, 10, 7, DRESS if kind == "woman" else SHIRT)
    pen.box(-4.5, 7, 4.5, 15, blended(skin, (60, 30, 20), 0.2))
    _hair_and_head(pen, kind, colour, skin)
    _features(pen, kind, skin)


def _hair_and_head(pen: Pen, kind: str, colour: RGB, skin: RGB) -> None:
    pen.ellipse(0, 29, 12.6, 15, colour)
    for x in (-11.2, 11.2):
        pen.ellipse(x, 25, 2, 3, skin)
    pen.ellipse(0, 25, 11, 13.6, skin)
    pen.dome(0, 32.5, 11.6, 11.5, colour)
    if kind == "woman":
        pen.polygon([(-12, 34), (-12, 20), (-9, 31)], colour)
        pen.polygon([(12, 34), (12, 20), (9, 31)], colour)
    else:
        pen.polygon([(-11, 36), (-11, 28), (-8.5, 33)], colour)
        pen.polygon([(11, 36), (11, 28), (8.5, 33)], colour)


def _features(pen: Pen, kind: str, skin: RGB) -> None:
    for x in (-4.6, 4.6):
        pen.ellipse(x, 27, 2.3, 1.6, (250, 250, 250))
        pen.disc(x, 27, 1.25, EYE)
        pen.box(x - 2.4, 29.4, x + 2.4, 30.2, EYE)
    pen.polygon([(-0.3, 26.5), (1.9, 21.4), (-1.2, 21.4)], blended(skin, (80, 40, 30), 0.25))
    pen.ellipse(0, 17.6, 3.4 if kind == "woman" else 4, 1.2, LIPS[kind])
