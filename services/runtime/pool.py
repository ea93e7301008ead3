"""The pool of one service: slots that it writes once and lends (`protocol/slots.py` reads them).

Its slots are few, fixed and used again and again, because a fresh page costs twenty times a warm
one. A model writes into the `room` of a free slot, and `put` leases that slot to a request without
a copy; what lies elsewhere is copied into one. A slot is free again when its lease has ended, by
`release` or its deadline, and nobody here refers to its memory any more. Room in the file is
allocated before it is written, so a full or small `/dev/shm` never becomes a SIGBUS: what finds no
room there lies in the service's own memory, and readers fetch it.
"""

import fcntl
import mmap
import os
import secrets
import weakref
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from protocol.errors import SlotLostError
from protocol.slots import HEAD, MAGIC, PAGE, pool_path, remove, slot_table
from protocol.tensors import Array, Pool, Slot, TensorRef, TensorWriter, is_inline

SLOTS = 16
LEASE_S = 120.0

Holder = tuple[bytes, bytes]  # the peer that asked, the id of its request


@dataclass
class _Lease:
    ref: Slot
    room: Array
    until: float


class SlotPool:
    """The pool of one producer; all calls but `room` from one thread.

    Args:
        name: 16 hex digits, the incarnation of the service.
        slot_bytes: most bytes of one tensor.
        slots: how many tensors can be leased at a time.
    """

    def __init__(self, name: str, slot_bytes: int, slots: int = SLOTS) -> None:
        self.pool = Pool(name, secrets.token_bytes(16))
        self._slot_bytes = -(-slot_bytes // PAGE) * PAGE
        size = PAGE + slots * self._slot_bytes
        self._fd = _create(pool_path(name), size)
        self._map = bytearray(PAGE) if self._fd is None else mmap.mmap(self._fd, size)
        HEAD.pack_into(self._map, 0, MAGIC, self.pool.token, slots, 0, self._slot_bytes)
        self._table = slot_table(self._map, slots)
        self._table[:, 0] = 1
        self._own: dict[int, bytearray] = {}
        self._free = list(range(slots))[::-1]
        self._places: dict[int, tuple[int, bool]] = {}  # of an address: slot, whether in the file
        self._leased: set[int] = set()
        self._leases: dict[Holder, list[_Lease]] = {}

    def room(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array | None:
        """Memory of a free slot, from any thread; None if there is none, or it is too small.

        The slot is free again when the last view of the memory is gone.
        """
        size = prod(shape) * np.dtype(dtype).itemsize
        if size > self._slot_bytes:
            return None
        try:
            number = self._free.pop()  # the one used last, which is warm
        except IndexError:
            return None
        shared = self._allocate(number, size)
        memory, start = (
            (self._map, PAGE + number * self._slot_bytes) if shared else (self._private(number), 0)
        )
        flat = np.frombuffer(memory, np.uint8, size, start)  # the base of all views of it
        weakref.finalize(flat, self._free.append, number).atexit = False
        self._places[flat.ctypes.data] = number, shared
        return flat.view(dtype).reshape(shape)

    def put(self, array: Array, holder: Holder, until: float) -> Slot | None:
        """Lease the slot that holds `array` (C order) until then; None if that cannot be.

        An array that is in no slot of this pool, or in one that is leased, is copied into a free
        one.
        """
        number, shared = self._places.get(array.ctypes.data, (-1, False))
        if number < 0 or number in self._leased:
            room = self.room(array.shape, array.dtype)
            if room is None:
                return None
            np.copyto(room, array)
            array = room
            number, shared = self._places[room.ctypes.data]
        count = int(self._table[number, 0])
        ref = Slot(array.dtype.name, array.shape, self.pool.name, number, count, shared)  # type: ignore[arg-type] # the writer checked the dtype
        self._leased.add(number)
        self._leases.setdefault(holder, []).append(_Lease(ref, array, until))
        return ref

    def read(self, ref: Slot) -> Array:
        """A copy of what a leased slot holds.

        Raises:
            SlotLostError: nothing is leased by that reference.
        """
        for leases in self._leases.values():
            for lease in leases:
                if lease.ref == ref:
                    return lease.room.copy()
        raise SlotLostError(
            f"slot {ref.slot} of pool {ref.pool} is not leased by this reference (it may have "
            "been released); ask again"
        )

    def release(self, holder: Holder) -> None:
        """End the leases of one request."""
        for lease in self._leases.pop(holder, ()):
            self._table[lease.ref.slot, 0] += 1
            self._leased.discard(lease.ref.slot)

    def release_peer(self, peer: bytes) -> None:
        """End the leases of all requests of one peer."""
        for holder in [holder for holder in self._leases if holder[0] == peer]:
            self.release(holder)

    def expire(self, now: float) -> None:
        """End the leases whose deadline has passed."""
        for holder, leases in list(self._leases.items()):
            if leases[0].until <= now:
                self.release(holder)

    def close(self) -> None:
        """Remove the file; what readers have mapped stays readable to them."""
        if self._fd is not None:
            remove(self.pool.name)
            os.close(self._fd)

    def _private(self, number: int) -> bytearray:
        if number not in self._own:
            self._own[number] = bytearray(self._slot_bytes)
        return self._own[number]

    def _allocate(self, number: int, size: int) -> bool:
        """Whether that much of a slot is in the file."""
        if size <= self._table[number, 1]:
            return True
        size = -(-size // PAGE) * PAGE
        if self._fd is None or not _allocated(self._fd, PAGE + number * self._slot_bytes, size):
            return False
        self._table[number, 1] = size
        return True


class SlotWriter(TensorWriter):
    """A tensor writer that puts what is large into slots while there are any."""

    def __init__(self, pool: SlotPool, holder: Holder, until: float) -> None:
        super().__init__()
        self._pool, self._holder, self._until = pool, holder, until

    def add(self, array: Array) -> TensorRef:
        """A slot, or what the plain writer gives for small arrays and without a free slot."""
        if not is_inline(array):
            slot = self._pool.put(np.ascontiguousarray(array), self._holder, self._until)
            if slot is not None:
                return slot
        return super().add(array)


def _create(path: Path, size: int) -> int | None:
    """A new locked file with room for its header, or None where the host has none to give.

    A sweep that comes between making and locking it is noticed.
    """
    try:
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                break
            os.close(fd)
    except OSError:
        return None
    try:
        os.ftruncate(fd, size)
    except OSError:
        full = True
    else:
        full = not _allocated(fd, 0, PAGE)
    if full:
        path.unlink(missing_ok=True)
        os.close(fd)
        return None
    return fd


def _allocated(fd: int, start: int, size: int) -> bool:
    try:
        os.posix_fallocate(fd, start, size)
    except OSError:  # /dev/shm is full
        return False
    return True
