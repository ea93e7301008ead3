"""The parser reads every caption that the world writes, and no other text."""

import random

import pytest

from miniatures.caption_parsing import parse
from miniatures.world import (
    ATTRIBUTES,
    UNCLAIMED,
    VALUES,
    describe,
    full_caption,
    random_mention,
    random_scene,
)


def claims(text: str) -> dict[str, str] | None:
    found = parse(text)
    if found is None:
        return None
    named = zip(ATTRIBUTES, found, strict=True)
    return {name: VALUES[name][claim] for name, claim in named if claim != UNCLAIMED}


def test_captions_are_read_to_their_claims() -> None:
    rng = random.Random(0)
    for _ in range(1500):
        scene = random_scene(rng)
        caption = describe(rng, scene, random_mention(rng, thing=scene.thing))
        found = parse(caption.text)
        assert found is not None, caption.text
        for name, claim, wanted in zip(ATTRIBUTES, found, caption.claims, strict=True):
            # "a lake" names the thing, though it may mean the kind.
            general = name == "kind" and scene.kind == scene.thing and claim == UNCLAIMED
            assert claim == wanted or general, (caption.text, name)


def test_full_captions_are_read() -> None:
    rng = random.Random(1)
    assert all(parse(full_caption(random_scene(rng))) for _ in range(300))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a yellow car in the city", {"thing": "car", "colour": "yellow", "setting": "city"}),
        (
            "the face of a bald man with beard and brown eyes",
            {"thing": "face", "kind": "man", "hair": "bald", "beard": "full", "eyes": "brown"},
        ),
        ("a mountain lake", {"thing": "lake", "setting": "mountains"}),
        ("a photo of a forest at night", {"setting": "woods", "time": "night"}),
        ("picture of violet pickup", {"thing": "car", "kind": "truck", "colour": "purple"}),
    ],
)
def test_examples(text: str, wanted: dict[str, str]) -> None:
    assert claims(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red",
        "red car car",
        "a car in the city in the snow",
        "a red blue car",
        "a man with glasses and no glasses",
        "car the in city",
        "a green face of",
        "the quick brown fox",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    assert parse(text) is None
