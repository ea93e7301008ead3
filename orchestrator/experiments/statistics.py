"""Statistics of runs: intervals, paired tests, times to a target, hypervolumes.

The unit is one run, that is one (prompt, seed). Pictures of one population are near-copies of each
other and count as one cluster, never as independent samples: taking 8 runs of 64 pictures for 512
samples makes intervals about eight times too narrow. Randomness is seeded, so a table made twice
is the same.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import moocore
import numpy as np
import numpy.typing as npt
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

Float64 = npt.NDArray[np.float64]
Unit = TypeVar("Unit", bound="Hashable")

RESAMPLES: Final = 5_000
SEED: Final = 0
TAILS: Final = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        value: of all units.
        low: 2.5th percentile over resampled units; NaN for fewer than two.
        high: 97.5th.
        units: how many.
    """

    value: float
    low: float
    high: float
    units: int

    def text(self, digits: int = 2) -> str:
        """For tables: value [low, high]; the value alone where all units agree."""
        if self.low == self.value == self.high:
            return f"{self.value:,g}"
        if self.units < 2:
            return f"{self.value:.{digits}f} [one run]"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True)
class Comparison:
    """Two levels on the same units.

    Attributes:
        first: one level.
        second: the other.
        units: pairs of units.
        difference: median of first less second.
        wins: share of pairs in which first is greater, ties half: the probability of improvement
            (Vargha and Delaney's A over pairs), 0 to 1, 0.5 for no effect.
        p: of Wilcoxon's signed-rank test, two-sided; 1 where all are equal; NaN below two pairs.
        adjusted: the same after Holm's correction for all comparisons made together.
    """

    first: str
    second: str
    units: int
    difference: float
    wins: float
    p: float
    adjusted: float


def mean_interval(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Interval:
    """The mean, with an interval by resampling whole clusters (percentile bootstrap).

    Args:
        values: (n,), at least one.
        clusters: which of them belong together; each is its own by default.
    """
    numbers = np.asarray(values, np.float64)
    alike = range(len(numbers)) if clusters is None else clusters
    known = {cluster: place for place, cluster in enumerate(dict.fromkeys(alike))}
    rows = [known[cluster] for cluster in alike]
    sums, counts = np.bincount(rows, numbers), np.bincount(rows)
    weights = resamples(len(sums))
    found = (weights @ sums) / (weights @ counts)
    low, high = np.percentile(found, TAILS) if len(sums) > 1 else (np.nan, np.nan)
    return Interval(float(numbers.mean()), float(low), float(high), len(sums))


def share_interval(hits: Sequence[bool], clusters: Sequence[Hashable]) -> Interval:
    """The share that is true, 0 to 1, with an interval over clusters.

    Where clusters differ within or between each other they are resampled; where each is one hit or
    miss, or all agree, Wilson's interval is taken of as many samples as there are clusters: eight
    runs that all succeed do not say that none ever fails.
    """
    found = mean_interval([float(hit) for hit in hits], clusters)
    if found.units < len(hits) and found.low < found.high:
        return found
    wilson = stats.binomtest(round(found.value * found.units), found.units)
    low, high = wilson.proportion_ci(method="wilson")
    return Interval(found.value, float(low), float(high), found.units)


def mean_band(curves: Float64) -> tuple[Float64, Float64, Float64]:
    """Mean, low and high, each (points,), of (units, points); no band for a single unit."""
    means = resamples(len(curves)) @ curves / len(curves)
    low, high = np.percentile(means, TAILS, axis=0)
    return curves.mean(axis=0), low, high


def resamples(units: int) -> Float64:
    """(RESAMPLES, units): how often each unit is drawn when as many are drawn with replacement."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(units, np.full(units, 1 / units), RESAMPLES).astype(np.float64)


def compare(levels: Mapping[str, Mapping[Unit, float]]) -> list[Comparison]:
    """Every two levels on the units that both have.

    Args:
        levels: level -> unit -> value, greater is better.
    """
    found = []
    for first, second in itertools.combinations(levels, 2):
        both = [unit for unit in levels[first] if unit in levels[second]]
        pairs = [(levels[first][unit], levels[second][unit]) for unit in both]
        found.append(_compare(first, second, np.array(pairs, np.float64).reshape(-1, 2)))
    adjusted = holm([one.p for one in found])
    return [
        Comparison(one.first, one.second, one.units, one.difference, one.wins, one.p, p)
        for one, p in zip(found, adjusted, strict=True)
    ]


def _compare(first: str, second: str, pairs: Float64) -> Comparison:
    gap = pairs[:, 0] - pairs[:, 1]
    p = float("nan")
    if len(gap) > 1:
        p = float(stats.wilcoxon(gap).pvalue) if gap.any() else 1.0
    wins = float(((gap > 0) + 0.5 * (gap == 0)).mean()) if len(gap) else float("nan")
    middle = float(np.median(gap)) if len(gap) else float("nan")
    return Comparison(first, second, len(gap), middle, wins, p, p)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) of p-values; NaN stay and do not count."""
    known = sorted((value, place) for place, value in enumerate(p) if value == value)  # noqa: PLR0124 # not NaN
    found, least = list(p), 0.0
    for rank, (value, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))
        found[place] = least
    return found


def expected_cost(spent: Sequence[float], reached: Sequence[bool]) -> float:
    """Expected running time (Auger and Hansen 2005): all that was spent, over how many reached.

    Args:
        spent: (runs,), until the target was reached, or in all.
        reached: whether it was; infinite where none did.
    """
    hits = sum(reached)
    return sum(spent) / hits if hits else float("inf")


def hypervolume(objectives: Float64, reference: Sequence[float]) -> float:
    """Volume that (n, m) minimised objectives dominate below a reference point, from 0."""
    inside = objectives[(objectives < np.asarray(reference)).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=list(reference))) if len(inside) else 0.0
