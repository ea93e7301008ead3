"""A scene: everything that decides one picture, and the picture.

Promises: the same scene gives the same bytes; `labels` are exact; whether a scene is held out is
a fixed function of its `combination`, so no such combination is ever both trained on and tested
on. Refuses attributes that the world does not know.

Pictures are 64x64 RGB bytes, drawn at 256x256 and box-filtered (about 0.6 ms each).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from miniatures.world import (
    animals,
    cars,
    churches,
    clocks,
    faces,
    houses,
    lakes,
    settings,
    shapes,
    trees,
)
from miniatures.world.palette import COLOURS
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
    "animal": tuple(animals.KINDS),
    "shape": tuple(shapes.KINDS),
    "clock": tuple(clocks.KINDS),
    "lake": tuple(lakes.KINDS),
}
"""Thing -> its kinds."""
CLASSES: Final = tuple((thing, kind) for thing, kinds in KINDS.items() for kind in kinds)
"""Every (thing, kind), in the order of the labels of `kind`; kinds have distinct names."""
TIMES: Final = ("day", "night")
FACINGS: Final = ("left", "right")
NO_YES: Final = ("no", "yes")
VALUES: Final[dict[str, tuple[str, ...]]] = {
    "thing": tuple(KINDS),
    "kind": tuple(kind for _, kind in CLASSES),
    "colour": tuple(COLOURS),
    "setting": tuple(settings.SETTINGS),
    "time": TIMES,
    "hair": tuple(faces.HAIR),
    "eyes": tuple(faces.EYES),
    "glasses": NO_YES,
    "beard": faces.BEARDS,
    "smile": NO_YES,
}
"""Attribute that captions speak of -> its values, in label order."""
ATTRIBUTES: Final = tuple(VALUES)
FACE_ATTRIBUTES: Final = ("hair", "eyes", "glasses", "beard", "smile")
"""Attributes that only faces have."""
NOT_APPLICABLE: Final = -1
"""The label of an attribute that the thing does not have."""
HELD_OUT_PERCENT: Final = 12
GAIN: Final = 0.10

_DRAW: Final[dict[str, Callable[..., None]]] = {
    "car": cars.draw_car,
    "church": churches.draw_church,
    "house": houses.draw_house,
    "tree": trees.draw_tree,
    "animal": animals.draw_animal,
    "shape": shapes.draw_shape,
    "clock": clocks.draw_clock,
    "lake": lakes.draw_lake,
}
_SCALE: Final = {"car": 1.04, "church": 0.98, "lake": 0.96, "animal": 1.02}
_BASE: Final = {"car": 54.0, "face": 64.0, "shape": 54.0, "clock": 50.0, "lake": 61.0}
_USUAL_BASE: Final = 58.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The factors of one picture."""

    thing: str = "car"
    kind: str = "sedan"
    colour: str = "red"
    """Of a face: its clothes; of a clock: its rim; of a lake: its water."""
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
    hair: str = "brown"
    """Of a face, like the rest; other things take no notice of these."""
    eyes: str = "brown"
    glasses: str = "no"
    beard: str = "none"
    """"none" unless the kind is man."""
    smile: str = "no"

    def __post_init__(self) -> None:
        """Raise ValueError for an attribute that the world does not know."""
        for attribute in ATTRIBUTES:
            _check(attribute, getattr(self, attribute), VALUES[attribute])
        _check("kind of " + self.thing, self.kind, KINDS[self.thing])
        _check("facing", self.facing, FACINGS)
        if self.kind != "man":
            _check("beard of a " + self.kind, self.beard, ("none",))
        if not 0 <= self.layout < settings.LAYOUTS:
            raise ValueError(f"layout must be 0 to {settings.LAYOUTS - 1}, got {self.layout}")

    def has(self, attribute: str) -> bool:
        """Whether the thing has the attribute."""
        return self.thing == "face" or attribute not in FACE_ATTRIBUTES

    @property
    def labels(self) -> tuple[int, ...]:
        """One index per attribute of ATTRIBUTES, into VALUES[attribute], or NOT_APPLICABLE."""
        return tuple(
            VALUES[name].index(getattr(self, name)) if self.has(name) else NOT_APPLICABLE
            for name in ATTRIBUTES
        )

    @property
    def combination(self) -> tuple[str, ...]:
        """The words that decide whether the scene is held out."""
        if self.thing != "face":
            return (self.thing, self.colour, self.setting, self.time)
        looks = (self.kind, self.hair, self.eyes, self.glasses, self.beard, self.smile)
        return (self.thing, *looks)

    @property
    def held_out(self) -> bool:
        """Whether this combination is kept from all training, for testing."""
        return is_held_out(*self.combination)


def is_held_out(*combination: str) -> bool:
    """Fixed split: about HELD_OUT_PERCENT of all combinations, decided by a hash of the words."""
    words = "/".join(combination).encode()
    return hashlib.blake2b(words, digest_size=8).digest()[0] * 100 < HELD_OUT_PERCENT * 256


def render(scene: Scene) -> Picture:
    """The picture of a scene: (64, 64, 3) uint8."""
    return _with_gain(_reduced(_canvas(scene)), scene.tone)


def render_with_mask(scene: Scene) -> tuple[Picture, Mask]:
    """The picture and where its object is."""
    drawn = _reduced(_canvas(scene))
    background = settings.background(scene.setting, scene.time, scene.layout)
    empty = _reduced(settings.veiled(background, scene.setting, scene.time))
    mask = np.abs(drawn.astype(np.int16) - empty).max(axis=2) > 8
    return _with_gain(drawn, scene.tone), mask


def render_all(scenes: Sequence[Scene]) -> Picture:
    """Pictures of many scenes: (n, 64, 64, 3) uint8."""
    return np.stack([render(scene) for scene in scenes])


def _canvas(scene: Scene) -> Image.Image:
    canvas = settings.background(scene.setting, scene.time, scene.layout).copy()
    origin = (32 + 6 * scene.x, _BASE.get(scene.thing, _USUAL_BASE) - 3 * scene.y)
    scale = _SCALE.get(scene.thing, 1.0) * (1 + 0.15 * scene.size)
    _draw_object(Pen(canvas, origin, scale, 1 if scene.facing == "right" else -1), scene)
    return settings.veiled(canvas, scene.setting, scene.time)


def _draw_object(pen: Pen, scene: Scene) -> None:
    colour, night = COLOURS[scene.colour], scene.time == "night"
    if scene.thing != "face":
        _DRAW[scene.thing](pen, scene.kind, colour, night=night)
        return
    glasses, smile = scene.glasses == "yes", scene.smile == "yes"
    look = faces.Look(scene.kind, scene.hair, scene.eyes, glasses, scene.beard, smile)
    faces.draw_face(pen, look, colour, night=night)


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
