"""Drawing lots: random scenes, and groups of scenes that differ in exactly one or two attributes.

Promises: everything comes from the generator that is passed in; training scenes are never held
out.
"""

import dataclasses
import random
from typing import Any, Final

from miniatures.world import settings
from miniatures.world.scene import FACINGS, KINDS, VALUES, Scene

GROUP: Final = 4
"""Scenes in a hard-negative group."""
THING_WEIGHTS: Final = {"car": 4, "church": 1.5, "house": 1.5, "face": 1.5, "tree": 1.5}


def random_scene(rng: random.Random, thing: str | None = None, *, held_out: bool = False) -> Scene:
    """A random scene, of `thing` if one is named, from the wanted side of the split."""
    while True:
        chosen = thing or rng.choices(list(THING_WEIGHTS), list(THING_WEIGHTS.values()))[0]
        scene = Scene(
            thing=chosen,
            kind=rng.choice(KINDS[chosen]),
            colour=rng.choice(VALUES["colour"]),
            setting=rng.choice(VALUES["setting"]),
            time=rng.choice(VALUES["time"]),
            facing=rng.choice(FACINGS),
            layout=rng.randrange(settings.LAYOUTS),
            size=rng.uniform(-1, 1),
            x=rng.uniform(-1, 1),
            y=rng.uniform(-1, 1),
            tone=rng.uniform(-1, 1),
        )
        if scene.held_out == held_out:
            return scene


def changed(rng: random.Random, scene: Scene, attribute: str, value: str) -> Scene:
    """The scene with one attribute set; a new thing gets a kind of its own."""
    if attribute == "thing":
        return dataclasses.replace(scene, thing=value, kind=rng.choice(KINDS[value]))
    fields: dict[str, Any] = {attribute: value}
    return dataclasses.replace(scene, **fields)


def hard_group(rng: random.Random) -> tuple[list[Scene], frozenset[str]]:
    """Four training scenes alike in all but what is named: one attribute, or time and another.

    Returns the scenes and the attributes in which they differ, which their captions must mention.
    """
    while True:
        scene = random_scene(rng, "car" if rng.random() < 0.5 else None)
        attribute = rng.choices(("colour", "setting", "thing", "kind", "time"), (4, 4, 3, 2, 2))[0]
        scenes, differing = _varied(rng, scene, attribute)
        if not any(one.held_out for one in scenes):
            return scenes, differing


def _varied(rng: random.Random, scene: Scene, attribute: str) -> tuple[list[Scene], frozenset[str]]:
    if attribute == "time":
        other = rng.choice(("colour", "setting", "thing"))
        pair = [changed(rng, scene, other, value) for value in rng.sample(VALUES[other], 2)]
        scenes = [changed(rng, one, "time", time) for one in pair for time in VALUES["time"]]
        return scenes, frozenset({"time", other})
    values = KINDS[scene.thing] if attribute == "kind" else VALUES[attribute]
    picks = rng.sample(values, min(GROUP, len(values)))
    scenes = [changed(rng, scene, attribute, value) for value in picks]
    if len(scenes) == GROUP:
        return scenes, frozenset({attribute})
    colours = rng.sample(VALUES["colour"], 2)
    crossed = [changed(rng, one, "colour", colour) for one in scenes for colour in colours]
    return crossed, frozenset({attribute, "colour"})
