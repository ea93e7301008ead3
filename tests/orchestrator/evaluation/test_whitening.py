"""A target is followed where random texts are white: what they seldom differ in counts as much."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.evaluation.evaluator import Float32
from orchestrator.evaluation.whitening import SPHERE, whitened

SEEDS = st.integers(0, 2**32 - 1)


def unit(rows: np.ndarray) -> Float32:
    found: Float32 = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return found


def drawn(seed: int, rows: int = 40, size: int = 8) -> tuple[Float32, Float32]:
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.1, 2, size)
    return unit(rng.standard_normal(size)), unit(rng.standard_normal((rows, size)) * spread + 0.5)


@given(SEEDS)
def test_it_is_the_cosine_after_the_texts_were_made_white(seed: int) -> None:
    """Reference: principal axes by singular values, each divided by its shrunk deviation."""
    target, embeddings = drawn(seed)
    rows = embeddings.astype(np.float64)
    _, singular, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    variances = singular**2 / len(rows)
    whitening = axes / np.sqrt(variances + SPHERE * variances.mean())[:, None]
    reference = (rows @ whitening.T) @ (whitening @ target)
    found = rows @ whitened(target, embeddings)
    found, reference = (rows / np.linalg.norm(rows) for rows in (found, reference))
    np.testing.assert_allclose(found, reference, rtol=1e-3, atol=1e-4)


@given(SEEDS)
def test_it_has_unit_length_and_does_not_hang_on_the_order_or_the_mean(seed: int) -> None:
    target, embeddings = drawn(seed)
    found = whitened(target, embeddings)
    assert abs(np.linalg.norm(found) - 1) < 1e-5
    np.testing.assert_allclose(whitened(target, embeddings[::-1].copy()), found, atol=1e-4)
    np.testing.assert_allclose(whitened(target, embeddings + np.float32(1)), found, atol=1e-4)


def test_a_small_difference_that_is_news_outweighs_a_large_one_that_is_none() -> None:
    rng = np.random.default_rng(0)
    phrasing, hair = 0.5 * rng.standard_normal((500, 1)), 0.05 * rng.standard_normal((500, 1))
    texts = np.hstack([phrasing, hair, np.ones((500, 1))]).astype(np.float32)
    picture = unit(np.array([0.3, 0.1, 1]))
    well_put, says_hair = np.array([0.35, 0, 1]), np.array([0.31, 0.1, 1])
    assert well_put @ picture > says_hair @ picture
    assert well_put @ whitened(picture, texts) < says_hair @ whitened(picture, texts)


def test_texts_that_are_all_the_same_change_nothing() -> None:
    target, embeddings = drawn(1)
    alike = np.repeat(embeddings[:1], 20, axis=0)
    np.testing.assert_array_equal(whitened(target, alike), target)
