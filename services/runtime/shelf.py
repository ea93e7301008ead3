"""The pool of one service, or nothing where it wants none or the host has no room."""

import logging

from protocol.slots import LEASE_S, SlotPool, SlotWriter
from protocol.tensors import Pool, TensorWriter
from services.runtime.scheduler import Work

log = logging.getLogger("service")


class Shelf:
    """Where answers wait to be picked up.

    Args:
        incarnation: name of the pool.
        slot_bytes: bytes of the largest tensor worth a slot; 0 for no pool.
    """

    def __init__(self, incarnation: str, slot_bytes: int) -> None:
        self.slots: SlotPool | None = None
        if not slot_bytes:
            return
        try:
            self.slots = SlotPool(incarnation, slot_bytes)
        except OSError as error:
            log.info("no shared memory, pictures go as frames: %s", error)

    @property
    def pool(self) -> Pool | None:
        """As WELCOME announces it."""
        return self.slots.pool if self.slots else None

    def writer(self, work: Work, now: float) -> TensorWriter:
        """For the tensors of an answer; into slots if the request allows that."""
        if self.slots is None or not work.slots:
            return TensorWriter()
        return SlotWriter(self.slots, (work.peer, work.request_id), until=now + LEASE_S)

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
