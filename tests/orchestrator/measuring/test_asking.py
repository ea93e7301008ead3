"""Judges are asked about any pictures and answer in their order, whatever the batches."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.evaluation.evaluator import Images
from orchestrator.fleet.replicas import Replicas
from orchestrator.measuring.asking import (
    batches,
    classify,
    embed_pictures,
    embed_texts,
    joined,
    labels_of,
)
from orchestrator.measuring.judges import judges
from protocol.errors import ModelFailedError, ProtocolError
from protocol.patience import PATIENCE
from tests import tiny

pytestmark = pytest.mark.timeout(600)  # starting services takes minutes on a loaded machine


@pytest.fixture(scope="module")
def asked(
    tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Replicas]]:
    folder = tmp_path_factory.mktemp("judges")
    classifier = str(tiny.save_classifier(folder / "classifier.safetensors"))
    clip = str(tiny_models["clip"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        wanted = {"classifier": classifier, "clip": clip, "again": clip}
        roles = {"classifier": "classifier", "clip": "clip", "again": "clip"}
        named = {name: (roles[name], model) for name, model in wanted.items()}
        patience = replace(PATIENCE, start_s=500.0)
        with judges(named, threads=1, patience=patience) as found:  # type: ignore[arg-type] # roles
            yield found


def pictures(count: int, height: int = 64, width: int = 64, seed: int = 0) -> list[Images]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8))


def test_what_is_wanted_twice_is_served_once(asked: dict[str, Replicas]) -> None:
    assert asked["clip"] is asked["again"]


def test_pictures_of_many_sizes_come_back_in_their_order(asked: dict[str, Replicas]) -> None:
    some = [*pictures(19), *pictures(2, 40, 90), *pictures(1, seed=5), *pictures(17, 16, 16)]
    reading = classify(asked["classifier"], some)
    assert reading.labels == {
        "colour": ("red", "blue", "yellow"),
        "time": ("day", "at night, in the dark"),
    }
    assert {name: rows.shape for name, rows in reading.logits.items()} == {
        "colour": (39, 3),
        "time": (39, 2),
    }
    assert reading.features.shape == (39, 128)
    assert reading.found("colour").shape == (39,)
    for place in (0, 20, 21, 38):
        alone = classify(asked["classifier"], [some[place]])
        np.testing.assert_array_equal(alone.features[0], reading.features[place])
        np.testing.assert_array_equal(alone.logits["time"][0], reading.logits["time"][place])


def test_embeddings_have_length_one(asked: dict[str, Replicas]) -> None:
    seen = embed_pictures(asked["clip"], [*pictures(33), *pictures(1, 90, 50)])
    read = embed_texts(asked["clip"], [f"a yellow car {number}" * 60 for number in range(40)])
    assert (seen.shape, read.shape) == ((34, 8), (40, 8))
    for rows in (seen, read):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_nothing_is_asked_about_nothing(asked: dict[str, Replicas]) -> None:
    assert classify(asked["classifier"], []).features.shape == (0, 128)
    assert embed_pictures(asked["clip"], []).shape == (0, 8)
    assert set(labels_of(asked["classifier"])) == {"colour", "time"}


def test_batches_hold_pictures_of_one_size() -> None:
    some = [*pictures(5), *pictures(1, 8, 8), *pictures(1)]
    assert [batch.shape[:2] for batch in batches(some, 3)] == [(3, 64), (2, 64), (1, 8), (1, 64)]


def test_answers_that_cannot_be_are_refused(asked: dict[str, Replicas]) -> None:
    rows = np.zeros((2, 8), np.float32)
    for parts in ([rows], [rows[:, :4], rows[:1]], [rows, rows]):
        with pytest.raises(ProtocolError, match="service check"):
            joined(asked["clip"], parts, 3, 8)
    with pytest.raises(ModelFailedError, match="not finite"):
        joined(asked["clip"], [rows + np.inf], 2, 8)
