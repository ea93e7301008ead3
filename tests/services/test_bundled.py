"""The bundled models: each row's answer is its own, bit for bit, whatever its batch."""

from collections.abc import Hashable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.messages import ClipInfo, DiscriminatorInfo, GeneratorInfo
from protocol.tensors import Array
from services.catalogue import MODELS, Model, bundled_weights
from services.loading import load_role
from services.runtime.role import Role
from services.runtime.worker import pad


@pytest.fixture(scope="module")
def roles() -> dict[str, Role]:
    return {model.name: load_role(model, "cpu") for model in MODELS}


def test_all_weights_together_are_small() -> None:
    assert sum(path.stat().st_size for path in bundled_weights().iterdir()) < 40e6


def some_rows(role: Role, count: int, seed: int) -> tuple[Hashable, Array]:
    rng = np.random.default_rng(seed)
    about = role.info.about
    if isinstance(about, GeneratorInfo):
        space = about.spaces[seed % 2]
        return (space.name, 1.0, 0), rng.standard_normal((count, space.size), np.float32)
    if isinstance(about, ClipInfo):
        shape = (count, about.image_size, about.image_size, 3)
        return "images", rng.integers(0, 255, shape, np.uint8)
    assert isinstance(about, DiscriminatorInfo)
    return "score", rng.integers(0, 255, (count, about.height, about.width, 3), np.uint8)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), place=st.integers(0, 15), count=st.integers(1, 16))
def test_a_row_does_not_know_its_batch(
    roles: dict[str, Role], model: Model, seed: int, place: int, count: int
) -> None:
    role = roles[model.name]
    options, rows = some_rows(role, count, seed)
    row = rows[place % count]
    (together,) = role.compute(options, pad(rows, role.info.batch_rows))
    (alone,) = role.compute(options, pad(row[None], role.info.batch_rows))
    np.testing.assert_array_equal(alone[0], together[place % count])
    np.testing.assert_array_equal(alone[0], alone[-1])
