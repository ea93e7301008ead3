"""Figures against closed cases and bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.evaluation.evaluator import Float32
from orchestrator.measuring.figures import mean, retrieval_ranks, share, vendi_score


def directions(count: int, size: int, seed: int = 0) -> Float32:
    """(count, size) float32 of length 1."""
    rows = np.random.default_rng(seed).standard_normal((count, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("size", [3, 40])  # fewer columns than rows, and more
def test_equal_pictures_count_once(size: int) -> None:
    assert vendi_score(directions(1, size).repeat(9, axis=0)) == pytest.approx(1)


@pytest.mark.parametrize(("count", "size"), [(6, 6), (6, 20)])
def test_pictures_at_right_angles_count_each(count: int, size: int) -> None:
    assert vendi_score(np.eye(count, size, dtype=np.float32)) == pytest.approx(count)


def test_two_kinds_in_unequal_shares_count_by_their_entropy() -> None:
    rows = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]]
    assert vendi_score(rows) == pytest.approx(0.75**-0.75 * 0.25**-0.25)
    assert vendi_score(rows[:0]) == 0


@given(st.integers(1, 30), st.integers(2, 12), st.integers(0, 99))
def test_vendi_lies_between_one_and_all(count: int, size: int, seed: int) -> None:
    rows = directions(count, size, seed)
    score = vendi_score(rows)
    assert 1 - 1e-6 <= score <= min(count, size) + 1e-6
    assert vendi_score(rows.repeat(3, axis=0)) == pytest.approx(score)
    assert vendi_score(rows[::-1]) == pytest.approx(score)


def test_ranks_count_the_prompts_that_fit_better() -> None:
    prompt, other, third = np.eye(3, dtype=np.float32)
    pictures = np.stack([prompt, other, 0.6 * prompt + 0.8 * third])
    ranks = retrieval_ranks(pictures, prompt, np.stack([other, third]))
    assert ranks.tolist() == [1, 3, 2]  # the second is as far from the prompt as from the third


@given(st.integers(1, 20), st.integers(0, 30), st.integers(0, 99))
def test_a_rank_is_a_place_among_all(count: int, distractors: int, seed: int) -> None:
    rows = directions(count + 1 + distractors, 5, seed)
    ranks = retrieval_ranks(rows[:count], rows[count], rows[count + 1 :])
    assert ranks.shape == (count,)
    assert ((ranks >= 1) & (ranks <= 1 + distractors)).all()


def test_a_share_has_wilsons_interval() -> None:
    figure = share("hits", [True] * 8 + [False] * 2, by="judge")
    assert (figure.value, figure.count, figure.by) == (0.8, 10, "judge")
    assert (figure.low, figure.high) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    sure = share("hits", [True] * 5, by="judge")
    assert sure.high == pytest.approx(1)
    assert sure.low == pytest.approx(0.5655, abs=1e-3)  # five pictures are not certainty


def test_pictures_of_one_search_get_no_interval() -> None:
    for figure in (
        share("hits", [True, False], by="judge", interval=False),
        mean("scores", np.arange(20.0), by="judge", interval=False),
        mean("scores", np.arange(3.0), by="judge"),  # too few to be drawn again
    ):
        assert figure.low is figure.high is None
        assert figure.value is not None


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_a_mean_lies_within_its_interval(values: list[float]) -> None:
    figure = mean("scores", np.array(values), by="judge")
    assert figure.value == pytest.approx(np.mean(values))
    if figure.low is not None and figure.high is not None:
        assert min(values) - 1e-9 <= figure.low <= figure.high <= max(values) + 1e-9


def test_nothing_has_no_figures() -> None:
    assert share("hits", [], by="judge").refused
    assert mean("scores", np.zeros(0), by="judge").refused
