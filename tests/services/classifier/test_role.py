"""What a classifier service takes and answers, and that it keeps the specification."""

from pathlib import Path

import numpy as np
import pytest
import torch

from protocol.errors import BadRequestError, WeightsError
from protocol.messages import ClassifierInfo, Classify, Describe, Head, Labels
from protocol.tensors import Array, TensorWriter
from protocol.texts import unpack_texts
from services.catalogue import find_model
from services.conformance.bench import Bench
from services.conformance.checks import run
from services.loading import load_role
from services.models.attribute_classifier import Classifier, load_classifier
from services.models.checkpoints import save_checkpoint
from services.runtime.role import Role
from services.runtime.server import Server
from tests import tiny
from tests.services.serving import serving


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_classifier(tmp_path_factory.mktemp("classifier") / "tiny.safetensors")


@pytest.fixture(scope="module")
def role(path: Path) -> Role:
    return load_role(find_model(str(path), "classifier"), "cpu")


def pictures(*shape: int) -> Array:
    return np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)


def asked(role: Role, images: Array) -> tuple[Array, ...]:
    writer = TensorWriter()
    rows = role.prepare(Classify(images=writer.add(images)), lambda _: images)
    return role.compute(rows.options, rows.values)


def test_it_says_which_questions_it_answers(role: Role) -> None:
    heads = (Head("colour", 3), Head("time", 2))
    assert role.info.about == ClassifierInfo(64, heads, 128)
    rows = role.prepare(Labels(), lambda _: np.empty(0))
    (labels,) = role.compute(rows.options, rows.values)
    assert unpack_texts(labels) == ["red", "blue", "yellow", "day", "at night, in the dark"]


def test_it_answers_what_the_network_says(role: Role, path: Path) -> None:
    network = load_classifier(path)
    images = pictures(5, 64, 64)
    logits, features = asked(role, images)
    assert (logits.dtype, logits.shape, features.shape) == (np.float32, (5, 5), (5, 128))
    found = network.read(torch.from_numpy(images))
    np.testing.assert_array_equal(logits[:, :3].argmax(1), found["colour"])
    np.testing.assert_array_equal(logits[:, 3:].argmax(1), found["time"])
    np.testing.assert_allclose(features, network.describe(torch.from_numpy(images)), atol=1e-6)


def test_pictures_of_any_size_are_made_ready_here(role: Role) -> None:
    small = pictures(1, 8, 8)
    large = small.repeat(32, axis=1).repeat(48, axis=2)  # wide: its middle is looked at
    assert asked(role, large)[0].shape == (1, 5)
    flat = np.full((1, 200, 300, 3), 77, np.uint8)
    np.testing.assert_array_equal(asked(role, flat)[0], asked(role, flat[:, :64, :64])[0])


@pytest.mark.parametrize("shape", [(2, 0, 64), (64, 64), (2, 3, 64, 64)])
def test_what_is_no_picture_is_refused(role: Role, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadRequestError, match="wanted"):
        asked(role, pictures(*shape))
    with pytest.raises(BadRequestError, match="a classifier cannot describe"):
        role.prepare(Describe(), lambda _: np.empty(0))


def test_another_networks_tensors_are_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    tensors = Classifier({"colour": ["red", "blue"]}).state_dict()
    save_checkpoint(damaged, "attribute-classifier", {"heads": tiny.HEADS}, tensors, {})
    with pytest.raises(WeightsError, match="not those of an attribute-classifier"):
        load_role(find_model(str(damaged), "classifier"), "cpu")


@pytest.mark.usefixtures("shm_folder")
def test_it_keeps_the_specification(role: Role, tmp_path: Path) -> None:
    with serving(Server(role, f"ipc://{tmp_path}/c.sock")) as endpoint, Bench(endpoint, 30.0) as it:
        it.find_role()
        assert [found for found in run(it) if found[1]] == []
