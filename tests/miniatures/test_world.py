"""The world: same scene, same bytes; captions claim what is true; the split is a partition."""

import dataclasses
import itertools
import random

import numpy as np
import pytest

from miniatures.world import (
    ATTRIBUTES,
    CLASSES,
    FACE_ATTRIBUTES,
    KINDS,
    NOT_APPLICABLE,
    UNCLAIMED,
    VALUES,
    Scene,
    claims_hold,
    claims_of,
    describe,
    full_caption,
    hard_group,
    is_held_out,
    random_mention,
    random_scene,
    render,
    render_all,
    render_with_mask,
    vocabulary,
)
from miniatures.world.palette import COLOURS

THINGS = tuple(KINDS)


def test_the_same_scene_gives_the_same_bytes() -> None:
    scene = random_scene(random.Random(3))
    first = render(scene)
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, render(dataclasses.replace(scene)))


def test_drawing_one_scene_does_not_change_the_next() -> None:
    """Backgrounds are shared between pictures."""
    plain = Scene(setting="sea")
    before = render(plain)
    render(dataclasses.replace(plain, colour="blue", size=1.0))
    assert np.array_equal(render(plain), before)


FIELDS = [field.name for field in dataclasses.fields(Scene)]


@pytest.mark.parametrize("field", [name for name in FIELDS if name not in FACE_ATTRIBUTES])
def test_every_factor_shows(field: str) -> None:
    other = {
        "thing": {"thing": "tree", "kind": "pine"},
        "kind": {"kind": "truck"},
        "colour": {"colour": "green"},
        "setting": {"setting": "woods"},
        "time": {"time": "night"},
        "facing": {"facing": "left"},
        "layout": {"layout": 2},
    }.get(field, {field: 0.8})
    changed = dataclasses.replace(Scene(), **other)  # type: ignore[arg-type]  # fields of two types
    assert not np.array_equal(render(changed), render(Scene()))


@pytest.mark.parametrize("attribute", FACE_ATTRIBUTES)
def test_every_value_of_a_faces_attributes_shows_by_itself(attribute: str) -> None:
    plain = Scene("face", "man")
    shown = [
        render(dataclasses.replace(plain, **{attribute: value}))  # type: ignore[arg-type]  # words
        for value in VALUES[attribute]
    ]
    for one, other in itertools.combinations(shown, 2):
        changed = (np.abs(one.astype(int) - other).max(axis=2) > 40).sum()
        assert changed > 15


def test_face_attributes_change_nothing_else() -> None:
    for thing in set(THINGS) - {"face"}:
        plain = Scene(thing, KINDS[thing][0])
        other = dataclasses.replace(plain, hair="bald", eyes="blue", glasses="yes", smile="yes")
        assert np.array_equal(render(plain), render(other))
        assert plain.labels == other.labels


def test_in_the_fog_the_object_is_veiled() -> None:
    clear, veiled = (render(Scene(setting=s, colour="red")) for s in ("snow", "fog"))
    assert (np.abs(clear.astype(int) - COLOURS["red"]).max(axis=2) < 12).any()
    assert not (np.abs(veiled.astype(int) - COLOURS["red"]).max(axis=2) < 12).any()


def test_the_classes_are_the_kinds_in_label_order() -> None:
    assert len(CLASSES) >= 20
    assert [kind for _, kind in CLASSES] == list(VALUES["kind"])
    assert len(set(VALUES["kind"])) == len(CLASSES)


@pytest.mark.parametrize(("thing", "kind"), [(t, k) for t in THINGS for k in KINDS[t]])
@pytest.mark.parametrize("time", ["day", "night"])
def test_the_colour_is_seen_by_day_and_by_night(thing: str, kind: str, time: str) -> None:
    for colour, rgb in COLOURS.items():
        picture = render(Scene(thing, kind, colour, "snow", time))
        near = np.abs(picture.astype(int) - rgb).max(axis=2) < 12
        assert near.sum() > 60, colour


