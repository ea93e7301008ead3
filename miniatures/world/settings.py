"""Settings: what lies behind and under the object, by day and by night.

A setting comes in `LAYOUTS` layouts (other skylines, other trees, another place for the sun),
each fixed for ever by its number, so that a picture is a function of few factors. Finished
backgrounds are kept, since an object is drawn far more often than its background changes.
"""

import random
from collections.abc import Callable
from functools import cache
from typing import Final

from PIL import Image

from miniatures.world.palette import LAMP, RGB, blended, scaled, under_the_sky
from miniatures.world.pen import Pen, new_canvas

LAYOUTS: Final = 4
SKY: RGB = (146, 198, 242)
SUN: RGB = (255, 236, 120)
MOON: RGB = (246, 244, 220)
NIGHT_SKY: RGB = (14, 18, 62)


class Ground:
    """A pen on a background, with the layout's own random numbers and the light of the hour."""

    def __init__(self, canvas: Image.Image, setting: str, layout: int, *, night: bool) -> None:
        """`layout` is 0 to LAYOUTS - 1 and decides every detail of the setting."""
        self.pen = Pen(canvas)
        self.random = random.Random(f"{setting}/{layout}")
        self.layout = layout
        self.night = night

    def lit(self, colour: RGB) -> RGB:
        """The colour in the light of the hour."""
        return under_the_sky(colour, night=self.night)


@cache
def background(setting: str, time: str, layout: int) -> Image.Image:
    """The canvas of a setting at `time` ("day" or "night"). Shared: copy before drawing on it."""
    night = time == "night"
    canvas = new_canvas(NIGHT_SKY if night else SKIES.get(setting, SKY))
    ground = Ground(canvas, setting, layout, night=night)
    _heavens(ground, setting)
    SETTINGS[setting](ground)
    return canvas


def _heavens(ground: Ground, setting: str) -> None:
    """Moon and stars, or clouds; the sun is part of the sea."""
    pen = ground.pen
    x = (12, 50, 32, 54)[ground.layout]
    if ground.night:
        pen.disc(x, 56, 4.6, MOON)
        pen.disc(x + 2, 57.2, 3.8, NIGHT_SKY)
        for _ in range(16):
            pen.disc(ground.random.uniform(0, 64), ground.random.uniform(34, 63), 0.55, MOON)
    elif setting in {"grass", "road", "city"}:
        for dx, dy, width in ((0, 0, 6), (5, 1.4, 5), (-5, 0.8, 4)):
            pen.ellipse((x + 20) % 64 + dx, 57 + dy, width, 2.2, (250, 252, 255))


def _city(ground: Ground) -> None:
    pen, rng = ground.pen, ground.random
    x = -rng.uniform(0, 5)
    while x < 64:
        width, height = rng.choice((10.0, 12.0, 14.0)), rng.uniform(16, 37)
        wall = rng.choice(((112, 118, 138), (146, 128, 120), (94, 108, 132), (150, 150, 160)))
        pen.box(x, 12, x + width - 0.6, 20 + height, ground.lit(wall))
        _lit_windows(ground, x, width, 20 + height)
        x += width
    pen.box(0, 16, 64, 20, ground.lit((184, 182, 180)))
    pen.box(0, 0, 64, 16.5, ground.lit((92, 94, 102)))
    for left in range(2, 64, 16):
        pen.box(left, 4.4, left + 8, 6, ground.lit((236, 236, 232)))


