"""Intervals that cover, tests that correct, and costs that count failures."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.experiments.statistics import (
    compare,
    expected_cost,
    holm,
    hypervolume,
    mean_band,
    mean_interval,
    share_interval,
)

P = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_near_copies_do_not_narrow_an_interval() -> None:
    """Eight runs of 64 equal pictures are eight samples: what the thesis took for 512."""
    runs = np.random.default_rng(1).random(8)
    pictures, clusters = np.repeat(runs, 64), np.repeat(np.arange(8), 64)
    honest = mean_interval(pictures.tolist(), clusters.tolist())
    assert honest.units == 8
    assert (honest.low, honest.high) == pytest.approx(
        (mean_interval(runs.tolist()).low, mean_interval(runs.tolist()).high)
    )
    naive = mean_interval(pictures.tolist())
    assert honest.high - honest.low > 5 * (naive.high - naive.low)


def test_intervals_cover_the_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    found = [mean_interval(rng.standard_normal(30).tolist()) for _ in range(200)]
    covered = sum(one.low <= 0 <= one.high for one in found)
    assert 175 <= covered <= 199  # 190 expected; small samples cover a little less


def test_runs_that_all_succeed_do_not_say_that_none_ever_fails() -> None:
    pictures, clusters = [True] * 8 * 64, [run for run in range(8) for _ in range(64)]
    whole = share_interval(pictures, clusters)
    assert (whole.value, whole.high) == (1.0, 1.0)
    assert whole.low == pytest.approx(0.676, abs=0.001)  # Wilson's for 8 of 8
    assert share_interval([True, False] * 4, range(8)).low == pytest.approx(0.215, abs=0.001)


def test_one_run_has_no_interval() -> None:
    assert mean_interval([3.0]).text() == "3.00 [one run]"
    assert math.isnan(mean_interval([3.0]).low)


def test_a_band_is_the_interval_of_each_point() -> None:
    curves = np.random.default_rng(3).random((9, 4))
    mean, low, high = mean_band(curves)
    for point in range(4):
        one = mean_interval(curves[:, point].tolist())
        assert (mean[point], low[point], high[point]) == pytest.approx(
            (one.value, one.low, one.high)
        )


@given(p=P)
def test_holm_never_lowers_and_keeps_the_order(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(new >= old for new, old in zip(adjusted, p, strict=True))
    assert max(adjusted) <= 1
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([float("nan"), 0.02])[1] == 0.02


def test_levels_are_compared_on_the_units_that_both_have() -> None:
    better = {("a", str(seed)): seed + 1.0 for seed in range(8)}
    worse = {("a", str(seed)): float(seed) for seed in range(1, 9)}
    (one,) = compare({"better": better, "worse": worse})
    assert (one.units, one.difference, one.wins) == (7, 1.0, 1.0)
    assert one.p == one.adjusted == pytest.approx(2 / 2**7)
    (same,) = compare({"one": better, "other": better})
    assert (same.wins, same.p) == (0.5, 1.0)


def test_a_target_costs_what_failures_spent_too() -> None:
    assert expected_cost([10, 20, 30], [True, False, True]) == 30
    assert expected_cost([10, 20], [False, False]) == math.inf


def test_a_hypervolume_by_hand() -> None:
    front = np.array([[-1.0, 1.0], [-2.0, 1.5], [5.0, 5.0]])
    assert hypervolume(front, (0, 2)) == pytest.approx(1 * 1 + 1 * 0.5)
    assert hypervolume(front, (-9, -9)) == 0
