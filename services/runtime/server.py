"""The I/O loop of a service: its socket, greetings, and the answers to all that clients ask.

It owns the ROUTER socket and never computes, so it answers PING while the model is busy. Bytes that
are no message are answered with an error and counted; they reach neither the queue nor the model.
A request is answered once, to the peer that asked, or not at all when that peer cancelled it.
"""

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import zmq

from protocol.client import readable
from protocol.errors import (
    BadRequestError,
    BusyError,
    ConfigError,
    DrainingError,
    GlasshouseError,
    ProtocolError,
    ServiceLostError,
    SlotLostError,
    VersionError,
)
from protocol.frames import MAX_MESSAGE_BYTES, Buffer, decode
from protocol.keys import Identity
from protocol.messages import (
    PROTOCOL_VERSION,
    Cancel,
    ClientNames,
    Clients,
    Describe,
    Description,
    Fetch,
    Fetched,
    Hello,
    Message,
    Ping,
    Pong,
    Probe,
    Release,
    Reply,
    Request,
    Result,
    State,
    Welcome,
)
from protocol.tensors import TensorWriter
from services.runtime.batcher import Batcher
from services.runtime.guard import Guard
from services.runtime.intake import Inputs, Intake
from services.runtime.noting import worth_a_line
from services.runtime.peers import Peers
from services.runtime.role import Role
from services.runtime.scheduler import Work
from services.runtime.shelf import Shelf
from services.runtime.worker import joined

log = logging.getLogger("service")

POLL_MS = 100
DRAIN_S = 30.0
BYE_LINGER_MS = 500
BYE_GRACE_S = 1.0
"""A client with ZMQ_IMMEDIATE forgets what it has not read when the connection ends."""


def check_free(endpoint: str) -> None:
    """Bind there and let go again.

    Raises:
        ConfigError: the port is taken, or the address is none of this machine.
    """
    with zmq.Context() as context, context.socket(zmq.ROUTER) as probe:
        _bind(probe, endpoint)


def _bind(listener: zmq.Socket[bytes], endpoint: str) -> None:
    try:
        listener.bind(endpoint)
    except zmq.ZMQError as error:
        raise ConfigError(
            f"{endpoint} cannot be bound ({error.strerror}); choose another --bind"
        ) from error


