"""Where the tensors of a request are: in its frames, in a pool on this host, or with its owner."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import zmq

from protocol.errors import ConfigError, SlotLostError
from protocol.messages import Probe, Probed, Request, tensor_refs
from protocol.slots import SlotReader, SlotView
from protocol.tensors import Array, Slot, TensorRef, read_tensor
from services.runtime.noting import worth_a_line
from services.runtime.puller import Key, Puller

log = logging.getLogger("service")


@dataclass(frozen=True)
class Inputs:
    """The tensors of one request.

    Attributes:
        frames: that came with it.
        slot: the pixels of its slot, if it names one.
        view: the slot itself, if it is mapped; what was read of it counts only while it is intact.
    """

    frames: Sequence[memoryview]
    slot: Array | None = None
    view: SlotView | None = None

    def read(self, ref: TensorRef) -> Array:
        """The array behind a reference of the request."""
        if isinstance(ref, Slot):
            if self.slot is None:
                raise SlotLostError("a request names one slot at most; send the rest as frames")
            return self.slot
        return read_tensor(ref, self.frames)


class Intake:
    """Finds the tensors of requests, at once or later; all calls from the I/O thread.

    Args:
        poller: of the I/O loop.
        local: whether the service listens on this machine only.
    """

    def __init__(self, poller: zmq.Poller, *, local: bool) -> None:
        self._slots = SlotReader()
        self.puller = Puller(poller, local=local)
        self._refused = 0

    def probe(self, key: Key, probe: Probe, answer: Callable[[Probed], None]) -> None:
        """Find out whether slots of that pool can be mapped, or else fetched from its owner.

        Raises:
            BusyError: slots are fetched from too many services already.
        """
        if probe.endpoint:
            try:
                self.puller.introduce(key[0], probe.pool, probe.endpoint)
            except ConfigError as error:
                self._refused += 1
                if worth_a_line(self._refused):
                    log.warning("refused to fetch pictures %d: %s", self._refused, error)
        if self._slots.can_read(probe.pool):
            answer(Probed(readable=True))
        elif self.puller.knows(key[0], probe.pool.name):
            self.puller.greet(
                key,
                probe.pool.name,
                lambda found: answer(Probed(readable=False, reachable=found)),
            )
        else:
            answer(Probed(readable=False))

    def find(
        self,
        key: Key,
        request: Request,
        frames: Sequence[memoryview],
        take: Callable[[Inputs | SlotLostError], None],
    ) -> None:
        """Give `take` the tensors of a request, or why they are lost.

        Raises:
            BusyError: too many bytes are being fetched already.
        """
        slots = {ref for ref in tensor_refs(request) if isinstance(ref, Slot)}
        if len(slots) != 1:
            take(Inputs(frames))
            return
        (slot,) = slots
        try:
            view = self._slots.view(slot)
        except SlotLostError as lost:
            if self.puller.knows(key[0], slot.pool):
                self.puller.pull(
                    key, slot, request.ttl_s, lambda found: take(_fetched(frames, found))
                )
            else:
                take(lost)
            return
        take(Inputs(frames, view.array, view))


def _fetched(frames: Sequence[memoryview], found: Array | SlotLostError) -> Inputs | SlotLostError:
    return found if isinstance(found, SlotLostError) else Inputs(frames, found)
