"""The I/O loop of a service: sockets, greetings, the queue, answers.

It owns the ROUTER socket and never computes, so it answers PING while the model is busy. Bytes that
are no message are answered with an error and counted; they reach neither the queue nor the model.
A request is answered once, to the peer that asked, or not at all when that peer cancelled it.
"""

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence

import zmq

from protocol.errors import (
    BadRequestError,
    BusyError,
    DrainingError,
    GlasshouseError,
    ModelFailedError,
    ProtocolError,
    ServiceLostError,
    SlotLostError,
    VersionError,
)
from protocol.frames import MAX_MESSAGE_BYTES, Buffer, decode, encode
from protocol.keys import Identity
from protocol.messages import (
    PROTOCOL_VERSION,
    Bye,
    Cancel,
    Describe,
    Description,
    ErrorMessage,
    Hello,
    Message,
    Ping,
    Pong,
    Probe,
    Probed,
    Release,
    Reply,
    Request,
    Result,
    State,
    Welcome,
)
from protocol.slots import SlotReader, SlotView
from protocol.tensors import Array, Slot, TensorRef, TensorWriter, read_tensor
from services.runtime.guard import Guard
from services.runtime.progress import Progress
from services.runtime.role import Role
from services.runtime.scheduler import Part, Scheduler, Work
from services.runtime.shelf import Shelf
from services.runtime.worker import Outcome, Worker, joined, out_of_memory

log = logging.getLogger("service")

POLL_MS = 100
MAX_PEERS = 1024
DRAIN_S = 30.0
BYE_LINGER_MS = 500


