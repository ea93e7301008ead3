"""Faces: man, woman, boy and girl, head and shoulders; the colour is the colour of the clothes.

Local units: the shoulders stand on y = 0 and the head reaches to about 52. Hair, eyes, glasses,
beard and smile are attributes of their own, each as large as 64x64 pixels let it be. Only a man
has a beard.
"""

from dataclasses import dataclass
from typing import Final

from miniatures.world.palette import RGB, accented, blended, scaled
from miniatures.world.pen import Pen

SKIN: RGB = (240, 196, 162)
WHITE: RGB = (250, 250, 250)
FRAME: RGB = (22, 22, 30)
MOUTH: RGB = (150, 40, 48)
LIPS: Final[dict[str, RGB]] = {
    "man": (178, 104, 92),
    "woman": (206, 36, 62),
    "boy": (202, 112, 104),
    "girl": (226, 92, 118),
}
KINDS: Final = ("man", "woman", "boy", "girl")
HAIR: Final[dict[str, RGB]] = {
    "bald": SKIN,
    "blonde": (246, 216, 104),
    "ginger": (222, 96, 22),
    "brown": (112, 66, 34),
    "black": (30, 26, 30),
    "grey": (172, 174, 180),
}
"""Hair -> its colour."""
EYES: Final[dict[str, RGB]] = {
    "brown": (104, 54, 14),
    "blue": (42, 120, 240),
    "green": (34, 172, 70),
}
"""Eye colour word -> the colour of the iris."""
BEARDS: Final = ("none", "stubble", "full")
YOUNG: Final = frozenset({"boy", "girl"})


@dataclass(frozen=True, slots=True)
class Look:
    """What is particular about a face."""

    kind: str
    hair: str
    eyes: str
    glasses: bool
    beard: str
    smile: bool


def draw_face(pen: Pen, look: Look, clothes: RGB, *, night: bool) -> None:
    """Draw a face; by night the skin is a little darker."""
    skin = blended(SKIN, (90, 80, 110), 0.18) if night else SKIN
    hair = skin if look.hair == "bald" else HAIR[look.hair]
    if look.hair != "bald":
        _hair_behind(pen, look.kind, hair)
    _shoulders(pen, look.kind, clothes, skin)
    _head(pen, look.kind, skin)
    _beard(pen, look, hair, skin)
    if look.hair == "bald":
        pen.ellipse(4.5, 46, 3.4, 1.5, blended(skin, WHITE, 0.55))
    else:
        _hair_before(pen, look.kind, hair)
    _eyes(pen, look, hair, skin)
    pen.polygon([(-0.4, 30), (2.2, 24.4), (-1.6, 24.4)], blended(skin, (120, 50, 30), 0.32))
    _mouth(pen, look)
    if look.glasses:
        _glasses(pen)


def _shoulders(pen: Pen, kind: str, clothes: RGB, skin: RGB) -> None:
    half = {"man": 25, "woman": 21, "boy": 20, "girl": 19}[kind]
    shade = blended(skin, (90, 40, 30), 0.25)
    pen.rounded(-half, -12, half, 10.5, 8, clothes)
    pen.box(-5.5 if kind == "man" else -4.2, 7, 5.5 if kind == "man" else 4.2, 18, shade)
    if kind == "man":
        pen.polygon([(-7, 11), (0, 2), (7, 11)], shade)
        pen.polygon([(-8, 12), (-9, 6), (-1, 1)], accented(clothes))
        pen.polygon([(8, 12), (9, 6), (1, 1)], accented(clothes))
    elif kind == "woman":
        pen.ellipse(0, 9, 8, 6, skin)
        for x, y in ((-6, 6.4), (-3.4, 4.4), (0, 3.7), (3.4, 4.4), (6, 6.4)):
            pen.disc(x, y, 1.0, (252, 244, 214))
    elif kind == "boy":
        for bottom in (0.5, 6):
            pen.box(-half, bottom, half, bottom + 2.4, accented(clothes))
    else:
        for x in (-4.6, 4.6):
            pen.ellipse(x, 8.4, 5.2, 3.2, WHITE)


def _hair_behind(pen: Pen, kind: str, hair: RGB) -> None:
    shade = scaled(hair, 0.86)
    if kind == "woman":
        pen.rounded(-19, 3, 19, 51, 16, shade)
    elif kind == "girl":
        for side in (-1, 1):
            pen.ellipse(side * 19, 31, 5, 6, shade)
            pen.ellipse(side * 21.5, 22, 4.6, 9, shade)


