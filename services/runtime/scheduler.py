"""Which rows are computed next: a bounded queue, fair between clients, without threads or clock.

Whatever waits when the model is free becomes the next batch (it never idles to wait for more). A
batch takes rows from clients in turn, an equal share each, so a search with a thousand rows delays
one with sixteen by batches and not by the whole thousand. Requests longer than a batch are cut.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.slots import SlotView
from protocol.tensors import Array
from services.runtime.role import Rows


@dataclass(eq=False)
class Work:
    """One request while it is in the service.

    Attributes:
        peer: whom to answer.
        request_id: 16 bytes.
        rows: what to compute.
        arrived: monotonic seconds.
        deadline: when nobody waits any more.
        taken: rows given to batches so far.
        finished: rows computed so far.
        outputs: for each batch that held rows of it, its output rows.
        slots: whether the answer may stay in the service's pool.
        views: slots that `rows` is read from.
        alone: never to share a batch, because a batch that it was part of failed.
    """

    peer: bytes
    request_id: bytes
    rows: Rows
    arrived: float
    deadline: float
    taken: int = 0
    finished: int = 0
    started: float | None = None
    compute_s: float = 0.0
    outputs: list[tuple[Array, ...]] = field(default_factory=list)
    slots: bool = False
    views: Sequence[SlotView] = ()
    alone: bool = False
    cancelled: bool = False

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.rows.values)

    @property
    def waiting(self) -> int:
        """Rows not yet given to a batch."""
        return self.size - self.taken

    @property
    def intact(self) -> bool:
        """Whether what was read from slots was not overwritten meanwhile."""
        return all(view.intact() for view in self.views)

    def restart(self) -> None:
        """Compute all of it again, in batches of its own."""
        self.taken = self.finished = 0
        self.outputs.clear()
        self.alone = True


@dataclass(frozen=True)
class Part:
    """Rows `start` to `stop` of one request, in a batch."""

    work: Work
    start: int
    stop: int


class Scheduler:
    """The queue of one service.

    Args:
        queue_rows: most rows that may wait.
        batch_rows: most rows in a batch.
    """

    def __init__(self, queue_rows: int, batch_rows: int) -> None:
        self._queue_rows = queue_rows
        self._batch_rows = batch_rows
        self._turns: deque[bytes] = deque()
        self._queues: dict[bytes, deque[Work]] = {}

    @property
    def rows(self) -> int:
        """Rows that wait."""
        return sum(work.waiting for queue in self._queues.values() for work in queue)

    def add(self, work: Work) -> bool:
        """Queue a request; False if the queue has no room for its rows.

        A request larger than the whole queue is taken when nothing else waits.
        """
        waiting = self.rows
        if waiting and waiting + work.size > self._queue_rows:
            return False
        self._enqueue(work)
        return True

    def put_back(self, work: Work) -> None:
        """Queue a request again, whatever the room, to be computed in batches of its own."""
        if work.waiting:
            self._queues[work.peer].remove(work)
        work.restart()
        self._enqueue(work)

    def forget(self, peer: bytes, request_id: bytes | None = None) -> None:
        """Drop a peer's requests, or only one of them; what is being computed is not answered."""
        for work in list(self._queues.get(peer, ())):
            if request_id in (None, work.request_id):
                work.cancelled = True
                self._remove(work)

    def expire(self, now: float) -> None:
        """Drop requests for which nobody waits any more."""
        late = [w for queue in self._queues.values() for w in queue if now >= w.deadline]
        for work in late:
            work.cancelled = True
            self._remove(work)

    def take(self) -> list[Part]:
        """The next batch: parts of equal options, at most `batch_rows` rows; empty if none wait."""
        if not self._turns:
            return []
        first = self._queues[self._turns[0]][0]
        parts = [self._cut(first, self._batch_rows)] if first.alone else self._share(first)
        self._turns.rotate(-1)
        self._tidy()
        return parts

    def _enqueue(self, work: Work) -> None:
        if work.peer not in self._queues:
            self._queues[work.peer] = deque()
            self._turns.append(work.peer)
        self._queues[work.peer].append(work)

    def _share(self, first: Work) -> list[Part]:
        parts: list[Part] = []
        room = self._batch_rows
        eligible = [peer for peer in self._turns if self._next(peer, first)]
        while room and eligible:
            share = max(1, room // len(eligible))
            for peer in eligible:
                work = self._next(peer, first)
                if work is not None and room:
                    parts.append(self._cut(work, min(share, room)))
                    room -= parts[-1].stop - parts[-1].start
            eligible = [peer for peer in eligible if self._next(peer, first)]
        return parts

    def _next(self, peer: bytes, first: Work) -> Work | None:
        """The peer's oldest request with rows left, if it may share a batch with `first`."""
        for work in self._queues[peer]:
            if work.waiting:
                fits = not work.alone and work.rows.options == first.rows.options
                return work if fits else None
        return None

    def _cut(self, work: Work, rows: int) -> Part:
        start = work.taken
        work.taken = min(work.size, start + rows)
        return Part(work, start, work.taken)

    def _tidy(self) -> None:
        for peer in list(self._queues):
            queue = self._queues[peer]
            while queue and not queue[0].waiting:
                queue.popleft()
            if not queue:
                del self._queues[peer]
                self._turns.remove(peer)

    def _remove(self, work: Work) -> None:
        self._queues[work.peer].remove(work)
        if not self._queues[work.peer]:
            del self._queues[work.peer]
            self._turns.remove(work.peer)
