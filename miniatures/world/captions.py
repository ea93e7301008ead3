"""Captions of scenes, and exactly what each of them claims.

A caption may leave out any attribute. Its claims are one label index per attribute of
`scene.ATTRIBUTES`, or UNCLAIMED; a caption is true of a scene when every claim agrees
(`claims_hold`). Training and tests use that relation and nothing else, so a caption that happens
to fit another picture of the batch is never taken for a wrong one.

The colour of a face is the colour of its hair: "a woman with red hair".
"""

import random
from dataclasses import dataclass
from typing import Final

from miniatures.world.scene import ATTRIBUTES, VALUES, Scene

UNCLAIMED: Final = -1

OPENERS: Final = (
    "",
    "",
    "",
    "",
    "",
    "a picture of ",
    "a photo of ",
    "an image of ",
    "a drawing of ",
    "a photograph of ",
    "the picture of ",
    "the image of ",
    "a painting of ",
)
ADJECTIVES: Final = (
    "beautiful",
    "nice",
    "big",
    "small",
    "little",
    "old",
    "new",
    "pretty",
    "lovely",
    "single",
    "bright",
    "clean",
    "fast",
    "tiny",
    "large",
    "great",
    "shiny",
    "funny",
    "modern",
    "cute",
)
NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "car": ("car", "car", "car", "automobile", "vehicle"),
    "sedan": ("sedan", "saloon", "sedan car", "limousine"),
    "beetle": ("beetle", "beetle car", "bug", "round car"),
    "suv": ("suv", "jeep", "off-roader", "suv car"),
    "truck": ("truck", "pickup", "pickup truck", "lorry"),
    "church": ("church", "church", "cathedral"),
    "chapel": ("chapel", "church with a steeple", "church with a tower"),
    "basilica": ("basilica", "church with a dome", "domed church"),
    "house": ("house", "house", "home"),
    "cottage": ("cottage", "house with a roof", "cabin"),
    "block": ("block", "block of flats", "tower block", "apartment building", "building"),
    "face": ("face", "person", "head", "portrait", "human"),
    "man": ("man", "guy", "face of a man", "portrait of a man", "male"),
    "woman": ("woman", "lady", "face of a woman", "portrait of a woman", "girl"),
    "tree": ("tree", "tree", "plant"),
    "pine": ("pine", "pine tree", "fir", "fir tree", "conifer"),
    "broad": ("leafy tree", "oak", "oak tree", "round tree", "apple tree"),
}
"""Thing or kind -> what it is called."""
SELDOM_GENERIC: Final = frozenset({"truck", "block"})
"""Kinds that people hardly call by the name of their thing."""
COLOUR_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "purple": ("purple", "purple", "violet"),
    "grey": ("grey", "gray", "silver"),
    "pink": ("pink", "pink", "rose"),
    "red": ("red", "red", "red", "scarlet"),
    "yellow": ("yellow", "yellow", "yellow", "golden"),
}
PLACES: Final[dict[str, tuple[str, ...]]] = {
    "city": (
        "in the city",
        "in a city",
        "in the city street",
        "in a city street",
        "in town",
        "in the town",
        "in front of skyscrapers",
        "in the streets of a city",
        "downtown",
        "in a big city",
        "in front of buildings",
        "in new york",
    ),
    "road": (
        "on the road",
        "on a road",
        "on a street",
        "on a country road",
        "on a highway",
        "on the street",
        "on the highway",
        "in the desert",
        "in the mountains",
        "on the motorway",
    ),
    "snow": (
        "in the snow",
        "in the snow",
        "on snow",
        "in winter",
        "in a snowy landscape",
        "in a snow storm",
        "in the cold snow",
        "on a snow field",
        "in the winter",
    ),
    "grass": (
        "on the grass",
        "in the grass",
        "in a field",
        "on a field",
        "in a meadow",
        "on a grass field",
        "in a park",
        "on a lawn",
        "in the countryside",
        "in a garden",
    ),
    "sea": (
        "at the sea",
        "by the sea",
        "in the water",
        "near the water",
        "on the beach",
        "at the beach",
        "by the ocean",
        "in front of the sea",
        "on the shore",
        "on the coast",
    ),
    "woods": (
        "in the woods",
        "in the forest",
        "in a forest",
        "in a wood",
        "among trees",
        "in the jungle",
        "between trees",
        "in a dark forest",
    ),
}
"""Setting -> phrases that say where."""
VIEWS: Final[dict[str, tuple[str, ...]]] = {
    "city": ("a city", "the city", "a town", "a skyline", "a city street", "skyscrapers"),
    "road": ("a road", "a highway", "a country road", "a desert road", "a street"),
    "snow": ("snow", "a snowy landscape", "a snowy field", "the snow", "winter"),
    "grass": ("a meadow", "a grass field", "grass", "a field", "a park"),
    "sea": ("the sea", "the beach", "the ocean", "water", "the coast"),
    "woods": ("a forest", "the woods", "a wood", "trees", "the forest"),
}
"""Setting -> phrases that name it alone."""
HOURS: Final[dict[str, tuple[str, ...]]] = {
    "day": (
        "by day",
        "during the day",
        "in daylight",
        "in the daytime",
        "in the day",
        "at noon",
        "in the sunlight",
        "in the sun",
        "in the morning",
    ),
    "night": (
        "at night",
        "at night",
        "at night",
        "in the night",
        "by night",
        "in the dark",
        "in the moonlight",
        "at midnight",
        "under the moon",
        "under the stars",
    ),
}
"""Time -> phrases that say when."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A text and what it claims: one label index or UNCLAIMED per attribute of ATTRIBUTES."""

    text: str
    claims: tuple[int, ...]


