"""Slots: pixels that a process writes once and others on the host read where they lie.

A producer owns one pool: a file `glasshouse-UID-NAME` of mode 0600 on tmpfs, mapped by everybody.
Its slots are few, fixed and used again and again, because a fresh page costs twenty times a warm
one. A slot is leased to a request with `put` and free again after `release` or its deadline; either
raises its *reuse count*, so whoever still reads by the old reference finds out (`SlotView.intact`)
and discards what it made of the pixels: the loss of a slot costs one request and no process.

The owner holds a `flock` on the file for as long as it lives; `sweep` removes the files of those
that are gone. Readers build the path from a checked name (hex digits), open only files of their own
user, and map them read-only. Room is allocated before it is written, so a full or small `/dev/shm`
gives `None` and never a SIGBUS; the caller sends frames then.

`GLASSHOUSE_SHM` names another folder than `/dev/shm`, such as a tmpfs shared by containers.

File, little endian: `"GHSLOTS1"`, token of 16 bytes, u32 slots, u32 zero, u64 slot_bytes, then for
each slot u64 reuse count and u64 bytes allocated; from byte 4096 on the slots themselves.
"""

import fcntl
import math
import mmap
import os
import secrets
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from protocol.errors import SlotLostError
from protocol.tensors import ITEM_BYTES, Array, Pool, Slot, TensorRef, TensorWriter, is_inline

MAGIC = b"GHSLOTS1"
PAGE = 4096
SLOTS = 16
LEASE_S = 120.0
MAX_MAPPED = 32
_HEAD = struct.Struct("<8s16sIIQ")

Holder = tuple[bytes, bytes]  # the peer that asked, the id of its request


def pool_path(name: str) -> Path:
    """Where the pool of a checked name lies."""
    folder = Path(os.environ.get("GLASSHOUSE_SHM") or "/dev/shm")  # noqa: S108 # files in it are owner-checked
    return folder / f"glasshouse-{os.getuid()}-{name}"


def remove(name: str) -> None:
    """Remove the pool of that name, if there is one; only its owner may."""
    pool_path(name).unlink(missing_ok=True)


def sweep() -> list[Path]:
    """Remove the pools of this user whose owners are gone; returns them."""
    gone = []
    for path in pool_path("x").parent.glob(pool_path("*").name):
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # gone meanwhile, or not ours
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            gone.append(path)
        except OSError:  # the owner lives
            pass
        finally:
            os.close(fd)
    return gone


@dataclass
class _Lease:
    slot: int
    until: float


