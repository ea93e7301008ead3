"""Figures over sets of pictures: numbers of numbers, without a service and without torch.

Those that need torch are `service measure`'s (`orchestrator/measuring/sets.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from orchestrator.evaluation.evaluator import Float32, Float64
from protocol.tensors import Array

RESAMPLES: Final = 2_000
LEAST_FOR_INTERVAL: Final = 8
CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: of the figure.
        value: None where it is refused.
        low: end of its 95 % interval; None where there is none.
        high: the other end.
        spread: standard deviation, of what the definition says.
        count: pictures that it is of.
        by: the model by which they were judged.
        refused: why there is no value.
    """

    name: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    count: int = 0
    by: str = ""
    refused: str = ""


def vendi_score(embeddings: Float32) -> float:
    """The effective number of different pictures: exp of the entropy of the eigenvalues of K / n.

    K is the cosine of each pair. From 1 (all alike) to n (all at right angles), or d if that is
    less; 0 for none. Friedman and Dieng 2023, arXiv 2210.02410.

    Args:
        embeddings: (n, d) float32 of length 1.
    """
    if not len(embeddings):
        return 0.0
    rows = embeddings.astype(np.float64)
    small = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows  # the same eigenvalues
    shares = np.linalg.eigvalsh(small / len(rows)).clip(0)
    return float(np.exp(stats.entropy(shares)))


def retrieval_ranks(pictures: Float32, prompt: Float32, distractors: Float32) -> Array:
    """(n,) int64: the place of the prompt among the distractors, for each picture, from 1.

    The share of ranks of 1 is R-precision as text-to-image work has it (Xu et al. 2018, arXiv
    1711.10485), with 99 distractors; 0.01 is chance. Distractors of equal similarity come first.

    Args:
        pictures: (n, d) float32 of length 1.
        prompt: (d,) float32 of length 1.
        distractors: (k, d) float32 of length 1.
    """
    own = pictures.astype(np.float64) @ prompt.astype(np.float64)
    others = pictures.astype(np.float64) @ distractors.astype(np.float64).T
    ranks: Array = 1 + (others >= own[:, None]).sum(axis=1)
    return ranks


def share(name: str, hits: Sequence[bool] | Array, *, by: str, interval: bool = True) -> Figure:
    """How many are true, 0 to 1, with Wilson's 95 % interval for independent pictures.

    Args:
        name: of the figure.
        hits: (n,) bool.
        by: who judged.
        interval: whether pictures are independent, so that an interval can be had.
    """
    found = np.asarray(hits, bool)
    if not len(found):
        return Figure(name, by=by, refused="there are no pictures")
    figure = Figure(name, float(found.mean()), count=len(found), by=by)
    if not interval:
        return figure
    test = stats.binomtest(int(found.sum()), len(found))
    ends = test.proportion_ci(CONFIDENCE, method="wilson")
    return Figure(name, figure.value, float(ends.low), float(ends.high), None, len(found), by)


def mean(name: str, values: Array, *, by: str, interval: bool = True) -> Figure:
    """The mean, with its standard deviation and its 95 % bootstrap interval (BCa).

    Args:
        name: of the figure.
        values: (n,) float.
        by: who judged.
        interval: whether pictures are independent, so that an interval can be had.
    """
    found: Float64 = np.asarray(values, np.float64)
    if not len(found):
        return Figure(name, by=by, refused="there are no pictures")
    spread = float(found.std(ddof=1)) if len(found) > 1 else None
    low = high = None
    if interval and len(found) >= LEAST_FOR_INTERVAL:
        low, high = mean_interval(found)
    return Figure(name, float(found.mean()), low, high, spread, len(found), by)


def mean_interval(values: Float64) -> tuple[float, float]:
    """The 95 % bootstrap interval (BCa) of the mean of (n,) independent values."""
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, rng=0
    ).confidence_interval
    low, high = float(found.low), float(found.high)
    if math.isnan(low) or math.isnan(high):  # hardly any two values differ
        return float(values.min()), float(values.max())
    return low, high
