"""Captions of scenes, and exactly what each of them claims.

A caption may leave out any attribute. Its claims are one label index per attribute of
`scene.ATTRIBUTES`, or UNCLAIMED; a caption is true of a scene when every claim agrees
(`claims_hold`). Training and tests use that relation and nothing else, so a caption that happens
to fit another picture of the batch is never taken for a wrong one.
"""

import random
from dataclasses import dataclass
from typing import Final

from miniatures.world import words
from miniatures.world.face_captions import person
from miniatures.world.scene import ATTRIBUTES, FACE_ATTRIBUTES, VALUES, Scene
from miniatures.world.words import ADJECTIVES, COLOUR_WORDS, HOURS, NOUNS, OPENERS, PLACES, VIEWS

UNCLAIMED: Final = -1
ODDS: Final = {"thing": 0.95, "kind": 0.4, "colour": 0.75, "setting": 0.75, "time": 0.35}
"""How often a caption mentions an attribute."""
FACE_ODDS: Final = {"kind": 0.75, "colour": 0.2, "setting": 0.35, "time": 0.15}
"""The same for faces, which are spoken of by their own attributes first."""
FEATURE_ODDS: Final = 0.4
"""How often a caption of a face mentions one of those."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A text and what it claims: one label index or UNCLAIMED per attribute of ATTRIBUTES."""

    text: str
    claims: tuple[int, ...]


def claims_hold(claims: tuple[int, ...], labels: tuple[int, ...]) -> bool:
    """Whether every claim agrees with the labels of a scene."""
    return all(c in (UNCLAIMED, label) for c, label in zip(claims, labels, strict=True))


def random_mention(
    rng: random.Random, forced: frozenset[str] = frozenset(), thing: str = "car"
) -> frozenset[str]:
    """The attributes that a caption of a `thing` will mention; `forced` ones always are."""
    odds = {**ODDS, **FACE_ODDS} if thing == "face" else ODDS
    mention = {name for name, odd in odds.items() if rng.random() < odd} | forced
    if thing == "face":
        mention |= {name for name in FACE_ATTRIBUTES if rng.random() < FEATURE_ODDS}
    if mention - {"setting", "time"} or not mention:
        mention.add("thing")
    return frozenset(mention)


def describe(
    rng: random.Random, scene: Scene, mention: frozenset[str], *, general: bool = False
) -> Caption:
    """A random caption of a scene that mentions these attributes, so far as it has them.

    Unless it is to speak in `general`, it may add the kind, where a thing is hardly ever called by
    its general name.
    """
    mention = _sensible(rng, scene, mention, general=general)
    when = rng.choice(HOURS[scene.time]) if "time" in mention else ""
    if "thing" in mention:
        what, said = _object(rng, scene, mention)
        where = rng.choice(PLACES[scene.setting]) if "setting" in mention - said else ""
        text = _arranged(rng, what, where, when)
    else:
        view = rng.choice(VIEWS[scene.setting]) if "setting" in mention else "a picture"
        text = " ".join(filter(None, (rng.choice(OPENERS) + view, when)))
    return Caption(text, claims_of(scene, mention))


def claims_of(scene: Scene, mention: frozenset[str]) -> tuple[int, ...]:
    """What a caption of the scene claims that mentions these attributes."""
    labels = zip(ATTRIBUTES, scene.labels, strict=True)
    return tuple(label if name in mention else UNCLAIMED for name, label in labels)


def full_caption(scene: Scene) -> str:
    """The plain caption of a scene: "a yellow car in the city at night"."""
    where, when = PLACES[scene.setting][0], HOURS[scene.time][0]
    name = NOUNS[scene.kind if scene.thing in {"face", "animal", "shape"} else scene.thing][0]
    if scene.thing == "face":
        hair = words.HAIRED[scene.hair][0]
        what = with_article(f"{hair} {name} with {scene.eyes} eyes")
    else:
        what = with_article(f"{scene.colour} {name}")
    return f"{what} {where} {when}"


def vocabulary() -> tuple[str, ...]:
    """Every word that a caption can hold, sorted."""
    phrases = [*OPENERS, *ADJECTIVES, *VALUES["colour"], *VALUES["eyes"], words.FUNCTION_WORDS]
    phrases += [*words.LAKES.values(), *words.BEARDED.values(), *words.PORTRAITS]
    groups = (words.HAIRED, words.WITH_HAIR, words.GLASSES, words.BEARD, words.SMILE, words.SMILING)
    for table in (NOUNS, COLOUR_WORDS, PLACES, VIEWS, HOURS, words.CLOTHES, *groups):
        phrases += [phrase for group in table.values() for phrase in group]
    return tuple(sorted({word for phrase in phrases for word in phrase.replace("-", " ").split()}))


def with_article(text: str) -> str:
    """The text after "a" or "an"."""
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def _sensible(
    rng: random.Random, scene: Scene, mention: frozenset[str], *, general: bool
) -> frozenset[str]:
    """Without what the scene does not have, and with the kind where people would say it."""
    mention = frozenset(name for name in mention if scene.has(name))
    if scene.kind != "man" and rng.random() < 0.9:
        mention -= {"beard"}
    seldom = "thing" in mention and scene.kind in words.SELDOM_GENERIC and not general
    return mention | {"kind"} if seldom and rng.random() < 0.8 else mention


def _object(
    rng: random.Random, scene: Scene, mention: frozenset[str]
) -> tuple[str, frozenset[str]]:
    """The object's part of a caption, with article, and what it says of the surroundings."""
    said: frozenset[str] = frozenset()
    if scene.thing == "face":
        text = person(rng, scene, mention)
    else:
        noun = rng.choice(NOUNS[scene.kind if "kind" in mention else scene.thing])
        if scene.kind == "lake" and "setting" in mention and scene.setting in words.LAKES:
            noun, said = f"{words.LAKES[scene.setting]} {noun}", frozenset({"setting"})
        adjective = rng.choice(ADJECTIVES) + " " if rng.random() < 0.12 else ""
        text = _coloured(rng, scene, adjective, noun) if "colour" in mention else adjective + noun
    portrait = scene.thing == "face" and rng.random() < 0.4
    whole = f"the {text}" if rng.random() < 0.12 and not portrait else with_article(text)
    if portrait:
        whole = f"{rng.choice(('the', 'the', 'a'))} {rng.choice(words.PORTRAITS)} of {whole}"
    return whole, said


def _coloured(rng: random.Random, scene: Scene, adjective: str, noun: str) -> str:
    colour = rng.choice(COLOUR_WORDS.get(scene.colour, (scene.colour,)))
    roll = rng.random()
    if roll < 0.12:
        return f"{adjective}{noun} that is {colour}"
    if roll < 0.2 and scene.thing == "tree":
        return f"{adjective}{noun} with {colour} leaves"
    return f"{adjective}{colour} {noun}"


def _arranged(rng: random.Random, what: str, where: str, when: str) -> str:
    """Object, place and hour in one of the usual orders."""
    opener = rng.choice(OPENERS)
    order = [what, where, when] if rng.random() < 0.7 else [what, when, where]
    if rng.random() < 0.08 and (where or when):
        order, opener = [where, when, what], ""
    if rng.random() < 0.15:
        opener = opener.removeprefix("a ").removeprefix("an ")
        order = [part.removeprefix("a ").removeprefix("an ") for part in order]
    return opener + " ".join(part for part in order if part)
