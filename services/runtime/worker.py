"""The compute thread: one batch at a time through the model.

The I/O thread hands a batch over and is woken by a byte on a socket pair when the outcome is there.
The model computes in batches of one fixed shape, filled up with copies of the last row, so that a
row's answer does not depend on how many others came with it.
"""

import logging
import queue
import socket
import threading
import time
from dataclasses import dataclass

import numpy as np

from protocol.tensors import Array
from services.runtime.role import Role, Room
from services.runtime.scheduler import Part

log = logging.getLogger("service")


@dataclass(frozen=True)
class Outcome:
    """What came of a batch: outputs of as many rows as the parts have, or the model's error."""

    parts: list[Part]
    outputs: tuple[Array, ...]
    error: BaseException | None
    seconds: float


class Worker:
    """Runs a role's `compute` in a thread of its own.

    Args:
        role: the model.
        room: memory from which others may read its outputs.

    Attributes:
        wake: readable when an outcome waits; register it with the poller.
    """

    def __init__(self, role: Role, room: Room) -> None:
        self._role = role
        self._room = room
        self._rows = role.info.batch_rows
        self._batches: queue.SimpleQueue[list[Part] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.wake, self._waker = socket.socketpair()
        self.wake.setblocking(False)  # noqa: FBT003 # the standard library's signature
        self.started: float | None = None
        self._thread = threading.Thread(target=self._run, name="compute", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether the model has nothing to do."""
        return self.started is None

    def compute_in(self, rows: int) -> None:
        """From the next batch on, compute this many rows at a time; only when idle."""
        self._rows = rows

    def begin(self, parts: list[Part]) -> None:
        """Compute a batch; only when idle."""
        self.started = time.monotonic()
        self._batches.put(parts)

    def outcomes(self) -> list[Outcome]:
        """Outcomes that came since the last call."""
        try:
            self.wake.recv(4096)
        except BlockingIOError:
            return []
        found = []
        while not self._outcomes.empty():
            found.append(self._outcomes.get())
            self.started = None
        return found

    def close(self) -> None:
        """End the thread after the batch it computes."""
        self._batches.put(None)
        self._thread.join(timeout=1.0)
        if not self._thread.is_alive():
            self.wake.close()
            self._waker.close()

    def _run(self) -> None:
        while (parts := self._batches.get()) is not None:
            self._outcomes.put(self._compute(parts))
            self._waker.send(b"!")

    def _compute(self, parts: list[Part]) -> Outcome:
        started = time.monotonic()
        outputs: tuple[Array, ...] = ()
        error: BaseException | None = None
        rows = sum(part.size for part in parts)
        try:
            # What waits for further batches must not keep the slots from others.
            lent = all(part.work.slots and part.size == part.work.size for part in parts)
            self._role.room = self._room if lent else np.empty
            values = joined([part.work.rows.values[part.start : part.stop] for part in parts])
            full = self._role.compute(parts[0].work.rows.options, pad(values, self._rows))
            outputs = tuple(output[:rows] for output in full)
        except BaseException as raised:  # loop boundary: the model, a sloppy role, a sys.exit
            log.warning("a batch of %d rows failed: %s", rows, raised, exc_info=True)
            error = raised.with_traceback(None)  # its frames hold the tensors of the batch
        return Outcome(parts, outputs, error, time.monotonic() - started)


def out_of_memory(error: BaseException) -> bool:
    """Whether a model failed for want of memory, on the host or on the device."""
    said = "can't allocate memory" in str(error)  # how torch says it on a CPU
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or said


def joined(parts: list[Array]) -> Array:
    """Rows of all parts; a single part is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def pad(values: Array, rows: int) -> Array:
    """`values` (n, ...) filled up to (rows, ...) with copies of its last row."""
    missing = rows - len(values)
    if missing <= 0:
        return np.require(values, requirements=("C", "ALIGNED"))
    return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
