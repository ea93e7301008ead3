"""The pool of one service, or nothing where its answers are too small for one."""

import numpy as np
import numpy.typing as npt

from protocol.errors import SlotLostError
from protocol.tensors import Array, Pool, Slot, TensorWriter
from services.runtime.pool import LEASE_S, SlotPool, SlotWriter
from services.runtime.scheduler import Work


class Shelf:
    """Where answers wait to be picked up.

    Args:
        incarnation: name of the pool.
        slot_bytes: bytes of the largest tensor worth a slot; 0 for no pool.
    """

    def __init__(self, incarnation: str, slot_bytes: int) -> None:
        self.slots = SlotPool(incarnation, slot_bytes) if slot_bytes else None

    @property
    def pool(self) -> Pool | None:
        """As WELCOME announces it."""
        return self.slots.pool if self.slots else None

    def room(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Memory for an output, in a slot if one is free; from any thread."""
        room = self.slots.room(shape, dtype) if self.slots else None
        return np.empty(shape, dtype) if room is None else room

    def writer(self, work: Work, now: float) -> TensorWriter:
        """For the tensors of an answer; into slots if the request allows that."""
        if self.slots is None or not work.slots:
            return TensorWriter()
        return SlotWriter(self.slots, (work.peer, work.request_id), until=now + LEASE_S)

    def read(self, ref: Slot) -> Array:
        """A copy of what a leased slot holds.

        Raises:
            SlotLostError: nothing is leased by that reference.
        """
        if self.slots is None:
            raise SlotLostError("this service has no pool")
        return self.slots.read(ref)

    def release(self, peer: bytes, request_id: bytes | None = None) -> None:
        """End the leases of a peer, or only of one of its requests."""
        if self.slots is not None and request_id is None:
            self.slots.release_peer(peer)
        elif self.slots is not None and request_id is not None:
            self.slots.release((peer, request_id))

    def expire(self, now: float) -> None:
        """End the leases whose deadline has passed."""
        if self.slots is not None:
            self.slots.expire(now)

    def close(self) -> None:
        """Remove the pool."""
        if self.slots is not None:
            self.slots.close()
