"""From requests to outcomes: the queue, the compute thread, and what is done when a batch fails.

The I/O loop adds requests, begins a batch whenever the model is free, and collects what came of it.
A batch that breaks the model is computed again in halves until the guilty row is alone; its
batch-mates are answered. Out of memory halves the batches for the rest of this life. What is asked
twice is computed once (`answers.py`). Each request ends in one call of `answered` or `refused`, or
silently when nobody waits for it any more.
"""

import logging
import time
from collections.abc import Callable

from protocol.errors import BusyError, GlasshouseError, ModelFailedError, SlotLostError
from services.runtime.answers import Answers, remembered_bytes
from services.runtime.progress import Progress
from services.runtime.role import Role, Room
from services.runtime.scheduler import Part, Scheduler, Work
from services.runtime.worker import Outcome, Worker, out_of_memory

log = logging.getLogger("service")


class Batcher:
    """The rows of one service, from arrival to outcome; all calls from the I/O thread.

    Args:
        role: the model.
        answered: takes a request all of whose rows are computed.
        refused: takes a request that is given up, and why.
        room: memory from which others may read the model's outputs.
    """

    def __init__(
        self,
        role: Role,
        answered: Callable[[Work], None],
        refused: Callable[[Work, GlasshouseError], None],
        room: Room,
    ) -> None:
        self._model = role.info.model
        self._scheduler = Scheduler(role.info.queue_rows, role.info.batch_rows)
        self._worker = Worker(role, room)
        self._answered = answered
        self._refused = refused
        self.answers = Answers(role.info.digest, remembered_bytes())
        self.progress = Progress()
        self.wake = self._worker.wake

    @property
    def rows(self) -> int:
        """Rows that wait."""
        return self._scheduler.rows

    @property
    def idle(self) -> bool:
        """Whether the model computes nothing now."""
        return self._worker.idle

    @property
    def batch_age_s(self) -> float | None:
        """How long the running batch has been computing; None without one."""
        started = self._worker.started
        return None if started is None else time.monotonic() - started

    @property
    def retry_after_s(self) -> float:
        """When a client that found the queue full should ask again."""
        return self.progress.retry_after_s(self.rows / self._scheduler.batch_rows)

    def held(self, peer: bytes) -> set[bytes]:
        """Ids of a peer's requests that are queued or being computed."""
        return self._scheduler.held(peer) | self.answers.held(peer)

    def add(self, work: Work) -> None:
        """Queue a request.

        Raises:
            BusyError: there is no room for its rows.
        """
        if self.answers.recall(work):
            self._end(work)
        elif not self.answers.join(work) and not self._scheduler.add(work):
            work.cancelled = True
            raise BusyError(f"{self.rows} rows wait already, and there is no room for {work.size}")

    def begin(self) -> None:
        """Let the model compute what waits, if it is free."""
        if not self._worker.idle:
            return
        parts = self._scheduler.take()
        now = time.monotonic()
        for part in parts:
            if part.work.started is None:
                part.work.started = now
        if parts:
            self._worker.begin(parts)

    def collect(self) -> None:
        """Pass on what the model has computed since."""
        for outcome in self._worker.outcomes():
            self._scheduler.charge(outcome.parts, outcome.seconds)
            if outcome.error is None:
                self._succeeded(outcome)
            else:
                self._failed(outcome, outcome.error)

    def forget(self, peer: bytes, request_id: bytes | None = None) -> None:
        """Drop a peer's requests, or only one of them."""
        self._scheduler.forget(peer, request_id)
        self.answers.forget(peer, request_id)

    def expire(self, now: float) -> None:
        """Drop requests for which nobody waits any more."""
        self._scheduler.expire(now)
        self.answers.expire(now)
        for work in self.answers.abandoned():
            try:
                self.add(work)
            except BusyError as error:
                self._refused(work, error)

    def close(self) -> None:
        """End the compute thread after the batch it computes."""
        self._worker.close()

    def _succeeded(self, outcome: Outcome) -> None:
        self.progress.record(outcome.seconds)
        offset = 0
        for part in outcome.parts:
            work, stop = part.work, offset + part.size
            work.outputs[part.start] = tuple(output[offset:stop] for output in outcome.outputs)
            work.compute_s += outcome.seconds
            offset = stop
            if work.complete and not work.cancelled:
                self._end(work)

    def _end(self, work: Work) -> None:
        if not work.intact:
            self._give_up(work, _lost_slot())
            return
        answered = (work, *self.answers.ended(work, well=True))
        for one in answered:
            self.progress.rows += one.size
            self._answered(one)
        self.answers.remember(work)
        for one in answered:
            one.outputs = {}  # whoever still holds the request holds no slot by it

    def _failed(self, outcome: Outcome, error: BaseException) -> None:
        for part in outcome.parts:
            if not part.work.intact and not part.work.cancelled:
                self._give_up(part.work, _lost_slot())
        parts = [part for part in outcome.parts if not part.work.cancelled]
        if out_of_memory(error) and self._scheduler.batch_rows > 1:
            self._shrink()
            self._scheduler.again(parts)
        elif sum(part.size for part in parts) > 1:
            self._scheduler.bisect(parts)
        elif parts:
            self._give_up(parts[0].work, self._guilty(parts[0], error))

    def _guilty(self, part: Part, error: BaseException) -> ModelFailedError:
        return ModelFailedError(
            f"{self._model} failed on row {part.start} of {part.work.size}: {error}"
        )

    def _shrink(self) -> None:
        self._scheduler.batch_rows = (self._scheduler.batch_rows + 1) // 2
        self._worker.compute_in(self._scheduler.batch_rows)
        log.warning("out of memory: from now on %d rows a batch", self._scheduler.batch_rows)

    def _give_up(self, work: Work, error: GlasshouseError) -> None:
        work.cancelled = True
        self._scheduler.forget(work.peer, work.request_id)
        for one in (work, *self.answers.ended(work, well=False)):
            self._refused(one, error)


def _lost_slot() -> SlotLostError:
    return SlotLostError("the slot that held these pixels was released too early; ask again")