class Server:
    """One service, from bind to BYE.

    Args:
        role: the model.
        endpoint: where to listen; `tcp://host:0` lets the system choose the port.
        incarnation: name of this life, 16 hex digits; a fresh one by default.
        identity: speak CURVE with this key, to those on the allow-list only; None for a socket
            that only this machine can reach.

    Raises:
        ConfigError: the endpoint is somebody else's, or not to be had on this machine.
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
        try:
            _bind(self._router, endpoint)
        except ConfigError:
            self._context.destroy(linger=0)
            raise
        self.endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.incarnation = incarnation or secrets.token_hex(8)
        self.shelf = Shelf(self.incarnation, role.slot_bytes)
        self.batcher = Batcher(role, self._answer, self._give_up, self.shelf.room)
        self.peers = Peers(self._router, self._forget)
        self._poller = zmq.Poller()
        self._intake = Intake(self._poller, local=identity is None)
        self._malformed = 0
        self._draining: str | None = None
        self._drain_until = 0.0
        self._answers_last = False

    def drain(self, reason: str, within_s: float = DRAIN_S) -> None:
        """Finish what is queued, take nothing new, then leave. Safe in a signal handler."""
        if self._draining is None:
            self._answers_last = self.batcher.rows > 0 or not self.batcher.idle
            self._draining = reason
            self._drain_until = time.monotonic() + within_s

    def run(self) -> None:
        """Serve until drained."""
        self._poller.register(self._router, zmq.POLLIN)
        self._poller.register(self.batcher.wake, zmq.POLLIN)
        for socket in self._guard.sockets if self._guard else ():
            self._poller.register(socket, zmq.POLLIN)
        while not self._finished():
            ready = dict(self._poller.poll(POLL_MS))
            if self.batcher.wake.fileno() in ready:
                self.batcher.collect()
            if self._router in ready:
                self._receive_all()
            if self._guard is not None:
                self._guard.tend()
            now = time.monotonic()
            self._intake.puller.tend(now)
            self.batcher.expire(now)
            self.shelf.expire(now)
            self.batcher.begin()
        self._leave()

    @property
    def state(self) -> State:
        """How the service is, in the words shown to users."""
        if self._draining is not None:
            return "draining"
        return self.batcher.progress.state(self.batcher.batch_age_s)

    def _finished(self) -> bool:
        if self._draining is None:
            return False
        nothing_left = self.batcher.idle and not self.batcher.rows and self._intake.puller.idle
        return nothing_left or time.monotonic() > self._drain_until

    def _leave(self) -> None:
        self.peers.leave(self._draining or "stopped")
        if self._answers_last:
            time.sleep(BYE_GRACE_S)
        self.batcher.close()
        self._intake.puller.close()
        self.shelf.close()
        if self._guard is not None:
            self._guard.close()
        self._router.close(linger=BYE_LINGER_MS)
        self._context.term()

    def _receive_all(self) -> None:
        for _ in range(64):  # then look after the model again
            if not readable(self._router):
                return
            peer, *frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            self._receive(peer.bytes, [frame.buffer for frame in frames])

    def _receive(self, peer: bytes, frames: Sequence[Buffer]) -> None:
        try:
            message, tensors = decode(frames)
        except ProtocolError as error:
            self._count(error)
            self.peers.refuse(peer, b"", error)
            return
        request_id = message.id if isinstance(message, Request) else b""
        with self._answering(peer, request_id):
            self._handle(peer, message, tensors)

    @contextmanager
    def _answering(self, peer: bytes, request_id: bytes) -> Iterator[None]:
        """Whatever goes wrong with a request is its answer."""
        try:
            yield
        except BusyError as error:
            self.peers.refuse(peer, request_id, error, self.batcher.retry_after_s)
        except GlasshouseError as error:
            if isinstance(error, ProtocolError):
                self._count(error)
            self.peers.refuse(peer, request_id, error)
        except Exception:  # loop boundary: one bad request must not end the service
            log.exception("a request could not be handled")
            fault = GlasshouseError("the service failed on this request")
            self.peers.refuse(peer, request_id, fault)

    def _count(self, error: ProtocolError) -> None:
        self._malformed += 1
        if worth_a_line(self._malformed):
            log.warning("refused message %d from a peer: %s", self._malformed, error)

    def _handle(self, peer: bytes, message: Message, tensors: list[memoryview]) -> None:
        self.peers.hear(peer)
        match message:
            case Hello():
                self._greet(peer, message)
            case Ping():
                self.peers.send(peer, self._pong(peer, message))
            case _ if peer not in self.peers:
                raise ServiceLostError(
                    "this service does not know you (it may be new): HELLO first"
                )
            case Request():
                self._accept(peer, message, tensors)
            case Cancel():
                self.batcher.forget(peer, message.id)
                self._intake.puller.forget(peer, message.id)
            case Release():
                self.shelf.release(peer, message.id)
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
        self.peers.greet(peer, hello.client)
        pool = self.shelf.pool
        self.peers.send(peer, Welcome(PROTOCOL_VERSION, self.incarnation, self._info, pool))

    def _forget(self, peer: bytes) -> None:
        self.batcher.forget(peer)
        self._intake.puller.forget(peer)
        self.shelf.release(peer)

    def _accept(self, peer: bytes, request: Request, tensors: list[memoryview]) -> None:
        self.peers.touch(peer)
        call, key = request.call, (peer, request.id)
        match call:
            case Describe():
                self._reply(peer, request.id, Description(info=self._info))
            case Clients():
                names, count = self.peers.present()
                self._reply(peer, request.id, ClientNames(tuple(names), count))
            case Fetch():
                writer = TensorWriter()
                fetched = Fetched(tensor=writer.add(self.shelf.read(call.slot)))
                self._reply(peer, request.id, fetched, writer)
            case _ if request.id in self._held(peer):
                pass  # sent again by a client that could not know
            case Probe():
                self._intake.probe(key, call, partial(self._reply, peer, request.id))
            case _ if self._draining is not None:
                raise DrainingError(f"the {self._info.role} is leaving: {self._draining}")
            case _:
                content = self.batcher.answers.key(call, tensors)
                take = partial(self._take, peer, request, content, time.monotonic())
                self._intake.find(key, request, tensors, take)

    def _take(
        self,
        peer: bytes,
        request: Request,
        content: bytes,
        arrived: float,
        found: Inputs | SlotLostError,
    ) -> None:
        """Queue a request whose tensors are here."""
        with self._answering(peer, request.id):
            if isinstance(found, SlotLostError):
                raise found
            rows = self._role.prepare(request.call, found.read)
            work = Work(peer, request.id, rows, arrived=arrived, deadline=arrived + request.ttl_s)
            work.interactive, work.slots, work.key = request.interactive, request.slots, content
            work.views = [found.view] if found.view else []
            if not work.size:
                raise BadRequestError("a request needs at least one row")
            self.batcher.add(work)

    def _held(self, peer: bytes) -> set[bytes]:
        """Ids of a peer's requests that are not answered yet."""
        return self.batcher.held(peer) | self._intake.puller.held(peer)

    def _answer(self, work: Work) -> None:
        if work.peer not in self.peers:
            return  # it was forgotten while others who asked the same were answered
        with self._answering(work.peer, work.request_id):  # it may be too large for a message
            writer = self.shelf.writer(work, time.monotonic())
            outputs = tuple(joined(list(parts)) for parts in zip(*work.ordered(), strict=True))
            result = self._role.result(work.rows.options, outputs, writer)
            waited_ms = 1000 * ((work.started or work.arrived) - work.arrived)
            self._reply(
                work.peer, work.request_id, result, writer, waited_ms, work.compute_s * 1000
            )

    def _give_up(self, work: Work, error: GlasshouseError) -> None:
        self.peers.refuse(work.peer, work.request_id, error)

    def _reply(  # the fields of one message
        self,
        peer: bytes,
        request_id: bytes,
        result: Result,
        writer: TensorWriter | None = None,
        wait_ms: float = 0.0,
        compute_ms: float = 0.0,
    ) -> None:
        reply = Reply(request_id, self._info.digest, wait_ms, compute_ms, result)
        self.peers.send(peer, reply, writer.frames if writer else ())

    def _pong(self, peer: bytes, ping: Ping) -> Pong:
        progress = self.batcher.progress
        return Pong(
            nonce=ping.nonce,
            incarnation=self.incarnation,
            state=self.state,
            queue_rows=self.batcher.rows,
            batch_age_s=self.batcher.batch_age_s or 0.0,
            batch_ms=progress.batch_ms,
            batch_p95_ms=progress.batch_p95_ms,
            rows=progress.rows,
            held=len(self._held(peer)),
        )