def _lit_windows(ground: Ground, x: float, width: float, top: float) -> None:
    columns = int((width - 2) // 4)
    y = top - 5
    while y > 21:
        for column in range(columns):
            left = x + 1.6 + column * 4
            lit = ground.random.random() < 0.65
            dark = ground.lit((70, 84, 112))
            glass = (LAMP if lit else dark) if ground.night else (206, 228, 244)
            ground.pen.box(left, y, left + 2.2, y + 3, glass)
        y -= 5.5


def _road(ground: Ground) -> None:
    pen, rng = ground.pen, ground.random
    for _ in range(3):
        x, height = rng.uniform(0, 64), rng.uniform(8, 16)
        pen.polygon([(x - 34, 22), (x, 24 + height), (x + 34, 22)], ground.lit((176, 140, 100)))
        pen.polygon(
            [(x - 9, 24 + height * 0.72), (x, 24 + height), (x + 9, 24 + height * 0.72)],
            ground.lit((214, 190, 156)),
        )
    pen.box(0, 17, 64, 25, ground.lit((206, 178, 112)))
    pen.box(0, 1.5, 64, 18.5, ground.lit((74, 76, 84)))
    pen.box(0, 17.3, 64, 18.1, ground.lit((240, 240, 236)))
    pen.box(0, 0, 64, 1.5, ground.lit((206, 178, 112)))
    for left in range(-4, 64, 14):
        pen.box(left, 5, left + 8, 6.6, ground.lit((246, 214, 80)))
    for left in range(4 + 3 * ground.layout, 64, 15):
        pen.box(left, 18.5, left + 1.2, 25.5, ground.lit((250, 250, 250)))


def _pine(ground: Ground, x: float, bottom: float, height: float, *, snowy: bool) -> None:
    leaves = ground.lit((44, 100, 74) if snowy else (30, 92, 50))
    ground.pen.box(x - 1, bottom - 2, x + 1, bottom + 2, ground.lit((88, 60, 40)))
    for share in (0.0, 0.28, 0.56):
        width = height * 0.30 * (1 - share * 0.75)
        low, top = bottom + height * share, bottom + height * (share + 0.46)
        ground.pen.polygon([(x - width, low), (x + width, low), (x, top)], leaves)
        if snowy:
            cap = [(x - width * 0.5, (low + top) / 2), (x + width * 0.5, (low + top) / 2), (x, top)]
            ground.pen.polygon(cap, ground.lit((250, 252, 255)))


def _snow(ground: Ground) -> None:
    pen, rng = ground.pen, ground.random
    white = ground.lit((244, 248, 255)) if not ground.night else (150, 166, 206)
    for x in (8, 34, 58):
        pen.ellipse(
            x + rng.uniform(-6, 6), 20, 24, rng.uniform(6, 11), blended(white, NIGHT_SKY, 0.1)
        )
    pen.box(0, 0, 64, 22, white)
    for _ in range(5):
        _pine(ground, rng.uniform(2, 62), rng.uniform(20, 24), rng.uniform(14, 24), snowy=True)
    for _ in range(4):
        pen.ellipse(
            rng.uniform(0, 64), rng.uniform(2, 14), 9, 1.2, blended(white, (120, 150, 210), 0.3)
        )
    for _ in range(26):
        pen.disc(rng.uniform(0, 64), rng.uniform(22, 64), 0.85, (255, 255, 255))


def _grass(ground: Ground) -> None:
    pen, rng = ground.pen, ground.random
    for hill in (6, 52):
        shift, height = rng.uniform(-8, 8), rng.uniform(7, 12)
        pen.ellipse(hill + shift, 20, 34, height, ground.lit((136, 196, 96)))
    green = (104, 184, 66)
    pen.box(0, 0, 64, 22, ground.lit(green))
    for _ in range(30):
        x, y = rng.uniform(0, 64), rng.uniform(1, 20)
        blade = [(x - 1, y), (x, y + 3), (x + 1, y)]
        pen.polygon(blade, ground.lit(scaled(green, 0.72)))
    for _ in range(9):
        petal = rng.choice(((252, 250, 240), (250, 226, 90), (240, 120, 150)))
        pen.disc(rng.uniform(0, 64), rng.uniform(1, 17), 0.9, ground.lit(petal))


def _sea(ground: Ground) -> None:
    pen, rng = ground.pen, ground.random
    x = (14, 46, 30, 52)[ground.layout]
    water = (34, 122, 196)
    if not ground.night:
        pen.disc(x, 50, 9, blended(SKIES["sea"], SUN, 0.45))
        pen.disc(x, 50, 6, SUN)
    pen.box(0, 12, 64, 38, ground.lit(water))
    glitter = blended(water, MOON if ground.night else SUN, 0.7)
    for step in range(6):
        width = 1.5 + step * 1.1
        pen.box(x - width, 35.5 - step * 4, x + width, 36.5 - step * 4, glitter)
    for _ in range(14):
        left, y = rng.uniform(-4, 60), rng.uniform(15, 36)
        pen.box(left, y, left + 7, y + 0.8, ground.lit((150, 204, 236)))
    pen.box(0, 0, 64, 13, ground.lit((240, 222, 164)))
    pen.box(0, 12.4, 64, 14.2, ground.lit((250, 250, 250)))


def _woods(ground: Ground) -> None:
    pen, rng = ground.pen, ground.random
    pen.box(0, 14, 64, 46, ground.lit((40, 84, 46)))
    for _ in range(9):
        _pine(ground, rng.uniform(0, 64), rng.uniform(24, 30), rng.uniform(26, 36), snowy=False)
    pen.box(0, 0, 64, 19, ground.lit((104, 90, 52)))
    trunks = [4 + 9.5 * i + rng.uniform(-2, 2) for i in range(7)]
    for x in trunks:
        pen.box(x - 1.5, 17 + rng.uniform(-2, 2), x + 1.5, 52, ground.lit((104, 72, 46)))
    for x in trunks:
        for _ in range(3):
            leaf = rng.choice(((44, 124, 58), (62, 140, 62), (34, 104, 54)))
            spot = (x + rng.uniform(-5, 5), rng.uniform(48, 64))
            pen.disc(*spot, rng.uniform(4, 6), ground.lit(leaf))
    for _ in range(14):
        pen.disc(rng.uniform(0, 64), rng.uniform(1, 17), 1, ground.lit((74, 110, 50)))


SKIES: dict[str, RGB] = {"snow": (198, 212, 228), "sea": (176, 220, 248), "woods": (196, 226, 200)}
SETTINGS: dict[str, Callable[[Ground], None]] = {
    "city": _city,
    "road": _road,
    "snow": _snow,
    "grass": _grass,
    "sea": _sea,
    "woods": _woods,
}
"""Setting -> how it is drawn; in the order of the labels, which must only grow at its end."""