def claims_hold(claims: tuple[int, ...], labels: tuple[int, ...]) -> bool:
    """Whether every claim agrees with the labels of a scene."""
    return all(c in (UNCLAIMED, label) for c, label in zip(claims, labels, strict=True))


def random_mention(rng: random.Random, forced: frozenset[str] = frozenset()) -> frozenset[str]:
    """The attributes that a caption will mention; `forced` ones always are."""
    odds = {"thing": 0.95, "kind": 0.3, "colour": 0.8, "setting": 0.8, "time": 0.4}
    mention = {name for name in ATTRIBUTES if rng.random() < odds[name]} | forced
    if mention & {"kind", "colour"} or not mention & {"setting", "time"}:
        mention.add("thing")
    return frozenset(mention)


def describe(rng: random.Random, scene: Scene, mention: frozenset[str]) -> Caption:
    """A random caption of a scene that mentions exactly these attributes."""
    if "kind" not in mention and scene.kind in SELDOM_GENERIC and rng.random() < 0.75:
        mention = mention | ({"kind"} if "thing" in mention else set())
    when = rng.choice(HOURS[scene.time]) if "time" in mention else ""
    if "thing" in mention:
        where = rng.choice(PLACES[scene.setting]) if "setting" in mention else ""
        text = _arranged(rng, _object(rng, scene, mention), where, when)
    else:
        view = rng.choice(VIEWS[scene.setting]) if "setting" in mention else "a picture"
        text = " ".join(filter(None, (rng.choice(OPENERS) + view, when)))
    claims = tuple(
        VALUES[name].index(getattr(scene, name)) if name in mention else UNCLAIMED
        for name in ATTRIBUTES
    )
    return Caption(text, claims)


def full_caption(scene: Scene) -> str:
    """The plain caption of a scene: "a yellow car in the city at night"."""
    where, when = PLACES[scene.setting][0], HOURS[scene.time][0]
    name = NOUNS[scene.kind if scene.thing == "face" else scene.thing][0]
    text = _with_hair(name, scene.colour) if scene.thing == "face" else f"{scene.colour} {name}"
    return " ".join((with_article(text), where, when))


def vocabulary() -> tuple[str, ...]:
    """Every word that a caption can hold, sorted."""
    phrases = [*OPENERS, *ADJECTIVES, *VALUES["colour"], "a an the that is with and of hair leaves"]
    phrases += ["walls haired blond very there it shows i want to see at on in by near front"]
    for table in (NOUNS, COLOUR_WORDS, PLACES, VIEWS, HOURS):
        phrases += [phrase for group in table.values() for phrase in group]
    return tuple(sorted({word for phrase in phrases for word in phrase.replace("-", " ").split()}))


def with_article(text: str) -> str:
    """The text after "a" or "an"."""
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def _with_hair(name: str, colour: str) -> str:
    return f"{name} with {colour} hair"


def _object(rng: random.Random, scene: Scene, mention: frozenset[str]) -> str:
    """The object's part of a caption, with article."""
    noun = rng.choice(NOUNS[scene.kind if "kind" in mention else scene.thing])
    adjective = rng.choice(ADJECTIVES) + " " if rng.random() < 0.12 else ""
    coloured = "colour" in mention
    text = _coloured(rng, scene, adjective, noun) if coloured else adjective + noun
    return f"the {text}" if rng.random() < 0.12 else with_article(text)


def _coloured(rng: random.Random, scene: Scene, adjective: str, noun: str) -> str:
    colour = rng.choice(COLOUR_WORDS.get(scene.colour, (scene.colour,)))
    if scene.thing == "face":
        hair = "blond" if scene.colour == "yellow" and rng.random() < 0.5 else colour
        if noun in {"man", "woman", "girl", "lady", "guy"} and rng.random() < 0.3:
            return f"{adjective}{hair} haired {noun}"
        return adjective + _with_hair(noun, hair)
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
