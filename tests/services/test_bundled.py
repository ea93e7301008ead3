"""The bundled models: each row's answer is its own, bit for bit, whatever its batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.search import sample
from protocol.messages import (
    ClassifierInfo,
    Classify,
    ClipInfo,
    DiscriminatorInfo,
    EmbedImages,
    EmbedTexts,
    Generate,
    GeneratorInfo,
    Method,
    Score,
    Write,
)
from protocol.tensors import Array, TensorWriter
from services.catalogue import BUNDLED, MODELS, Model, bundled_weights
from services.loading import load_role
from services.runtime.role import Role, Rows
from services.runtime.worker import pad

MODELS_HERE = [model for model in MODELS if model.source == BUNDLED]


@pytest.fixture(scope="module")
def roles() -> dict[str, Role]:
    return {model.name: load_role(model, "cpu") for model in MODELS_HERE}


def test_all_weights_together_are_small() -> None:
    assert sum(path.stat().st_size for path in bundled_weights().iterdir()) < 40e6


def some_rows(role: Role, count: int, seed: int) -> Rows:
    """Rows of a call that this role answers, prepared as the service prepares them."""
    rng = np.random.default_rng(seed)
    about, writer = role.info.about, TensorWriter()
    call: Method
    if isinstance(about, GeneratorInfo):
        space = about.spaces[seed % len(about.spaces)]
        array: Array = sample(space, count, rng)
        genomes = writer.add(array)
        if about.writes:
            call = Write(space=space.name, genomes=genomes)
        else:
            size = seed % 3 * 20
            call = Generate(space=space.name, genomes=genomes, truncation_psi=0.7, clip_size=size)
    elif isinstance(about, ClipInfo):
        array = rng.integers(0, 255, (count, about.image_size, about.image_size, 3), np.uint8)
        call = EmbedImages(images=writer.add(array))
    elif isinstance(about, ClassifierInfo):
        side = about.image_size + seed % 2 * 20
        array = rng.integers(0, 255, (count, side, about.image_size, 3), np.uint8)
        call = Classify(images=writer.add(array))
    else:
        assert isinstance(about, DiscriminatorInfo)
        array = rng.integers(0, 255, (count, about.height, about.width, 3), np.uint8)
        call = Score(images=writer.add(array))
    return role.prepare(call, lambda _: array)


def check_independent(role: Role, rows: Rows, place: int) -> None:
    """A row has the same answer alone as among all of these, bit for bit."""
    row = rows.values[place]
    together = role.compute(rows.options, pad(rows.values, role.info.batch_rows))
    alone = role.compute(rows.options, pad(row[None], role.info.batch_rows))
    for one, many in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one[0], many[place])
        np.testing.assert_array_equal(one[0], one[-1])


@pytest.mark.parametrize("model", MODELS_HERE, ids=lambda model: model.name)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), place=st.integers(0, 15), count=st.integers(2, 16))
def test_a_row_does_not_know_its_batch(
    roles: dict[str, Role], model: Model, seed: int, place: int, count: int
) -> None:
    role = roles[model.name]
    check_independent(role, some_rows(role, count, seed), place % count)


@pytest.mark.parametrize("clip", [m.name for m in MODELS_HERE if m.role == "clip"])
@settings(max_examples=8, deadline=None)
@given(
    texts=st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=16),
    place=st.integers(0, 15),
)
def test_a_text_does_not_know_its_batch(
    roles: dict[str, Role], clip: str, texts: list[str], place: int
) -> None:
    role = roles[clip]
    rows = role.prepare(EmbedTexts(texts=tuple(texts)), lambda _: np.empty(0))
    check_independent(role, rows, place % len(texts))
