"""The attribute classifiers: heads, labels, and that they learn what they are shown."""

import random
from pathlib import Path

import pytest
import torch

from miniatures import classifier_training
from miniatures.classifier_training import (
    DOMAINS,
    heads_of,
    labels_of,
    loss_of,
    scene_of,
    train_classifier,
)
from miniatures.classifiers import OBJECT, classifier_path
from miniatures.training import Job
from miniatures.world import FACE_ATTRIBUTES, KINDS, VALUES, render_all
from services.models.attribute_classifier import FEATURES, Classifier, load_classifier


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_has_heads_for_all_that_its_captions_speak_of(domain: str) -> None:
    heads = heads_of(domain)
    assert {"kind", "colour", "setting", "time"} <= heads.keys()
    assert ("thing" in heads) == (domain == OBJECT)
    assert (set(FACE_ATTRIBUTES) <= heads.keys()) == (domain == "face")
    assert heads["kind"] == (VALUES["kind"] if domain == OBJECT else KINDS[domain])


@pytest.mark.parametrize("domain", DOMAINS)
def test_labels_name_what_the_scene_shows(domain: str) -> None:
    heads = heads_of(domain)
    scenes = [scene_of(random.Random(seed), domain) for seed in range(20)]
    for name, rows in labels_of(scenes, heads).items():
        assert [heads[name][row] for row in rows] == [getattr(scene, name) for scene in scenes]


def test_the_object_classifier_sees_every_thing_as_often() -> None:
    rng = random.Random(0)
    things = [scene_of(rng, OBJECT).thing for _ in range(900)]
    assert all(things.count(thing) > 60 for thing in VALUES["thing"])


def test_a_row_is_read_alone() -> None:
    classifier = Classifier(heads_of("car")).eval()
    pictures = torch.randint(256, (5, 64, 64, 3), dtype=torch.uint8)
    together, alone = classifier.describe(pictures), classifier.describe(pictures[2:3])
    assert together.shape == (5, FEATURES)
    torch.testing.assert_close(together[2:3], alone)
    assert {name: len(rows) for name, rows in classifier.read(pictures).items()} == dict.fromkeys(
        classifier.heads, 5
    )


def test_the_loss_counts_rows_that_every_head_has_right() -> None:
    logits = {"a": torch.eye(2) * 50, "b": torch.eye(2) * 50}
    loss, figures = loss_of(logits, {"a": torch.tensor([0, 1]), "b": torch.tensor([0, 0])})
    assert figures["all right"] == 0.5
    assert loss.item() == pytest.approx(25.0, abs=1e-3)


def test_training_lowers_the_loss_and_writes_what_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_training, "BATCH", 8)
    job = Job(torch.device("cpu"), tmp_path, steps=12, weights=tmp_path)
    train_classifier(job, "car")
    trained = load_classifier(classifier_path("car", tmp_path))
    rng = random.Random(3)
    scenes = [scene_of(rng, "car") for _ in range(32)]
    pixels = torch.from_numpy(render_all(scenes)).permute(0, 3, 1, 2) / 127.5 - 1
    labels = labels_of(scenes, trained.heads)
    fresh = Classifier(trained.heads).eval()
    assert loss_of(trained(pixels), labels)[0] < loss_of(fresh(pixels), labels)[0]
