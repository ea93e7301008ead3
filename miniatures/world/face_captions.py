"""What captions say of a person: "bald man with beard and brown eyes".

Each mentioned attribute is said once, either before the noun or in a list after "with".
"""

import random

from miniatures.world import words
from miniatures.world.scene import Scene


def person(rng: random.Random, scene: Scene, mention: frozenset[str]) -> str:
    """A person without article, with exactly the mentioned attributes."""
    before: list[str] = []
    after: list[str] = []
    if "smile" in mention:
        _placed(rng, 0.4, before, words.SMILING[scene.smile], after, words.SMILE[scene.smile])
    if "beard" in mention:
        adjective = (words.BEARDED[scene.beard],)
        _placed(rng, 0.25, before, adjective, after, words.BEARD[scene.beard])
    if "glasses" in mention:
        after.append(rng.choice(words.GLASSES[scene.glasses]))
    if "hair" in mention:
        _placed(rng, 0.75, before, words.HAIRED[scene.hair], after, words.WITH_HAIR[scene.hair])
    if "eyes" in mention:
        eyes = (f"{scene.eyes} eyes",)
        _placed(rng, 0.15, before, (f"{scene.eyes} eyed",), after, eyes)
    rng.shuffle(after)
    noun = rng.choice(words.NOUNS[scene.kind if "kind" in mention else scene.thing])
    text = " ".join([*before, noun])
    if after:
        text += " with " + _listed(after)
    if "colour" not in mention:
        return text
    garments = words.CLOTHES[scene.kind] if "kind" in mention else words.ANY_CLOTHES
    return text + _dressed(rng, scene.colour, garments)


def _placed(
    rng: random.Random,
    odds: float,
    before: list[str],
    adjectives: tuple[str, ...],
    after: list[str],
    parts: tuple[str, ...],
) -> None:
    """Say it before the noun with these odds, and else after it."""
    if rng.random() < odds:
        before.append(rng.choice(adjectives))
    else:
        after.append(rng.choice(parts))


def _listed(parts: list[str]) -> str:
    """One, "one and two", "one and two and three"."""
    return " and ".join(parts)


def _dressed(rng: random.Random, colour: str, garments: tuple[str, ...]) -> str:
    word = rng.choice(words.COLOUR_WORDS.get(colour, (colour,)))
    article = "an" if word[0] in "aeiou" else "a"
    return f" {rng.choice(('in', 'in', 'wearing'))} {article} {word} {rng.choice(garments)}"