def _head(pen: Pen, kind: str, skin: RGB) -> None:
    for side in (-1, 1):
        pen.ellipse(side * 15, 30, 2.7, 4, skin)
        if kind == "woman":
            pen.disc(side * 15.4, 25.2, 1.7, (250, 214, 60))
        if kind == "girl":
            pen.disc(side * 16.4, 35.5, 2.5, (236, 50, 90))
    if kind == "man":
        pen.rounded(-14.2, 12.5, 14.2, 40, 9.5, skin)
        pen.ellipse(0, 34, 14.6, 16, skin)
    elif kind == "woman":
        pen.ellipse(0, 31.5, 13.6, 18.5, skin)
    else:
        pen.ellipse(0, 30.5, 15.6, 16.6, skin)
        for side in (-1, 1):
            pen.ellipse(side * 9.6, 23.4, 3.2, 2.2, blended(skin, (240, 90, 90), 0.38))


def _hair_before(pen: Pen, kind: str, hair: RGB) -> None:
    if kind == "man":
        pen.dome(0, 38.5, 15.4, 14.5, hair)
        pen.polygon([(-15.4, 40), (-15.6, 31), (-13, 32), (-11.5, 40)], hair)
        pen.polygon([(15.4, 40), (15.6, 31), (13, 32), (11.5, 40)], hair)
    elif kind == "woman":
        pen.dome(0, 37, 16.4, 16, hair)
        pen.polygon([(-17, 40), (-17.5, 14), (-12.6, 20), (-11, 37)], hair)
        pen.polygon([(17, 40), (17.5, 14), (12.6, 20), (11, 37)], hair)
    elif kind == "boy":
        pen.dome(0, 36, 16.4, 15.5, hair)
        for x in (-11, -5.5, 0, 5.5, 11):
            pen.polygon([(x - 3.2, 37), (x + 3.2, 37), (x + 1, 33.2)], hair)
    else:
        pen.dome(0, 37.4, 16.4, 13, hair)
        pen.polygon([(-16, 38.5), (-15.6, 31), (-3, 38)], hair)
        pen.polygon([(16, 38.5), (15.6, 31), (-3, 38)], hair)


def _eyes(pen: Pen, look: Look, hair: RGB, skin: RGB) -> None:
    brow = blended(skin, (90, 60, 40), 0.5) if look.hair == "bald" else scaled(hair, 0.72)
    for side in (-1, 1):
        x = side * 6.3
        if look.kind in {"woman", "girl"}:
            pen.ellipse(x, 31.7, 4.3, 3.4, FRAME)
        pen.ellipse(x, 31, 3.9, 3.0, WHITE)
        pen.disc(x, 31, 2.6, EYES[look.eyes])
        pen.disc(x, 31, 0.95, FRAME)
        thickness = 1.8 if look.kind == "man" else 1.0
        pen.box(x - 3.8, 35.6, x + 3.8, 35.6 + thickness, brow)


def _beard(pen: Pen, look: Look, hair: RGB, skin: RGB) -> None:
    if look.beard == "none":
        return
    full = (84, 58, 42) if look.hair == "bald" else scaled(hair, 0.9)
    colour = full if look.beard == "full" else blended(skin, (70, 62, 60), 0.42)
    low = 8 if look.beard == "full" else 12.4
    pen.rounded(-14.2, low, 14.2, 25, 9.5, colour)
    pen.polygon([(-14.2, 24), (-14.2, 31), (-11.8, 24)], colour)
    pen.polygon([(14.2, 24), (14.2, 31), (11.8, 24)], colour)
    pen.ellipse(0, 25.4, 8.6, 4.2, skin)
    pen.rounded(-6, 21.4, 6, 24.2, 1.3, colour)


def _mouth(pen: Pen, look: Look) -> None:
    lips, y = LIPS[look.kind], 19.4
    if look.smile:
        pen.polygon([(-6.6, y + 2.2), (6.6, y + 2.2), (4, y - 2.6), (-4, y - 2.6)], MOUTH)
        pen.polygon([(-5.4, y + 2.2), (5.4, y + 2.2), (4.4, y - 0.2), (-4.4, y - 0.2)], WHITE)
        for side in (-1, 1):
            pen.ellipse(side * 6.8, y + 2.4, 1.1, 1.1, lips)
    else:
        pen.rounded(-4.2, y - 1.1, 4.2, y + 0.9, 1, lips)


def _glasses(pen: Pen) -> None:
    for side in (-1, 1):
        pen.ring(side * 6.6, 31, 5.6, 1.4, FRAME)
        pen.box(min(side * 12, side * 15), 30.8, max(side * 12, side * 15), 32.2, FRAME)
    pen.box(-1.6, 31, 1.6, 32.4, FRAME)
