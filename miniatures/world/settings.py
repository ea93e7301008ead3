"""Settings: what lies behind and under the object, by day and by night.

A setting comes in `LAYOUTS` layouts (other skylines, other trees, another place for the sun),
each fixed for ever by its number, so that a picture is a function of few factors. Finished
backgrounds are kept, since an object is drawn far more often than its background changes.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

from PIL import Image

from miniatures.world import land, town
from miniatures.world.ground import LAYOUTS, MOON, NIGHT_SKY, SKY, Ground
from miniatures.world.palette import RGB
from miniatures.world.pen import new_canvas

__all__ = ["LAYOUTS", "SETTINGS", "background", "veiled"]

SETTINGS: Final[dict[str, Callable[[Ground], None]]] = {
    "city": town.city,
    "road": land.road,
    "snow": land.snow,
    "grass": land.grass,
    "sea": land.sea,
    "woods": land.woods,
    "street": town.street,
    "intersection": town.intersection,
    "mountains": land.mountains,
    "moon": land.moon,
    "wall": town.wall,
    "fog": land.fog,
}
"""Setting -> how it is drawn; in the order of the labels, which must only grow at its end."""
SKIES: Final[dict[str, RGB]] = {
    "snow": land.SNOW_SKY,
    "sea": land.SEA_SKY,
    "woods": land.WOODS_SKY,
}
CLOUDY: Final = frozenset({"grass", "road", "city", "street", "intersection", "mountains"})
VEIL: Final = 0.2
"""How much of an object in the fog is fog."""


@cache
def background(setting: str, time: str, layout: int) -> Image.Image:
    """The canvas of a setting at `time` ("day" or "night"). Shared: copy before drawing on it."""
    night = time == "night"
    canvas = new_canvas(NIGHT_SKY if night else SKIES.get(setting, SKY))
    ground = Ground(canvas, setting, layout, night=night)
    _heavens(ground, setting)
    SETTINGS[setting](ground)
    return canvas


def veiled(canvas: Image.Image, setting: str, time: str) -> Image.Image:
    """The finished canvas, behind fog if that is the setting."""
    if setting != "fog":
        return canvas
    colour = land.fog_colour(night=time == "night")
    return Image.blend(canvas, new_canvas(colour), VEIL)


def _heavens(ground: Ground, setting: str) -> None:
    """Moon and stars, or clouds; the sun is part of the sea."""
    pen = ground.pen
    x = (12, 50, 32, 54)[ground.layout]
    if ground.night:
        pen.disc(x, 56, 4.6, MOON)
        pen.disc(x + 2, 57.2, 3.8, NIGHT_SKY)
        for _ in range(16):
            pen.disc(ground.random.uniform(0, 64), ground.random.uniform(34, 63), 0.55, MOON)
    elif setting in CLOUDY:
        for dx, dy, width in ((0, 0, 6), (5, 1.4, 5), (-5, 0.8, 4)):
            pen.ellipse((x + 20) % 64 + dx, 57 + dy, width, 2.2, (250, 252, 255))
