"""What chance scores, so that a score can be told in standard deviations over random latents.

Raw cosines say nothing by themselves: one prompt's best is another prompt's average. Needs neither
numpy nor zmq; `evaluation/chance.py` measures one.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Baseline:
    """How random latents of a generator score under the conditions of a run.

    Attributes:
        mean: their mean similarity.
        deviation: its standard deviation.
        rows: how many there were.
        space: the latent space that they were drawn in, the generator's usual one.
    """

    mean: float
    deviation: float
    rows: int
    space: str

    def over(self, similarity: float) -> float:
        """By how many standard deviations a similarity lies above chance; 0 where all are alike."""
        return (similarity - self.mean) / self.deviation if self.deviation > 0 else 0.0


def sigmas(baseline: Baseline | None, similarity: float) -> str:
    """`+5.3 σ over random`; empty without a baseline."""
    return "" if baseline is None else f"{baseline.over(similarity):+.1f} σ over random"


def read_baseline(told: object) -> Baseline | None:
    """What `run.json` says of it; None where it says nothing that can be used."""
    if not isinstance(told, Mapping):
        return None
    mean, deviation, rows = (told.get(name) for name in ("mean", "deviation", "rows"))
    if not (isinstance(mean, float) and isinstance(deviation, float) and isinstance(rows, int)):
        return None
    return Baseline(mean, deviation, rows, str(told.get("space", "")))
