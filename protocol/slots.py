"""Slots: pixels that a process writes once and others on the host read where they lie.

A producer owns one pool (`services/runtime/pool.py`): a file `glasshouse-UID-NAME` of mode 0600 on
tmpfs, mapped by everybody. A slot of it is leased to a request, and its *reuse count* rises when
the lease ends; so whoever still reads by the old reference finds out (`SlotView.intact`) and
discards what it made of the pixels: the loss of a slot costs one request and no process.

The owner holds a `flock` on the file for as long as it lives; `sweep` removes the files of those
that are gone. Readers build the path from a checked name (hex digits), open only files of their own
user, and map them read-only. A slot for which the tmpfs had no room is not in the file; like those
of a pool on another host it is fetched from its owner (`protocol/messages.py`, `Fetch`).

`GLASSHOUSE_SHM` names another folder than `/dev/shm`, such as a tmpfs shared by containers.

File, little endian: `"GHSLOTS1"`, token of 16 bytes, u32 slots, u32 zero, u64 slot_bytes, then for
each slot u64 reuse count and u64 bytes in the file; from byte 4096 on the slots themselves.
"""

import fcntl
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
from protocol.tensors import Array, Pool, Slot, size_bytes

MAGIC = b"GHSLOTS1"
PAGE = 4096
MAX_MAPPED = 32
HEAD = struct.Struct("<8s16sIIQ")


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
            _, token, _, _, _ = HEAD.unpack_from(self._map(pool.name))
        except SlotLostError:
            return False
        return secrets.compare_digest(token, pool.token)

    def view(self, ref: Slot) -> SlotView:
        """The pixels behind a checked reference, without a copy.

        Raises:
            SlotLostError: the pool or the slot is no more, or never was.
        """
        mapped = self._map(ref.pool)
        _, _, slots, _, slot_bytes = HEAD.unpack_from(mapped)
        size = size_bytes(ref)
        table = slot_table(mapped, slots)
        found = ref.slot < slots and size <= int(table[ref.slot, 1]) <= slot_bytes
        if not (found and ref.shared):
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


def slot_table(mapped: mmap.mmap | bytearray, slots: int) -> Array:
    """(slots, 2) uint64: reuse count, bytes in the file."""
    return np.frombuffer(mapped, "<u8", 2 * slots, HEAD.size).reshape(slots, 2)


def _open(name: str) -> mmap.mmap:
    try:
        with _opened(pool_path(name)) as fd:
            found = os.fstat(fd)
            mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    except (OSError, ValueError) as error:  # ValueError: an empty file
        raise SlotLostError(f"the pool {name} cannot be read on this host: {error}") from error
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SlotLostError(f"the pool {name} is not a private file of this user")
    magic, _, slots, _, slot_bytes = HEAD.unpack_from(mapped)
    fits = HEAD.size + 16 * slots <= PAGE and PAGE + slots * slot_bytes <= found.st_size
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
