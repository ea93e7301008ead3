"""The I/O loop of a service: sockets, greetings, the queue, answers.

It owns the ROUTER socket and never computes, so it answers PING while the model is busy. Bytes that
are no message are answered with an error and counted; they reach neither the queue nor the model.
A request is answered once, to the peer that asked, or not at all when that peer cancelled it.
"""

import logging
import secrets
import statistics
import time
from collections import OrderedDict, deque
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
from protocol.slots import LEASE_S, SlotPool, SlotReader, SlotView, SlotWriter
from protocol.tensors import Array, Slot, TensorRef, TensorWriter, read_tensor
from services.runtime.role import Role
from services.runtime.scheduler import Scheduler, Work
from services.runtime.worker import Outcome, Worker, joined

log = logging.getLogger("service")

POLL_MS = 100
MAX_PEERS = 1024
DRAIN_S = 30.0
BYE_LINGER_MS = 500
HUNG_BATCHES = 50  # a batch this many times its usual length is shown as hung
HUNG_LEAST_S = 30.0


class Server:
    """One service, from bind to BYE.

    Args:
        role: the model.
        endpoint: where to listen; `tcp://host:0` lets the system choose the port.
        incarnation: name of this life, 16 hex digits; a fresh one by default.
    """

    def __init__(self, role: Role, endpoint: str, incarnation: str = "") -> None:
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
        self._router.bind(endpoint)
        self.endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.incarnation = incarnation or secrets.token_hex(8)
        self._scheduler = Scheduler(self._info.queue_rows, self._info.batch_rows)
        self._worker = Worker(role)
        self._pool = _make_pool(self.incarnation, role.slot_bytes)
        self._slots = SlotReader()
        self._peers: OrderedDict[bytes, str] = OrderedDict()
        self._batch_ms: deque[float] = deque(maxlen=64)
        self._rows_answered = 0
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
        while not self._finished():
            ready = dict(poller.poll(POLL_MS))
            for outcome in self._worker.outcomes():
                self._finish(outcome)
            if self._router in ready:
                self._receive_all()
            self._expire(time.monotonic())
            self._begin()
        self._leave()

    @property
    def state(self) -> State:
        """How the service is, in the words shown to users."""
        if self._draining is not None:
            return "draining"
        started = self._worker.started
        if started is None:
            return "ready"
        usual_s = statistics.median(self._batch_ms) / 1000 if self._batch_ms else 0.0
        limit_s = max(HUNG_LEAST_S, HUNG_BATCHES * usual_s)
        return "hung" if time.monotonic() - started > limit_s else "busy"

    def _finished(self) -> bool:
        if self._draining is None:
            return False
        nothing_left = self._worker.idle and not self._scheduler.rows
        return nothing_left or time.monotonic() > self._drain_until

    def _leave(self) -> None:
        for peer in list(self._peers):
            self._send(peer, Bye(reason=self._draining or "stopped"))
        self._worker.close()
        if self._pool is not None:
            self._pool.close()
        self._router.close(linger=BYE_LINGER_MS)
        self._context.term()

    def _expire(self, now: float) -> None:
        self._scheduler.expire(now)
        if self._pool is not None:
            self._pool.expire(now)

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
                if self._pool is not None:
                    self._pool.release((peer, message.id))
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
                pool=self._pool.pool if self._pool else None,
            ),
        )

    def _forget(self, peer: bytes) -> str:
        """Drop all that a peer has here; returns what it called itself."""
        self._scheduler.forget(peer)
        if self._pool is not None:
            self._pool.release_peer(peer)
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
        work.slots, work.views = request.slots, views
        if not work.size:
            raise BadRequestError("a request needs at least one row")
        if not self._scheduler.add(work):
            raise BusyError(
                f"{self._scheduler.rows} rows wait already and at most {self._info.queue_rows} may"
            )

    def _finish(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._failed(outcome, outcome.error)
            return
        self._batch_ms.append(outcome.seconds * 1000)
        offset = 0
        for part in outcome.parts:
            rows, work = part.stop - part.start, part.work
            work.outputs.append(tuple(o[offset : offset + rows] for o in outcome.outputs))
            work.compute_s += outcome.seconds
            work.finished += rows
            offset += rows
            if work.finished == work.size and not work.cancelled:
                self._answer(work)

    def _failed(self, outcome: Outcome, error: Exception) -> None:
        """Batch-mates of a row that breaks the model are computed again, each request by itself."""
        for part in outcome.parts:
            work = part.work
            if work.cancelled:
                continue
            if work.intact and len(outcome.parts) > 1:
                self._scheduler.put_back(work)
                continue
            work.cancelled = True
            self._scheduler.forget(work.peer, work.request_id)
            failed = ModelFailedError(f"{self._info.model} failed on these rows: {error}")
            self._refuse(work.peer, work.request_id, failed if work.intact else _lost_slot())

    def _answer(self, work: Work) -> None:
        if not work.intact:
            self._refuse(work.peer, work.request_id, _lost_slot())
            return
        writer = TensorWriter()
        if work.slots and self._pool is not None:
            holder = (work.peer, work.request_id)
            writer = SlotWriter(self._pool, holder, until=time.monotonic() + LEASE_S)
        outputs = tuple(joined(list(parts)) for parts in zip(*work.outputs, strict=True))
        result = self._role.result(work.rows.options, outputs, writer)
        self._rows_answered += work.size
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
        """About the time until half of what waits is done."""
        batches = self._scheduler.rows / 2 / self._info.batch_rows
        usual_ms = statistics.median(self._batch_ms) if self._batch_ms else 50.0
        return min(5.0, max(0.02, batches * usual_ms / 1000))

    def _pong(self, ping: Ping) -> Pong:
        started = self._worker.started
        times = sorted(self._batch_ms) or [0.0]
        return Pong(
            nonce=ping.nonce,
            incarnation=self.incarnation,
            state=self.state,
            queue_rows=self._scheduler.rows,
            batch_age_s=time.monotonic() - started if started is not None else 0.0,
            batch_ms=statistics.median(times),
            batch_p95_ms=times[min(len(times) - 1, round(0.95 * len(times)))],
            rows=self._rows_answered,
        )

    def _send(self, peer: bytes, message: Message, frames: Sequence[memoryview] = ()) -> None:
        try:
            self._router.send_multipart([peer, *encode(message, frames)], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:  # gone (EHOSTUNREACH), or it does not read (EAGAIN)
            log.info("peer %s dropped: %s", self._forget(peer), error)


def _lost_slot() -> SlotLostError:
    return SlotLostError("the slot that held these pixels was released too early; ask again")


def _make_pool(incarnation: str, slot_bytes: int) -> SlotPool | None:
    """The service's pool, if it wants one and the host has room."""
    if not slot_bytes:
        return None
    try:
        return SlotPool(incarnation, slot_bytes)
    except OSError as error:
        log.info("no shared memory, pictures go as frames: %s", error)
        return None
