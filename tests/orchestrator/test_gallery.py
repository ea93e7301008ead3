"""Individuals keep the very picture that was scored; diversity is what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from orchestrator.evaluation.evaluator import Evaluation
from orchestrator.gallery import Gallery, diversity, likeness
from orchestrator.runs.history import History, Plan
from orchestrator.runs.journal import Conditions, Step
from protocol.latent import LatentSpace, Segment


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


def history(rows: np.ndarray, found: Evaluation) -> History:
    space = LatentSpace("z", (Segment("z", "real", 3, -99, 99, "uniform"),))
    past = History(Plan("random", len(rows), 1, 0, {}))
    past.begin(Conditions("a car", space, 1.0, ()))
    past.algorithm.ask()
    step = Step(
        "generation",
        1,
        Conditions("a car", space, 1.0, ()),
        rows,
        found.costs()["similarity"][:, None],
        found.similarity,
        found.realism,
        0.5,
    )
    past._algorithm._asked = rows  # type: ignore[union-attr] # as if it had asked for these
    past.take(step)
    return past


def test_pictures_stay_with_their_genomes() -> None:
    gallery, found, rows = Gallery(), evaluation(6), genomes(6)
    gallery.add(rows, found)
    past = history(rows, found)
    chosen = gallery.individuals(list(rows[[4, 1]]), past)
    assert [one.score.similarity for one in chosen] == list(found.similarity[[4, 1]])
    np.testing.assert_array_equal(chosen[0].image, found.images[4])
    gallery.keep(list(rows[[4, 1]]))
    with pytest.raises(KeyError):
        gallery.individuals(list(rows[:1]), past)
    newer = evaluation(1, seed=2)
    gallery.add(rows[:1], newer)
    (one,) = gallery.individuals(list(rows[:1]), past)
    np.testing.assert_array_equal(one.image, newer.images[0])


def test_nothing_that_is_kept_is_evaluated_again() -> None:
    gallery, found, rows = Gallery(), evaluation(4), genomes(4)
    gallery.add(rows, found)
    past, asked = history(rows, found), []
    new = genomes(6)[4:]

    def evaluate(some: np.ndarray) -> Evaluation:
        asked.append(some.copy())
        return evaluation(6).take([int(genome[0] // 3) for genome in some])

    batch = np.stack([new[1], rows[2], new[0], new[1], rows[2], rows[0]])
    got = gallery.evaluated(batch, past, evaluate)
    np.testing.assert_array_equal(np.concatenate(asked), new[[1, 0]])
    wanted = evaluation(6).take([5]).followed_by(found.take([2]))
    wanted = wanted.followed_by(evaluation(6).take([4, 5])).followed_by(found.take([2, 0]))
    for name in ("images", "embeddings", "similarity", "realism"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))

    asked.clear()
    again = gallery.evaluated(rows[[3, 1]], past, evaluate)
    assert not asked, "all of them are known"
    np.testing.assert_array_equal(again.images, found.images[[3, 1]])
    np.testing.assert_array_equal(again.similarity, found.similarity[[3, 1]])


@given(st.integers(2, 9), st.integers(0, 99))
def test_diversity_is_the_mean_pairwise_distance(count: int, seed: int) -> None:
    found = evaluation(count, seed).embeddings
    pairs = [1 - float(found[i] @ found[j]) for i in range(count) for j in range(i)]
    np.testing.assert_allclose(diversity(found), np.mean(pairs), atol=1e-5)
    assert diversity(found[:1]) == 0
    broken = np.full((1, 5), np.nan, np.float32)
    assert diversity(np.concatenate([found[:1], broken, found[1:]])) == diversity(found)


@given(arrays.arrays(np.float64, 5, elements=st.floats(-800, 800)))
def test_costs_are_finite_and_fall_as_pictures_improve(logits: np.ndarray) -> None:
    found = evaluation(5)
    found = Evaluation(found.images, found.embeddings, found.similarity, np.sort(logits))
    costs = found.costs()
    assert np.isfinite(costs["realism"]).all()
    assert (np.diff(costs["realism"]) <= 0).all()
    np.testing.assert_array_equal(costs["similarity"], 1 - found.similarity)


def test_likeness_is_the_cosine_to_whatever_is_nearest() -> None:
    east, north, _ = np.eye(3, dtype=np.float32)
    west = -east
    slanted = (east + north) / np.float32(np.sqrt(2))
    none = np.empty((0, 3), np.float32)
    assert likeness(np.stack([east]), none).tolist() == [-1], "nothing else is there"
    assert likeness(np.stack([east, west]), none).tolist() == [-1, -1]
    assert likeness(np.stack([east, west]), np.stack([north])).tolist() == [0, 0]
    assert likeness(np.stack([east, east]), none).tolist() == [1, 1], "a twin counts"
    np.testing.assert_allclose(
        likeness(np.stack([east, west]), np.stack([slanted, north])), [np.sqrt(0.5), 0], atol=1e-6
    )
    broken = np.full(3, np.nan, np.float32)
    assert likeness(np.stack([east, broken]), np.stack([north])).tolist() == [0, -1]
