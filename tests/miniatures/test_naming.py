"""What a prompt asks for, read by the classes' names, is what the world's grammar reads."""

import random

import pytest

from miniatures.caption_parsing import parse
from miniatures.classifier_training import DOMAINS, heads_of, scene_of
from miniatures.classifiers import OBJECT, classifier_path
from miniatures.naming import names_of
from miniatures.world import (
    ATTRIBUTES,
    FACE_ATTRIBUTES,
    UNCLAIMED,
    VALUES,
    describe,
    random_mention,
)
from orchestrator.measuring.claims import asked_for
from protocol.texts import TEXT_BYTES
from services.models.checkpoints import load_checkpoint


def labels_of(domain: str) -> dict[str, list[str]]:
    """As the service of a domain's classifier names its classes."""
    names = names_of(heads_of(domain))
    return {head: [", ".join(said) for said in values.values()] for head, values in names.items()}


@pytest.mark.parametrize("domain", [name for name in DOMAINS if name != OBJECT])
def test_names_and_grammar_agree(domain: str) -> None:
    heads, labels, rng = heads_of(domain), labels_of(domain), random.Random(domain)
    for _ in range(400):
        scene = scene_of(rng, domain)
        text = describe(rng, scene, random_mention(rng, frozenset({"thing"}), scene.thing)).text
        assert named(asked_for(text, labels), heads) == claimed(text, heads), text


def test_of_things_they_agree_where_nobody_has_hair_or_eyes() -> None:
    heads, labels, rng = heads_of(OBJECT), labels_of(OBJECT), random.Random(1)
    for _ in range(400):
        scene = scene_of(rng, OBJECT)
        text = describe(rng, scene, random_mention(rng, frozenset({"thing"}), scene.thing)).text
        wanted, found = claimed(text, heads), named(asked_for(text, labels), heads)
        if scene.thing == "face":  # whose hair and eyes the classifier of all things cannot tell
            wanted, found = ({**some, "colour": ""} for some in (wanted, found))
        assert found == wanted, text


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_class_has_names_that_fit_on_the_wire(domain: str) -> None:
    for labels in labels_of(domain).values():
        assert all(0 < len(label.encode()) <= TEXT_BYTES for label in labels)


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_bundled_files_have_these_names(domain: str) -> None:
    config = load_checkpoint(classifier_path(domain)).config
    assert config["names"] == names_of(config["heads"])
    assert (set(FACE_ATTRIBUTES) <= config["names"].keys()) == (domain == "face")


def claimed(text: str, heads: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """What the grammar reads of these heads."""
    claims = parse(text)
    assert claims is not None
    said = {
        name: VALUES[name][claim]
        for name, claim in zip(ATTRIBUTES, claims, strict=True)
        if claim != UNCLAIMED
    }
    return {name: value for name, value in said.items() if value in heads.get(name, ())}


def named(asked: dict[str, int], heads: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {head: heads[head][index] for head, index in asked.items()}
