"""Individuals keep the very picture that was scored; diversity is what it says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from orchestrator.evaluation.evaluator import Evaluation
from orchestrator.gallery import Gallery, diversity


def evaluation(count: int, seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((count, 5)).astype(np.float32)
    return Evaluation(
        images=rng.integers(0, 255, (count, 4, 4, 3), np.uint8),
        embeddings=embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
        similarity=rng.uniform(-1, 1, count),
        realism=rng.standard_normal(count),
    )


def genomes(count: int) -> np.ndarray:
    return np.arange(count * 3, dtype=np.float32).reshape(count, 3)


def test_pictures_stay_with_their_genomes() -> None:
    gallery, found, rows = Gallery(), evaluation(6), genomes(6)
    gallery.add(rows, found, 1)
    kept = gallery.keep(rows[[4, 1]])
    assert [individual.similarity for individual in kept] == list(found.similarity[[4, 1]])
    np.testing.assert_array_equal(kept[0].image, found.images[4])
    gallery.add(rows[:1], evaluation(1, seed=2), 2)
    assert [one.generation for one in gallery.keep(rows[[1, 0]])] == [1, 2]


@given(st.integers(2, 9), st.integers(0, 99))
def test_diversity_is_the_mean_pairwise_distance(count: int, seed: int) -> None:
    found = evaluation(count, seed)
    individuals = Gallery().add(genomes(count), found, 1)
    pairs = [
        1 - float(found.embeddings[i] @ found.embeddings[j]) for i in range(count) for j in range(i)
    ]
    np.testing.assert_allclose(diversity(individuals), np.mean(pairs), atol=1e-5)
    assert diversity(individuals[:1]) == 0


@given(arrays.arrays(np.float64, 5, elements=st.floats(-800, 800)))
def test_objectives_are_finite_and_fall_as_pictures_improve(logits: np.ndarray) -> None:
    found = evaluation(5)
    found = Evaluation(found.images, found.embeddings, found.similarity, np.sort(logits))
    objectives = found.objectives(2)
    assert np.isfinite(objectives).all()
    assert (np.diff(objectives[:, 1]) <= 0).all()
    np.testing.assert_array_equal(objectives[:, 0], 1 - found.similarity)
    assert found.objectives(1).shape == (5, 1)