@pytest.mark.parametrize("thing", THINGS)
def test_the_object_is_large_and_whole(thing: str) -> None:
    rng = random.Random(1)
    for _ in range(20):
        scene = random_scene(rng, thing)
        _, mask = render_with_mask(scene)
        columns = np.flatnonzero(mask.any(axis=0))
        assert 0.08 < mask.mean() < 0.75
        assert columns[-1] - columns[0] > 18


def test_the_mask_is_where_the_object_is() -> None:
    picture, mask = render_with_mask(Scene(setting="grass", colour="red"))
    assert np.array_equal(picture, render(Scene(setting="grass", colour="red")))
    other = render(Scene(setting="grass", colour="blue"))
    changed = (picture != other).any(axis=2)
    assert not (changed & ~mask).any()


def test_labels_are_indices_of_the_attributes() -> None:
    scene = random_scene(random.Random(5))
    for name, label in zip(ATTRIBUTES, scene.labels, strict=True):
        if scene.has(name):
            assert VALUES[name][label] == getattr(scene, name)
        else:
            assert label == NOT_APPLICABLE


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"colour": "beige"}, "colour must be one of red, orange"),
        ({"kind": "pine"}, "kind of car must be one of sedan"),
        ({"setting": "mars"}, "setting must be one of city"),
        ({"time": "noon"}, "time must be one of day, night, got 'noon'"),
        ({"hair": "mauve"}, "hair must be one of bald, blonde"),
        (
            {"thing": "face", "kind": "girl", "beard": "full"},
            "beard of a girl must be one of none, got 'full'",
        ),
        ({"facing": "up"}, "facing must be one of left, right"),
        ({"layout": 4}, "layout must be 0 to 3, got 4"),
    ],
)
def test_unknown_attributes_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scene(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_the_split_is_fixed_and_near_its_share() -> None:
    combinations = list(
        itertools.product(*(VALUES[a] for a in ("thing", "colour", "setting", "time")))
    )
    held_out = [one for one in combinations if is_held_out(*one)]
    assert 0.09 < len(held_out) / len(combinations) < 0.15
    assert is_held_out("car", "white", "road", "night") == (
        ("car", "white", "road", "night") in held_out
    )
    for attribute in ("thing", "colour", "setting", "time"):
        seen = {one[("thing", "colour", "setting", "time").index(attribute)] for one in held_out}
        assert seen == set(VALUES[attribute])


def test_training_never_sees_what_is_held_out() -> None:
    rng = random.Random(2)
    assert not any(random_scene(rng).held_out for _ in range(200))
    assert all(random_scene(rng, held_out=True).held_out for _ in range(50))
    for _ in range(100):
        assert not any(scene.held_out for scene in hard_group(rng)[0])


def test_hard_groups_differ_where_they_say() -> None:
    rng = random.Random(4)
    for _ in range(100):
        scenes, differing = hard_group(rng)
        assert len({scene.labels for scene in scenes}) == 4
        for name in set(ATTRIBUTES) - differing - {"kind", "beard"}:
            assert len({getattr(scene, name) for scene in scenes}) == 1
        for name in ("layout", "size", "x", "y", "tone", "facing"):
            assert len({getattr(scene, name) for scene in scenes}) == 1


def test_captions_claim_what_they_mention_and_it_is_true() -> None:
    rng = random.Random(6)
    for _ in range(300):
        scene = random_scene(rng)
        mention = random_mention(rng, thing=scene.thing)
        caption = describe(rng, scene, mention)
        claimed = {
            name for name, c in zip(ATTRIBUTES, caption.claims, strict=True) if c != UNCLAIMED
        }
        assert mention - {"beard"} <= claimed <= mention | {"kind"}
        assert claims_hold(caption.claims, scene.labels)


def test_a_claim_fails_for_another_scene() -> None:
    rng = random.Random(7)
    scene = Scene(colour="yellow", setting="city")
    caption = describe(rng, scene, frozenset({"thing", "colour", "setting"}))
    for changed in ({"colour": "blue"}, {"setting": "snow"}, {"thing": "house", "kind": "block"}):
        assert not claims_hold(caption.claims, dataclasses.replace(scene, **changed).labels)
    assert claims_hold(caption.claims, dataclasses.replace(scene, time="night").labels)


def test_colours_need_an_object_in_the_sentence() -> None:
    rng = random.Random(8)
    for _ in range(100):
        assert "thing" in random_mention(rng, frozenset({"colour"}))


def test_every_word_of_a_caption_is_in_the_vocabulary() -> None:
    rng, words = random.Random(9), set(vocabulary())
    for _ in range(500):
        scene = random_scene(rng)
        mention = random_mention(rng, thing=scene.thing)
        text = describe(rng, scene, mention).text + " " + full_caption(scene)
        assert set(text.replace("-", " ").split()) <= words, text


def test_the_words_of_the_examples_are_known() -> None:
    text = "a yellow car in the city a blue truck at night a car in the snow by the sea"
    assert set(text.split()) <= set(vocabulary())


def test_full_captions() -> None:
    assert full_caption(Scene(colour="yellow")) == "a yellow car in the city by day"
    assert (
        full_caption(Scene(colour="orange", time="night")) == "an orange car in the city at night"
    )
    woman = Scene("face", "woman", "red", "snow", hair="ginger", eyes="green")
    assert full_caption(woman) == "a ginger woman with green eyes in the snow by day"


PHRASES = {
    "a yellow car in the city": Scene("car", "sedan", "yellow", "city"),
    "a blue car in the snow": Scene("car", "suv", "blue", "snow"),
    "a red truck in a street": Scene("car", "truck", "red", "street"),
    "a yellow beetle in an intersection": Scene("car", "beetle", "yellow", "intersection"),
    "a black suv in the snow": Scene("car", "suv", "black", "snow"),
    "a red gothic church": Scene("church", "gothic", "red"),
    "a gothic church in a grass field": Scene("church", "gothic", setting="grass"),
    "an orthodox church in moscow": Scene("church", "orthodox", setting="city"),
    "the face of a blonde girl with glasses": Scene("face", "girl", hair="blonde", glasses="yes"),
    "the face of a bald man with beard and brown eyes": Scene(
        "face", "man", hair="bald", beard="full", eyes="brown"
    ),
    "a blond girl with a smile": Scene("face", "girl", hair="blonde", smile="yes"),
    "a ginger boy": Scene("face", "boy", hair="ginger"),
    "a dog in the fog": Scene("animal", "dog", setting="fog"),
    "a clock on a wall": Scene("clock", "round clock", setting="wall"),
    "a mountain lake": Scene("lake", "lake", setting="mountains"),
    "the face of a man with brown eyes and stubble beard": Scene(
        "face", "man", eyes="brown", beard="stubble"
    ),
}
MENTIONS = {
    "a yellow car in the city": "thing colour setting",
    "a blue car in the snow": "thing colour setting",
    "a red truck in a street": "thing kind colour setting",
    "a yellow beetle in an intersection": "thing kind colour setting",
    "a black suv in the snow": "thing kind colour setting",
    "a red gothic church": "thing kind colour",
    "a gothic church in a grass field": "thing kind setting",
    "an orthodox church in moscow": "thing kind setting",
    "the face of a blonde girl with glasses": "thing kind hair glasses",
    "the face of a bald man with beard and brown eyes": "thing kind hair beard eyes",
    "a blond girl with a smile": "thing kind hair smile",
    "a ginger boy": "thing kind hair",
    "a dog in the fog": "thing kind setting",
    "a clock on a wall": "thing setting",
    "a mountain lake": "thing kind setting",
    "the face of a man with brown eyes and stubble beard": "thing kind eyes beard",
}


@pytest.mark.parametrize("phrase", PHRASES)
def test_the_papers_phrases_are_said_and_claim_what_they_say(phrase: str) -> None:
    rng, scene = random.Random(0), PHRASES[phrase]
    mention = frozenset(MENTIONS[phrase].split())
    for _ in range(200_000):
        caption = describe(rng, scene, mention)
        if caption.text == phrase:
            assert caption.claims == claims_of(scene, mention)
            return
    pytest.fail("never said")


def test_many_at_once() -> None:
    scenes = [Scene(colour=colour) for colour in ("red", "blue")]
    pictures = render_all(scenes)
    assert pictures.shape == (2, 64, 64, 3)
    assert np.array_equal(pictures[1], render(scenes[1]))
