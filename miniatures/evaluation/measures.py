"""The formulas behind the figures."""

import math
from typing import Final

import torch
from torch import Tensor

PAIRS_OF: Final = 1000
"""Rows whose pairs are compared: half a million pairs."""


def share(hits: Tensor) -> float:
    """Of (n,) bool, how many are true, 0 to 1."""
    return float(hits.float().mean())


def accuracy(found: Tensor, truth: Tensor) -> float:
    """Of (n,) int64, how many agree, 0 to 1."""
    return share(found.cpu() == truth.cpu())


def spread(found: Tensor, values: int) -> float:
    """Entropy of (n,) int64 labels over that of an even spread of `values`, 0 to 1."""
    shares = torch.bincount(found.cpu(), minlength=values).double() / len(found)
    return float(-(shares * shares.clamp(min=1e-12).log()).sum() / math.log(values))


def area_under_curve(high: Tensor, low: Tensor) -> float:
    """Probability that a random one of `high` (n,) exceeds a random one of `low` (m,)."""
    above = (high[:, None] > low[None]).float() + 0.5 * (high[:, None] == low[None]).float()
    return float(above.mean())


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Fréchet distance of the normal distributions nearest to (n, d) and (m, d) features, from 0.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)): the formula of FID (Heusel et al. 2017), as
    torchmetrics has it; over other features than Inception's the values compare only among
    themselves.
    """
    a, b = first.double(), second.double()
    gap = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    c1, c2 = a.T.cov(), b.T.cov()
    root = torch.linalg.eigvals(c1 @ c2).sqrt().real.sum()
    return max(0.0, float(gap + c1.trace() + c2.trace() - 2 * root))


def diversity(features: Tensor) -> float:
    """Mean Euclidean distance of all pairs of the first PAIRS_OF rows of (n, d) features."""
    return float(torch.pdist(features[:PAIRS_OF].float()).mean())