class Server:
    """One service, from bind to BYE.

    Args:
        role: the model.
        endpoint: where to listen; `tcp://host:0` lets the system choose the port.
        incarnation: name of this life, 16 hex digits; a fresh one by default.
        identity: speak CURVE with this key, to those on the allow-list only; None for a socket
            that only this machine can reach.
    """

    def __init__(
        self,
        role: Role,
        endpoint: str,
        incarnation: str = "",
        identity: Identity | None = None,
    ) -> None:
        self._role = role
        self._info = role.info
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.HANDSHAKE_IVL, 5_000),
            (zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES),
        ):
            self._router.setsockopt(option, value)
        self._guard = Guard(self._context, self._router, identity) if identity else None
        self._router.bind(endpoint)
        self.endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.incarnation = incarnation or secrets.token_hex(8)
        self._scheduler = Scheduler(self._info.queue_rows, self._info.batch_rows)
        self._worker = Worker(role)
        self._shelf = Shelf(self.incarnation, role.slot_bytes)
        self._slots = SlotReader()
        self._peers: OrderedDict[bytes, str] = OrderedDict()
        self._progress = Progress()
        self._malformed = 0
        self._draining: str | None = None
        self._drain_until = 0.0

    def drain(self, reason: str, within_s: float = DRAIN_S) -> None:
        """Finish what is queued, take nothing new, then leave. Safe in a signal handler."""
        if self._draining is None:
            self._draining = reason
            self._drain_until = time.monotonic() + within_s

    def run(self) -> None:
        """Serve until drained."""
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._worker.wake, zmq.POLLIN)
        for socket in self._guard.sockets if self._guard else ():
            poller.register(socket, zmq.POLLIN)
        while not self._finished():
            ready = dict(poller.poll(POLL_MS))
            if self._worker.wake.fileno() in ready:
                for outcome in self._worker.outcomes():
                    self._finish(outcome)
            if self._router in ready:
                self._receive_all()
            if self._guard is not None:
                self._guard.tend()
            self._expire(time.monotonic())
            self._begin()
        self._leave()

    @property
    def state(self) -> State:
        """How the service is, in the words shown to users."""
        if self._draining is not None:
            return "draining"
        return self._progress.state(self._batch_age_s())

    def _batch_age_s(self) -> float | None:
        started = self._worker.started
        return None if started is None else time.monotonic() - started

    def _finished(self) -> bool:
        if self._draining is None:
            return False
        nothing_left = self._worker.idle and not self._scheduler.rows
        return nothing_left or time.monotonic() > self._drain_until

    def _leave(self) -> None:
        for peer in list(self._peers):
            self._send(peer, Bye(reason=self._draining or "stopped"))
        self._worker.close()
        self._shelf.close()
        if self._guard is not None:
            self._guard.close()
        self._router.close(linger=BYE_LINGER_MS)
        self._context.term()

    def _expire(self, now: float) -> None:
        self._scheduler.expire(now)
        self._shelf.expire(now)

    def _begin(self) -> None:
        if not self._worker.idle:
            return
        parts = self._scheduler.take()
        if parts:
            now = time.monotonic()
            for part in parts:
                if part.work.started is None:
                    part.work.started = now
            self._worker.begin(parts)

    def _receive_all(self) -> None:
        for _ in range(64):  # then look after the worker again
            try:
                peer, *frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._receive(peer.bytes, [frame.buffer for frame in frames])

    def _receive(self, peer: bytes, frames: Sequence[Buffer]) -> None:
        request_id = b""
        try:
            message, tensors = decode(frames)
            if isinstance(message, Request):
                request_id = message.id
            self._handle(peer, message, tensors)
        except GlasshouseError as error:
            if isinstance(error, ProtocolError):
                self._malformed += 1
                log.warning("refused message %d from a peer: %s", self._malformed, error)
            self._refuse(peer, request_id, error)
        except Exception:  # loop boundary: one bad request must not end the service
            log.exception("a request could not be handled")
            self._refuse(peer, request_id, GlasshouseError("the service failed on this request"))

    def _handle(self, peer: bytes, message: Message, tensors: list[memoryview]) -> None:
        match message:
            case Hello():
                self._greet(peer, message)
            case Ping():
                self._send(peer, self._pong(message))
            case _ if peer not in self._peers:
                raise ServiceLostError(
                    "this service does not know you (it may be new): HELLO first"
                )
            case Request():
                self._accept(peer, message, tensors)
            case Cancel():
                self._scheduler.forget(peer, message.id)
            case Release():
                self._shelf.release(peer, message.id)
            case _:
                raise ProtocolError(f"a client does not send {type(message).__name__}")

    def _greet(self, peer: bytes, hello: Hello) -> None:
        if not hello.lowest_version <= PROTOCOL_VERSION <= hello.highest_version:
            raise VersionError(
                f"this service speaks protocol version {PROTOCOL_VERSION}, you speak "
                f"{hello.lowest_version} to {hello.highest_version}; run the same Glasshouse"
            )
        if hello.role != self._info.role:
            raise BadRequestError(
                f"wanted a {hello.role}, but {self.endpoint} is a {self._info.role} "
                f"({self._info.model})"
            )
        self._peers[peer] = hello.client
        while len(self._peers) > MAX_PEERS:
            self._forget(next(iter(self._peers)))
        self._send(
            peer,
            Welcome(
                version=PROTOCOL_VERSION,
                incarnation=self.incarnation,
                info=self._info,
                pool=self._shelf.pool,
            ),
        )

    def _forget(self, peer: bytes) -> str:
        """Drop all that a peer has here; returns what it called itself."""
        self._scheduler.forget(peer)
        self._shelf.release(peer)
        return self._peers.pop(peer, "unknown")

    def _accept(self, peer: bytes, request: Request, tensors: list[memoryview]) -> None:
        self._peers.move_to_end(peer)
        if isinstance(request.call, Describe):
            self._reply(peer, request.id, Description(info=self._info))
            return
        if isinstance(request.call, Probe):
            self._reply(peer, request.id, Probed(readable=self._slots.can_read(request.call.pool)))
            return
        if self._draining is not None:
            raise DrainingError(f"the {self._info.role} is leaving: {self._draining}")
        views: list[SlotView] = []

        def read(ref: TensorRef) -> Array:
            if not isinstance(ref, Slot):
                return read_tensor(ref, tensors)
            views.append(self._slots.view(ref))
            return views[-1].array

        rows = self._role.prepare(request.call, read)
        now = time.monotonic()
        work = Work(peer, request.id, rows, arrived=now, deadline=now + request.ttl_s)
        work.interactive, work.slots, work.views = request.interactive, request.slots, views
        if not work.size:
            raise BadRequestError("a request needs at least one row")
        if not self._scheduler.add(work):
            raise BusyError(
                f"{self._scheduler.rows} rows wait already and at most {self._info.queue_rows} may"
            )

    def _finish(self, outcome: Outcome) -> None:
        self._scheduler.charge(outcome.parts, outcome.seconds)
        if outcome.error is not None:
            self._failed(outcome, outcome.error)
            return
        self._progress.record(outcome.seconds)
        offset = 0
        for part in outcome.parts:
            work = part.work
            work.outputs[part.start] = tuple(
                o[offset : offset + part.size] for o in outcome.outputs
            )
            work.compute_s += outcome.seconds
            offset += part.size
            if work.complete and not work.cancelled:
                self._answer(work)

    def _failed(self, outcome: Outcome, error: Exception) -> None:
        """Find the guilty row by halves; its batch-mates are answered."""
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

    def _guilty(self, part: Part, error: Exception) -> ModelFailedError:
        return ModelFailedError(
            f"{self._info.model} failed on row {part.start} of {part.work.size}: {error}"
        )

    def _shrink(self) -> None:
        """Compute half as many rows at a time, for the rest of this life."""
        self._scheduler.batch_rows = (self._scheduler.batch_rows + 1) // 2
        self._worker.compute_in(self._scheduler.batch_rows)
        log.warning("out of memory: from now on %d rows a batch", self._scheduler.batch_rows)

    def _give_up(self, work: Work, error: GlasshouseError) -> None:
        """Drop a request and say why."""
        work.cancelled = True
        self._scheduler.forget(work.peer, work.request_id)
        self._refuse(work.peer, work.request_id, error)

    def _answer(self, work: Work) -> None:
        if not work.intact:
            self._give_up(work, _lost_slot())
            return
        writer = self._shelf.writer(work, time.monotonic())
        outputs = tuple(joined(list(parts)) for parts in zip(*work.ordered(), strict=True))
        result = self._role.result(work.rows.options, outputs, writer)
        self._progress.rows += work.size
        waited_s = (work.started or work.arrived) - work.arrived
        self._reply(
            work.peer, work.request_id, result, writer, waited_s * 1000, work.compute_s * 1000
        )

    def _reply(  # the fields of one message
        self,
        peer: bytes,
        request_id: bytes,
        result: Result,
        writer: TensorWriter | None = None,
        wait_ms: float = 0.0,
        compute_ms: float = 0.0,
    ) -> None:
        reply = Reply(
            id=request_id,
            digest=self._info.digest,
            wait_ms=wait_ms,
            compute_ms=compute_ms,
            result=result,
        )
        self._send(peer, reply, writer.frames if writer else ())

    def _refuse(self, peer: bytes, request_id: bytes, error: GlasshouseError) -> None:
        self._send(
            peer,
            ErrorMessage(
                id=request_id,
                code=error.code,
                retryable=error.retryable,
                message=error.message[:2000],
                retry_after_s=self._retry_after_s() if isinstance(error, BusyError) else 0.0,
            ),
        )

    def _retry_after_s(self) -> float:
        return self._progress.retry_after_s(self._scheduler.rows / self._scheduler.batch_rows)

    def _pong(self, ping: Ping) -> Pong:
        return Pong(
            nonce=ping.nonce,
            incarnation=self.incarnation,
            state=self.state,
            queue_rows=self._scheduler.rows,
            batch_age_s=self._batch_age_s() or 0.0,
            batch_ms=self._progress.batch_ms,
            batch_p95_ms=self._progress.batch_p95_ms,
            rows=self._progress.rows,
        )

    def _send(self, peer: bytes, message: Message, frames: Sequence[memoryview] = ()) -> None:
        try:
            self._router.send_multipart([peer, *encode(message, frames)], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:  # gone (EHOSTUNREACH), or it does not read (EAGAIN)
            log.info("peer %s dropped: %s", self._forget(peer), error)


def _lost_slot() -> SlotLostError:
    return SlotLostError("the slot that held these pixels was released too early; ask again")
