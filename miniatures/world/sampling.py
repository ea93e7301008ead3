"""Drawing lots: random scenes, and groups of scenes that differ in exactly one or two attributes.

Promises: everything comes from the generator that is passed in; training scenes are never held
out.
"""

import dataclasses
import random
from typing import Any, Final

from miniatures.world import settings
from miniatures.world.scene import ATTRIBUTES, FACINGS, KINDS, VALUES, Scene

GROUP: Final = 4
"""Scenes in a hard-negative group."""
THING_WEIGHTS: Final = {
    "car": 3,
    "church": 3,
    "house": 1,
    "face": 14,
    "tree": 1,
    "animal": 2,
    "shape": 1,
    "clock": 1,
    "lake": 1,
}
"""How often each is drawn; faces have the most that must be told apart."""
VARIED: Final = {"colour": 4, "setting": 4, "thing": 3, "kind": 3, "time": 2}
"""How often a group differs in an attribute."""
FACE_VARIED: Final = {
    **VARIED,
    "colour": 8,
    "hair": 7,
    "eyes": 8,
    "glasses": 5,
    "beard": 6,
    "smile": 9,
}
"""The same for faces: the smaller a thing is to see, the more often."""


def random_scene(rng: random.Random, thing: str | None = None, *, held_out: bool = False) -> Scene:
    """A random scene, of `thing` if one is named, from the wanted side of the split."""
    while True:
        chosen = thing or rng.choices(list(THING_WEIGHTS), list(THING_WEIGHTS.values()))[0]
        kind = rng.choice(KINDS[chosen])
        scene = Scene(
            thing=chosen,
            kind=kind,
            colour=rng.choice(VALUES["colour"]),
            setting=rng.choice(VALUES["setting"]),
            time=rng.choice(VALUES["time"]),
            facing=rng.choice(FACINGS),
            layout=rng.randrange(settings.LAYOUTS),
            size=rng.uniform(-1, 1),
            x=rng.uniform(-1, 1),
            y=rng.uniform(-1, 1),
            tone=rng.uniform(-1, 1),
            hair=rng.choice(VALUES["hair"]),
            eyes=rng.choice(VALUES["eyes"]),
            glasses=rng.choice(VALUES["glasses"]),
            beard=rng.choice(VALUES["beard"]) if kind == "man" else "none",
            smile=rng.choice(VALUES["smile"]),
        )
        if scene.held_out == held_out:
            return scene


def changed(rng: random.Random, scene: Scene, attribute: str, value: str) -> Scene:
    """The scene with one attribute set; a new thing gets a kind of its own, a new kind no beard."""
    fields: dict[str, Any] = {attribute: value}
    if attribute == "thing":
        fields["kind"] = rng.choice(KINDS[value])
    if attribute in {"thing", "kind"}:
        fields["beard"] = "none"
    return dataclasses.replace(scene, **fields)


def hard_group(rng: random.Random) -> tuple[list[Scene], frozenset[str]]:
    """Four training scenes alike in all but what is named: one attribute, or two of them crossed.

    Returns the scenes and the attributes in which they differ, which their captions must mention.
    """
    while True:
        scene = random_scene(rng)
        odds = FACE_VARIED if scene.thing == "face" else VARIED
        scenes, differing = _varied(rng, scene, rng.choices(list(odds), list(odds.values()))[0])
        if not any(one.held_out for one in scenes):
            return scenes, differing


def _varied(rng: random.Random, scene: Scene, attribute: str) -> tuple[list[Scene], frozenset[str]]:
    values = _values(scene, attribute)
    if attribute == "beard" and scene.kind != "man":
        scene = dataclasses.replace(scene, kind="man")
    if len(values) >= GROUP:
        picks = [changed(rng, scene, attribute, value) for value in rng.sample(values, GROUP)]
        return picks, frozenset({attribute})
    others = [name for name in ATTRIBUTES if name not in {attribute, "kind", "thing", "beard"}]
    other = rng.choice([name for name in others if scene.has(name)])
    pair = [changed(rng, scene, other, value) for value in rng.sample(VALUES[other], 2)]
    two = rng.sample(values, 2)
    crossed = [changed(rng, one, attribute, value) for one in pair for value in two]
    return crossed, frozenset({attribute, other})


def _values(scene: Scene, attribute: str) -> tuple[str, ...]:
    return KINDS[scene.thing] if attribute == "kind" else VALUES[attribute]
