"""How long this side waits for what, and how it tries again.

Every time that a wait can take stands here, so that a test, or a user with odd machines, changes it
in one place. Whatever is tried again waits with full jitter: many clients that failed together
would otherwise come back together (Brooker, "Exponential Backoff and Jitter", 2015).
"""

import random
from dataclasses import dataclass

HUNG_BATCHES = 50  # a batch that takes so many times the usual counts as hung


@dataclass(frozen=True)
class Patience:
    """Times in seconds.

    Attributes:
        greet_s: for a service that is met for the first time to say WELCOME.
        swap_s: that a run stands still to greet what it is to be swapped to.
        ping_s: between two signs of progress.
        quiet_s: a service that says nothing for so long is called hung, and work goes elsewhere.
        silence_s: after so long it is lost.
        hung_s: a batch is never called hung before, however quick the model usually is.
        answer_s: for the answer to one request.
        start_s: for a service that is started to load its model.
        away_s: for a lost service elsewhere to come back, if no other can do its work.
        steady_s: a service that was started again and has lived so long has recovered.
        restarts: how often a service is started again before that.
        attempts: services that may be lost over one request, which is then the culprit.
        retry_s: longest first pause before something is tried again; later ones double.
        most_retry_s: longest pause of all.
    """

    greet_s: float = 5.0
    swap_s: float = 0.5
    ping_s: float = 0.5
    quiet_s: float = 4.0
    silence_s: float = 20.0
    hung_s: float = 30.0
    answer_s: float = 120.0
    start_s: float = 300.0
    away_s: float = 60.0
    steady_s: float = 300.0
    restarts: int = 5
    attempts: int = 4
    retry_s: float = 0.1
    most_retry_s: float = 5.0

    def pause_s(self, attempt: int, least_s: float = 0.0) -> float:
        """A pause before the next attempt: uniform from 0 to twice as much each time.

        Args:
            attempt: how often it failed so far, from 1.
            least_s: what the other side asked for, if that is longer than `retry_s`.
        """
        longest = max(self.retry_s, least_s) * 2.0 ** min(attempt, 30)
        return random.uniform(0.0, min(longest, max(self.most_retry_s, least_s)))


PATIENCE = Patience()