class SlotPool:
    """The pool of one producer; all calls from one thread.

    Args:
        name: 16 hex digits, the incarnation of the service.
        slot_bytes: most bytes of one tensor.
        slots: how many tensors can be leased at a time.

    Raises:
        OSError: no such folder, or no room for even the header.
    """

    def __init__(self, name: str, slot_bytes: int, slots: int = SLOTS) -> None:
        self.pool = Pool(name, secrets.token_bytes(16))
        self._slot_bytes = -(-slot_bytes // PAGE) * PAGE
        self._fd = _create(pool_path(name))
        try:
            os.ftruncate(self._fd, PAGE + slots * self._slot_bytes)
            os.posix_fallocate(self._fd, 0, PAGE)
            self._map = mmap.mmap(self._fd, 0)
        except OSError:
            remove(name)
            os.close(self._fd)
            raise
        _HEAD.pack_into(self._map, 0, MAGIC, self.pool.token, slots, 0, self._slot_bytes)
        self._table = _table(self._map, slots)
        self._table[:, 0] = 1
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._free = list(range(slots))[::-1]
        self._leases: dict[Holder, list[_Lease]] = {}

    @property
    def leased(self) -> int:
        """Slots in use."""
        return sum(len(leases) for leases in self._leases.values())

    def put(self, array: Array, holder: Holder, until: float) -> Slot | None:
        """Copy `array` (C order) into a free slot leased until then; None if that cannot be."""
        if not self._free or array.nbytes > self._slot_bytes:
            return None
        number = self._free.pop()  # the one used last, which is warm
        start = PAGE + number * self._slot_bytes
        if array.nbytes > self._table[number, 1] and not self._allocate(number, array.nbytes):
            self._free.append(number)
            return None
        room = self._bytes[start : start + array.nbytes].view(array.dtype)
        np.copyto(room.reshape(array.shape), array)
        self._leases.setdefault(holder, []).append(_Lease(number, until))
        return Slot(array.dtype.name, array.shape, self.pool.name, number, self._count(number))  # type: ignore[arg-type] # the writer checked the dtype

    def release(self, holder: Holder) -> None:
        """End the leases of one request."""
        for lease in self._leases.pop(holder, ()):
            self._table[lease.slot, 0] += 1
            self._free.append(lease.slot)

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
        remove(self.pool.name)
        os.close(self._fd)

    def _count(self, number: int) -> int:
        return int(self._table[number, 0])

    def _allocate(self, number: int, size: int) -> bool:
        size = -(-size // PAGE) * PAGE
        try:
            os.posix_fallocate(self._fd, PAGE + number * self._slot_bytes, size)
        except OSError:  # /dev/shm is full
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


@dataclass(frozen=True)
class SlotView:
    """Pixels where they lie.

    Attributes:
        array: read-only, of the reference's dtype and shape; the owner may overwrite it.
    """

    array: Array
    _count: Array
    _wanted: int

    def intact(self) -> bool:
        """Whether the slot is still leased; if so, all that was read of it before is right."""
        return int(self._count[0]) == self._wanted


@dataclass
class SlotReader:
    """Maps pools of other processes and keeps them mapped: mapping costs more than reading."""

    _mapped: dict[str, mmap.mmap] = field(default_factory=dict)

    def can_read(self, pool: Pool) -> bool:
        """Whether this process can see that pool: the token in the file is the one announced."""
        try:
            _, token, _, _, _ = _HEAD.unpack_from(self._map(pool.name))
        except SlotLostError:
            return False
        return secrets.compare_digest(token, pool.token)

    def view(self, ref: Slot) -> SlotView:
        """The pixels behind a checked reference, without a copy.

        Raises:
            SlotLostError: the pool or the slot is no more, or never was.
        """
        mapped = self._map(ref.pool)
        _, _, slots, _, slot_bytes = _HEAD.unpack_from(mapped)
        size = math.prod(ref.shape) * ITEM_BYTES[ref.dtype]
        table = _table(mapped, slots)
        if not (ref.slot < slots and size <= int(table[ref.slot, 1]) <= slot_bytes):
            raise SlotLostError(f"slot {ref.slot} of pool {ref.pool} does not hold such a tensor")
        count = table[ref.slot, :1]
        start = PAGE + ref.slot * slot_bytes
        flat = np.frombuffer(mapped, np.uint8)[start : start + size]
        array = flat.view(np.dtype(ref.dtype).newbyteorder("<")).reshape(ref.shape)
        view = SlotView(array, count, ref.count)
        if not view.intact():
            raise _reused(ref)
        return view

    def copy(self, ref: Slot) -> Array:
        """The pixels behind a checked reference, as an array of one's own.

        Raises:
            SlotLostError: as `view`, also when it happens meanwhile.
        """
        view = self.view(ref)
        array = view.array.copy()
        if not view.intact():
            raise _reused(ref)
        return array

    def _map(self, name: str) -> mmap.mmap:
        if name not in self._mapped:
            self._forget_removed()
            self._mapped[name] = _open(name)
        return self._mapped[name]

    def _forget_removed(self) -> None:
        """Let go of pools whose file is gone; the memory is freed with the last view."""
        for name in list(self._mapped):
            if not pool_path(name).exists() or len(self._mapped) >= MAX_MAPPED:
                del self._mapped[name]


def _reused(ref: Slot) -> SlotLostError:
    return SlotLostError(
        f"slot {ref.slot} of pool {ref.pool} was released before it was read; ask again"
    )


def _table(mapped: mmap.mmap, slots: int) -> Array:
    """(slots, 2) uint64: reuse count, bytes allocated."""
    return np.frombuffer(mapped, "<u8", 2 * slots, _HEAD.size).reshape(slots, 2)


def _create(path: Path) -> int:
    """A new locked file; a sweep that comes between making and locking it is noticed."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def _open(name: str) -> mmap.mmap:
    try:
        with _opened(pool_path(name)) as fd:
            found = os.fstat(fd)
            mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    except (OSError, ValueError) as error:  # ValueError: an empty file
        raise SlotLostError(f"the pool {name} cannot be read on this host: {error}") from error
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SlotLostError(f"the pool {name} is not a private file of this user")
    magic, _, slots, _, slot_bytes = _HEAD.unpack_from(mapped)
    fits = _HEAD.size + 16 * slots <= PAGE and PAGE + slots * slot_bytes <= found.st_size
    if magic != MAGIC or not fits:
        raise SlotLostError(f"the file of pool {name} is not a pool")
    return mapped


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)
