"""The formulas, against values known from elsewhere."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from miniatures.evaluation.measures import (
    accuracy,
    area_under_curve,
    diversity,
    frechet_distance,
    share,
    spread,
)


def test_shares() -> None:
    assert share(torch.tensor([True, False, False, True])) == 0.5
    assert accuracy(torch.tensor([1, 2, 3]), torch.tensor([1, 0, 3])) == pytest.approx(2 / 3)


def test_spread_is_one_when_even_and_nil_when_all_are_one() -> None:
    assert spread(torch.arange(8), 8) == pytest.approx(1.0)
    assert spread(torch.zeros(9, dtype=torch.int64), 4) == pytest.approx(0.0, abs=1e-9)
    assert spread(torch.tensor([0, 0, 1, 1]), 4) == pytest.approx(math.log(2) / math.log(4))


def test_area_under_curve() -> None:
    high, low = torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])
    assert area_under_curve(high, low) == 1.0
    assert area_under_curve(low, high) == 0.0
    assert area_under_curve(high, high) == 0.5


def test_frechet_distance_is_fids_formula() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(200, 6)), rng.normal(0.4, 2.0, size=(150, 6))
    c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    gap = np.square(first.mean(0) - second.mean(0)).sum()
    wanted = gap + np.trace(c1 + c2 - 2 * root)
    found = frechet_distance(torch.from_numpy(first), torch.from_numpy(second))
    assert found == pytest.approx(wanted, rel=1e-6)


def test_frechet_distance_of_equal_features_is_nil() -> None:
    features = torch.randn(100, 5, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(features, features) == pytest.approx(0.0, abs=1e-6)


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    assert diversity(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])) == pytest.approx(10 / 3)
