"""Which rows are computed next: a bounded queue, fair between clients, without threads or clock.

Whatever waits when the model is free becomes the next batch; it never idles to wait for more. The
client that has been given the least compute time leads the batch, and others whose rows are of the
same kind fill what room is left. Compute time is measured: `charge` divides what a batch took among
those that had rows in it, so dear rows count as dear. A client that comes back after a pause starts
level with the rest; it cannot save up. (Start-time fair queueing, Goyal et al. 1996, with batches
for packets: a client is never behind another by more than a batch.)

Interactive requests form one further lane, which may lead every second batch, so that a person who
waits for one picture does not wait for a search, and a search never starves. A batch that breaks
the model comes back in halves until the guilty row is alone (`bisect`).
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from protocol.slots import SlotView
from protocol.tensors import Array
from services.runtime.role import Rows

QUEUES = 8  # of full length that may wait altogether

Lane = tuple[bool, bytes]  # interactive, peer


@dataclass(eq=False)
class Work:
    """One request while it is in the service.

    Attributes:
        peer: whom to answer.
        request_id: 16 bytes.
        rows: what to compute.
        arrived: monotonic seconds.
        deadline: when nobody waits any more.
        interactive: whether a person waits for it.
        slots: whether the answer may stay in the service's pool.
        views: slots that `rows` is read from.
        key: equal for requests that ask the same; empty if it is not to be compared.
        taken: rows given to batches so far.
        started: when the first of them was.
        compute_s: time of the batches that held rows of it.
        outputs: for each range of rows that is computed, by its first row, the output rows.
        cancelled: whether nobody waits for it any more.
    """

    peer: bytes
    request_id: bytes
    rows: Rows
    arrived: float
    deadline: float
    interactive: bool = False
    slots: bool = False
    views: Sequence[SlotView] = ()
    key: bytes = b""
    taken: int = 0
    started: float | None = None
    compute_s: float = 0.0
    outputs: dict[int, tuple[Array, ...]] = field(default_factory=dict)
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
    def lane(self) -> Lane:
        """Where it queues."""
        return self.interactive, self.peer

    @property
    def complete(self) -> bool:
        """Whether all rows are computed."""
        return sum(len(outputs[0]) for outputs in self.outputs.values()) == self.size

    @property
    def intact(self) -> bool:
        """Whether what was read from slots was not overwritten meanwhile."""
        return all(view.intact() for view in self.views)

    def ordered(self) -> list[tuple[Array, ...]]:
        """Outputs in the order of the rows."""
        return [self.outputs[start] for start in sorted(self.outputs)]


@dataclass(frozen=True)
class Part:
    """Rows `start` to `stop` of one request, in a batch."""

    work: Work
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.stop - self.start


class Scheduler:
    """The queue of one service.

    Args:
        queue_rows: most rows of one client that may wait.
        batch_rows: most rows in a batch.
    """

    def __init__(self, queue_rows: int, batch_rows: int) -> None:
        self._queue_rows = queue_rows
        self.batch_rows = batch_rows
        self._queues: dict[Lane, deque[Work]] = {}
        self._again: deque[list[Part]] = deque()
        self._computing: list[Part] = []
        self._spent: dict[Lane, float] = {}
        self._clock = 0.0
        self._led_by_interactive = False

    @property
    def rows(self) -> int:
        """Rows that wait."""
        queued = sum(work.waiting for queue in self._queues.values() for work in queue)
        return queued + sum(part.size for part in self._alive_again())

    def held(self, peer: bytes) -> set[bytes]:
        """Ids of a peer's requests that are queued or being computed."""
        return {w.request_id for w in self._all() if w.peer == peer and not w.cancelled}

    def add(self, work: Work) -> bool:
        """Queue a request; False if there is no room for its rows.

        A request larger than the whole queue is taken when nothing else of its client waits.
        """
        mine = sum(one.waiting for one in self._queues.get(work.lane, ()))
        if mine and mine + work.size > self._queue_rows:
            return False
        waiting = self.rows
        if waiting and waiting + work.size > QUEUES * self._queue_rows:
            return False
        if work.lane not in self._queues:
            self._queues[work.lane] = deque()
            self._spent[work.lane] = max(self._clock, self._spent.get(work.lane, 0.0))
        self._queues[work.lane].append(work)
        return True

    def forget(self, peer: bytes, request_id: bytes | None = None) -> None:
        """Drop a peer's requests, or only one of them; what is being computed is cancelled too."""
        self._drop(
            work
            for work in self._all()
            if work.peer == peer and request_id in {None, work.request_id}
        )
        if request_id is None:
            self._spent.pop((True, peer), None)
            self._spent.pop((False, peer), None)

    def expire(self, now: float) -> None:
        """Drop requests for which nobody waits any more."""
        self._drop(work for work in self._all() if now >= work.deadline)

    def take(self) -> list[Part]:
        """The next batch: parts of equal options, at most `batch_rows` rows; empty if none wait."""
        while self._again:
            self._computing = [p for p in self._again.popleft() if not p.work.cancelled]
            if self._computing:
                return self._computing
        if not self._queues:
            self._clock = max(self._spent.values(), default=self._clock)
            self._spent.clear()
            self._computing = []
            return []
        lead = self._lead()
        self._clock = max(self._clock, self._spent[lead])
        options = self._queues[lead][0].rows.options
        parts, room = [], self.batch_rows
        for lane in [lead, *sorted(self._queues, key=self._turn)]:
            while room and (work := self._next(lane)) and work.rows.options == options:
                parts.append(self._cut(work, room))
                room -= parts[-1].size
        self._computing = parts
        self._tidy()
        return parts

    def charge(self, parts: Sequence[Part], seconds: float) -> None:
        """Divide the time that a batch took among those that had rows in it."""
        rows = sum(part.size for part in parts)
        for part in parts:
            lane = part.work.lane
            spent = max(self._clock, self._spent.get(lane, 0.0))
            self._spent[lane] = spent + seconds * part.size / rows

    def bisect(self, parts: Sequence[Part]) -> None:
        """Compute a batch of at least two rows again, as two halves, before anything else."""
        self._split(parts, (sum(part.size for part in parts) + 1) // 2)

    def again(self, parts: Sequence[Part]) -> None:
        """Compute these rows again before anything else, in batches of the present size."""
        self._split(parts, self.batch_rows)

    def _split(self, parts: Sequence[Part], rows: int) -> None:
        batches: list[list[Part]] = []
        room = 0
        for part in parts:
            start = part.start
            while start < part.stop:
                if not room:
                    batches.append([])
                    room = rows
                stop = min(part.stop, start + room)
                batches[-1].append(Part(part.work, start, stop))
                room -= stop - start
                start = stop
        self._again.extendleft(reversed(batches))

    def _lead(self) -> Lane:
        """The lane whose turn it is."""
        lanes = sorted(self._queues, key=self._turn)
        persons = [lane for lane in lanes if lane[0]]
        searches = [lane for lane in lanes if not lane[0]]
        interactive = bool(persons) and not (searches and self._led_by_interactive)
        self._led_by_interactive = interactive
        return persons[0] if interactive else searches[0]

    def _turn(self, lane: Lane) -> float:
        return self._spent[lane]

    def _next(self, lane: Lane) -> Work | None:
        """The lane's oldest request with rows left."""
        return next((work for work in self._queues[lane] if work.waiting), None)

    def _cut(self, work: Work, rows: int) -> Part:
        start = work.taken
        work.taken = min(work.size, start + rows)
        return Part(work, start, work.taken)

    def _all(self) -> list[Work]:
        """Every request that is not answered yet."""
        queued = [work for queue in self._queues.values() for work in queue]
        return queued + [part.work for part in (*self._alive_again(), *self._computing)]

    def _alive_again(self) -> list[Part]:
        return [part for parts in self._again for part in parts if not part.work.cancelled]

    def _drop(self, works: Iterable[Work]) -> None:
        dropped = list(works)
        for work in dropped:
            work.cancelled = True
        if dropped:
            self._tidy()

    def _tidy(self) -> None:
        """Let go of what needs no further batch, and of idle clients' accounts."""
        for lane, queue in list(self._queues.items()):
            kept = deque(work for work in queue if work.waiting and not work.cancelled)
            if kept:
                self._queues[lane] = kept
            else:
                del self._queues[lane]
        for lane in [lane for lane in self._spent if lane not in self._queues]:
            if self._spent[lane] <= self._clock:
                del self._spent[lane]
