"""How a service is getting on, in numbers: what PONG says, and when a busy client should come back.

Busy is not hung: a batch counts as hung when it takes many times as long as this model's batches
usually do, and never before half a minute.
"""

import statistics
from collections import deque

from protocol.messages import State
from protocol.patience import HUNG_BATCHES

HUNG_LEAST_S = 30.0
FIRST_GUESS_MS = 50.0


class Progress:
    """Times of the last batches."""

    def __init__(self) -> None:
        self.rows = 0
        self._batch_ms: deque[float] = deque(maxlen=64)

    def record(self, seconds: float) -> None:
        """A batch was computed."""
        self._batch_ms.append(seconds * 1000)

    @property
    def batch_ms(self) -> float:
        """Median time of a batch; 0 before the first."""
        return statistics.median(self._batch_ms) if self._batch_ms else 0.0

    @property
    def batch_p95_ms(self) -> float:
        """95th percentile of the same."""
        times = sorted(self._batch_ms) or [0.0]
        return times[min(len(times) - 1, round(0.95 * len(times)))]

    def state(self, batch_age_s: float | None) -> State:
        """`ready` without a batch, else `busy`, or `hung` when it takes far too long."""
        if batch_age_s is None:
            return "ready"
        limit_s = max(HUNG_LEAST_S, HUNG_BATCHES * self.batch_ms / 1000)
        return "hung" if batch_age_s > limit_s else "busy"

    def retry_after_s(self, batches: float) -> float:
        """About the time until half of what waits is done."""
        usual_ms = self.batch_ms or FIRST_GUESS_MS
        return min(5.0, max(0.02, batches / 2 * usual_ms / 1000))
