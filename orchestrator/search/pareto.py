"""Trade-offs between objectives: who dominates whom, the knee and the extremes of a front.

All objectives are minimised. Rows that are not comparable by number (+inf) rank last. The knee is
taken on objectives normalised over the front: on raw ones, CLIP-GLaSS's final pick was the worst
text match of its front, whatever the weights.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.search.algorithm import Objectives, finite
from orchestrator.search.space import Flags
from protocol.errors import BadRequestError

Rows = npt.NDArray[np.intp]

LEAST_SPAN = 1e-8  # of a front, below which pymoo 0.4 gave up on pseudo-weights


@dataclass(frozen=True)
class Picks:
    """Rows worth showing from a front.

    Attributes:
        knee: the row furthest below the plane through the extremes.
        extremes: the best row in each objective.
    """

    knee: int
    extremes: tuple[int, ...]


def non_dominated(objectives: Objectives) -> Rows:
    """The rows of (n, m) float64 that no other row dominates, in ascending order."""
    return np.flatnonzero(~_dominates(objectives).any(axis=0))


def knee_and_extremes(objectives: Objectives) -> Picks:
    """The rows to keep from (n, m) float64, m at least 2.

    The knee is the furthest from the plane through the extremes after each objective was scaled
    to 0..1 over the front, towards the origin (Das 1999; ties go to the first row).

    Raises:
        BadRequestError: fewer than two objectives, no rows, or no finite row.
    """
    if objectives.ndim != 2 or objectives.shape[1] < 2 or not len(objectives):
        raise BadRequestError(
            "knee and extremes need objectives with shape (n, m), m at least 2, "
            f"but got {objectives.shape}"
        )
    front = non_dominated(objectives)
    values = objectives[front]
    if not np.isfinite(values).all():
        raise BadRequestError("knee and extremes need at least one row that did not fail")
    lowest, span = values.min(axis=0), np.ptp(values, axis=0)
    scaled = (values - lowest) / np.where(span > 0, span, 1.0)
    return Picks(
        knee=int(front[np.argmin(scaled.sum(axis=1))]),
        extremes=tuple(int(row) for row in front[np.argmin(values, axis=0)]),
    )


def knee(objectives: Objectives) -> int:
    """The row of (n, m) float64 at the knee of its front."""
    return knee_and_extremes(objectives).knee


def most_real(objectives: Objectives) -> int:
    """CLIP-GLaSS's choice from (n, m) float64, by pseudo-weights (Deb 2001) of 0 and 1, then 0.

    A row's pseudo-weights are the shares of its distances to the front's worst values, and the row
    whose weights are nearest to 0 and 1 is the one that matches worst. On a front without extent it
    is the most real row, which its fall-back, an achievement scalarisation, comes to.

    Raises:
        BadRequestError: as `knee_and_extremes`.
    """
    second = knee_and_extremes(objectives).extremes[1]
    front = non_dominated(objectives)
    values = objectives[front]
    span = np.ptp(values, axis=0)
    if (span < LEAST_SPAN).any():
        return second
    distances = (values.max(axis=0) - values) / span
    weights = distances / distances.sum(axis=1, keepdims=True)
    wanted = np.eye(objectives.shape[1])[1]
    return int(front[np.argmin(np.abs(weights - wanted).sum(axis=1))])


def best_first(objectives: Objectives) -> Rows:
    """All rows of (n, m) float64 from best to worst; ties keep their order.

    With one objective by value; with more by non-domination rank, then by crowding distance,
    the lonely first (NSGA-II).
    """
    if objectives.shape[1] == 1:
        return np.argsort(objectives[:, 0], kind="stable")
    ranks = _ranks(objectives)
    lonely = np.empty(len(objectives))
    for rank in range(int(ranks.max(initial=-1)) + 1):
        lonely[ranks == rank] = _crowding(finite(objectives[ranks == rank]))
    return np.lexsort((-lonely, ranks))


def _dominates(objectives: Objectives) -> Flags:
    """(n, n) bool: whether row i is nowhere worse and somewhere better than row j."""
    left, right = objectives[:, None, :], objectives[None, :, :]
    dominates: Flags = np.logical_and((left <= right).all(axis=2), (left < right).any(axis=2))
    return dominates


def _ranks(objectives: Objectives) -> Rows:
    """(n,) the front that each row belongs to, 0 the best."""
    better = _dominates(objectives)
    ranks = np.full(len(objectives), -1, np.intp)
    rank = 0
    while (left := ranks < 0).any():
        ranks[left & ~better[left].any(axis=0)] = rank
        rank += 1
    return ranks


def _crowding(objectives: Objectives) -> npt.NDArray[np.float64]:
    """(n,) crowding distance of the rows of one front (Deb et al. 2002, section III B)."""
    distance = np.zeros(len(objectives))
    for column in objectives.T:
        order = np.argsort(column, kind="stable")
        span = np.ptp(column)
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance
