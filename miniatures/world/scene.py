"""A scene: everything that decides one picture, and the picture.

Promises: the same scene gives the same bytes; `labels` are exact; whether a scene is held out is
a fixed function of its (thing, colour, setting, time), so no such combination is ever both
trained on and tested on. Refuses attributes that the world does not know.

Pictures are 64x64 RGB bytes, drawn at 256x256 and box-filtered (about 0.6 ms each).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from miniatures.world import cars, churches, faces, houses, settings, trees
from miniatures.world.palette import COLOURS, RGB
from miniatures.world.pen import OVERSAMPLING, Pen

Picture = NDArray[np.uint8]
"""(64, 64, 3) uint8, sRGB."""
Mask = NDArray[np.bool_]
"""(64, 64) bool, true on the object and its light."""

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "car": tuple(cars.KINDS),
    "church": tuple(churches.KINDS),
    "house": tuple(houses.KINDS),
    "face": faces.KINDS,
    "tree": tuple(trees.KINDS),
}
"""Thing -> its kinds."""
ALL_KINDS: Final = tuple(kind for kinds in KINDS.values() for kind in kinds)
TIMES: Final = ("day", "night")
FACINGS: Final = ("left", "right")
VALUES: Final[dict[str, tuple[str, ...]]] = {
    "thing": tuple(KINDS),
    "kind": ALL_KINDS,
    "colour": tuple(COLOURS),
    "setting": tuple(settings.SETTINGS),
    "time": TIMES,
}
"""Attribute that captions speak of -> its values, in label order."""
ATTRIBUTES: Final = tuple(VALUES)
HELD_OUT_PERCENT: Final = 12
GAIN: Final = 0.10

_DRAW: Final[dict[str, Callable[..., None]]] = {
    "car": cars.draw_car,
    "church": churches.draw_church,
    "house": houses.draw_house,
    "face": faces.draw_face,
    "tree": trees.draw_tree,
}
_SCALE: Final = {"car": 1.04, "church": 0.98, "house": 1.0, "face": 1.06, "tree": 1.0}
_BASE: Final = {"car": 54.0, "church": 58.0, "house": 58.0, "face": 60.0, "tree": 58.0}


@dataclass(frozen=True, slots=True)
class Scene:
    """The factors of one picture."""

    thing: str = "car"
    kind: str = "sedan"
    colour: str = "red"
    setting: str = "city"
    time: str = "day"
    facing: str = "right"
    layout: int = 0
    """Which of the setting's layouts, 0 to settings.LAYOUTS - 1."""
    size: float = 0.0
    """-1 (15 % smaller) to 1 (15 % larger)."""
    x: float = 0.0
    """-1 (6 pixels to the left) to 1 (6 pixels to the right)."""
    y: float = 0.0
    """-1 (3 pixels further down) to 1 (3 pixels further up)."""
    tone: float = 0.0
    """-1 (the whole picture 10 % darker) to 1 (10 % brighter)."""

    def __post_init__(self) -> None:
        """Raise ValueError for an attribute that the world does not know."""
        for attribute in ATTRIBUTES:
            _check(attribute, getattr(self, attribute), VALUES[attribute])
        _check("kind of " + self.thing, self.kind, KINDS[self.thing])
        _check("facing", self.facing, FACINGS)
        if not 0 <= self.layout < settings.LAYOUTS:
            raise ValueError(f"layout must be 0 to {settings.LAYOUTS - 1}, got {self.layout}")

    @property
    def labels(self) -> tuple[int, ...]:
        """One index per attribute of ATTRIBUTES, into VALUES[attribute]."""
        return tuple(VALUES[name].index(getattr(self, name)) for name in ATTRIBUTES)

    @property
    def held_out(self) -> bool:
        """Whether this combination is kept from all training, for testing."""
        return is_held_out(self.thing, self.colour, self.setting, self.time)


def is_held_out(thing: str, colour: str, setting: str, time: str) -> bool:
    """Fixed split: about HELD_OUT_PERCENT of all combinations, decided by a hash of the words."""
    words = f"{thing}/{colour}/{setting}/{time}".encode()
    return hashlib.blake2b(words, digest_size=8).digest()[0] * 100 < HELD_OUT_PERCENT * 256


def render(scene: Scene) -> Picture:
    """The picture of a scene: (64, 64, 3) uint8."""
    return _with_gain(_reduced(_canvas(scene)), scene.tone)


def render_with_mask(scene: Scene) -> tuple[Picture, Mask]:
    """The picture and where its object is."""
    drawn = _reduced(_canvas(scene))
    empty = _reduced(settings.background(scene.setting, scene.time, scene.layout))
    mask = np.abs(drawn.astype(np.int16) - empty).max(axis=2) > 8
    return _with_gain(drawn, scene.tone), mask


def render_all(scenes: Sequence[Scene]) -> Picture:
    """Pictures of many scenes: (n, 64, 64, 3) uint8."""
    return np.stack([render(scene) for scene in scenes])


def _canvas(scene: Scene) -> Image.Image:
    canvas = settings.background(scene.setting, scene.time, scene.layout).copy()
    origin = (32 + 6 * scene.x, _BASE[scene.thing] - 3 * scene.y)
    scale = _SCALE[scene.thing] * (1 + 0.15 * scene.size)
    pen = Pen(canvas, origin, scale, 1 if scene.facing == "right" else -1)
    colour: RGB = COLOURS[scene.colour]
    _DRAW[scene.thing](pen, scene.kind, colour, night=scene.time == "night")
    return canvas


def _reduced(canvas: Image.Image) -> Picture:
    picture: Picture = np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.uint8)
    return picture


def _with_gain(picture: Picture, tone: float) -> Picture:
    levels = np.arange(256) * (1 + GAIN * tone)
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    gained: Picture = table[picture]
    return gained


def _check(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
