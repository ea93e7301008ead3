"""A client of services: sockets, clock and nothing else around `Session`.

One DEALER for each life of each service; all of them belong to the thread that made the client.
Nothing here waits without a deadline, and a service that dies, hangs or lies ends its requests with
an error and never the caller.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import zmq

from protocol.endpoints import check_endpoint
from protocol.errors import ConfigError, DeadlineError, ServiceLostError
from protocol.frames import MAX_MESSAGE_BYTES
from protocol.keys import identity, server_key
from protocol.messages import Method, Pong, Role, ServiceInfo, State
from protocol.patience import PATIENCE, Patience
from protocol.session import Pending, Session
from protocol.slots import SlotReader
from protocol.tensors import Pool

TICK_MS = 20
Watch = Callable[[], str | None]


@dataclass(eq=False)
class Service:
    """A service as its client sees it."""

    session: Session
    socket: "zmq.Socket[bytes]"
    watch: Watch | None = None

    @property
    def info(self) -> ServiceInfo:
        """What the service said of itself."""
        return self.session.info

    @property
    def pong(self) -> Pong | None:
        """Its newest sign of progress."""
        return self.session.pong

    @property
    def state(self) -> State:
        """How it is, in the words shown to users."""
        return self.session.state


class Client:
    """Speaks to any number of services from one thread.

    Args:
        name: what it calls itself.
        patience: how long it waits for what.
    """

    def __init__(self, name: str = "orchestrator", patience: Patience = PATIENCE) -> None:
        self.patience = patience
        self._name = name
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self._services: list[Service] = []
        self._slots = SlotReader()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _tb: TracebackType | None,
    ) -> None:
        self.close()

    def connect(
        self,
        endpoint: str,
        role: Role,
        *,
        timeout_s: float | None = None,
        watch: Watch | None = None,
    ) -> Service:
        """Greet the service at `endpoint`, and wait for its WELCOME; arguments as for `greet`.

        Raises:
            ConfigError: not an endpoint, or one whose key is not known.
            UnreachableError: nobody answered within `timeout_s`, by default the patience's.
            GlasshouseError: whatever the service refused with (wrong role, wrong version).
        """
        service = self.greet(endpoint, role, watch=watch)
        timeout_s = self.patience.greet_s if timeout_s is None else timeout_s
        started = time.monotonic()
        while service.state == "starting":
            if time.monotonic() - started > timeout_s:
                service.session.give_up(timeout_s)
            self.step()
        if service.session.error is not None:
            self.disconnect(service)
            raise service.session.error
        return service

    def greet(self, endpoint: str, role: Role, *, watch: Watch | None = None) -> Service:
        """Say HELLO to the service at `endpoint`, which is `starting` until it answers.

        Args:
            endpoint: `ipc:///absolute/path` or `tcp://host:port`; another machine's key must be
                known (`protocol/keys.py`).
            role: what it must be.
            watch: asked often; returns why the service's process is gone, or None while it lives.

        Raises:
            ConfigError: not an endpoint, or one whose key is not known.
        """
        key = server_key(check_endpoint(endpoint))  # before there is a socket to close
        socket = self._context.socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.IMMEDIATE, 1),
            (zmq.HANDSHAKE_IVL, 5_000),
            (zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES),
            (zmq.RECONNECT_IVL_MAX, 1_000),
        ):
            socket.setsockopt(option, value)
        if key is not None:
            encrypt(socket, key)
        session = Session(endpoint, role, self._name, self.patience, slots=self._slots)
        service = Service(session, socket, watch)
        socket.connect(endpoint)
        self._services.append(service)
        self._poller.register(socket, zmq.POLLIN)
        session.start(time.monotonic())
        return service

    def submit(
        self,
        service: Service,
        call: Method,
        frames: Sequence[memoryview] = (),
        ttl_s: float | None = None,
        *,
        slots: bool = False,
        interactive: bool = False,
    ) -> Pending:
        """Send a request and return at once; `frames` are what its `TensorWriter` collected.

        It ends after `ttl_s`, by default the patience's.
        With `slots`, large tensors of the answer may stay in the service's pool: `release` them.
        `interactive` is for what a person waits for; it passes searches in the queue.
        """
        now = time.monotonic()
        ttl_s = self.patience.answer_s if ttl_s is None else ttl_s
        pending = service.session.submit(
            call, frames, now, ttl_s, slots=slots, interactive=interactive
        )
        self._flush(service)
        return pending

    def cancel(self, service: Service, pending: Pending) -> None:
        """Wait for a request no longer."""
        service.session.cancel(pending)
        self._flush(service)

    def release(self, service: Service, pending: Pending) -> None:
        """Give back the slots of an answer; after that nobody may read them."""
        service.session.release(pending)
        self._flush(service)

    def can_read(self, pool: Pool) -> bool:
        """Whether this process can read the slots of that pool."""
        return self._slots.can_read(pool)

    def wait(self, pendings: Iterable[Pending]) -> list[Pending]:
        """Wait until at least one of these has ended; returns all that have.

        It ends by itself: every request has a deadline.
        """
        waiting = list(pendings)
        while waiting:
            done = [pending for pending in waiting if pending.done]
            if done:
                return done
            self.step()
        return []

    def call(
        self,
        service: Service,
        call: Method,
        frames: Sequence[memoryview] = (),
        ttl_s: float | None = None,
    ) -> Pending:
        """Send a request and wait for it."""
        pending = self.submit(service, call, frames, ttl_s)
        self.wait([pending])
        return pending

    def pump(self, duration_s: float = 0.0) -> None:
        """Keep all conversations going for a while without waiting for anything."""
        until = time.monotonic() + duration_s
        self.step(0)
        while time.monotonic() < until:
            self.step()

    def await_pong(self, service: Service, timeout_s: float = 2.0) -> None:
        """Ask for a sign of progress and wait for one.

        Raises:
            DeadlineError: none came in time.
            GlasshouseError: the service is lost.
        """
        until, before = time.monotonic() + timeout_s, service.pong
        service.session.ping(time.monotonic())
        self._flush(service)
        while service.pong is before:
            if service.session.error is not None:
                raise service.session.error
            if time.monotonic() > until:
                raise DeadlineError(f"{service.session.endpoint} did not answer PING in time")
            self.step()

    def disconnect(self, service: Service) -> None:
        """End one conversation; its requests end with `lost`."""
        if service in self._services:
            self._services.remove(service)
            self._poller.unregister(service.socket)
            service.socket.close()
            service.session.fail(ServiceLostError(f"{service.session.endpoint} was disconnected"))

    def close(self) -> None:
        """End all conversations."""
        for service in list(self._services):
            self.disconnect(service)
        self._context.term()

    def step(self, timeout_ms: int = TICK_MS) -> None:
        """Take what has come, send what must go, and let time pass in all conversations."""
        ready = dict(self._poller.poll(timeout_ms))
        now = time.monotonic()
        for service in self._services:
            if service.socket in ready:
                self._receive(service, now)
            self._tend(service, now)

    def _receive(self, service: Service, now: float) -> None:
        while readable(service.socket):
            parts = service.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            service.session.receive([part.buffer for part in parts], now)

    def _tend(self, service: Service, now: float) -> None:
        reason = service.watch() if service.watch else None
        if reason is not None:
            service.session.fail(ServiceLostError(reason))
        service.session.tick(now)
        self._flush(service)

    def _flush(self, service: Service) -> None:
        outbox = service.session.outbox
        while outbox:
            try:
                service.socket.send_multipart(outbox[0], zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            outbox.popleft()


def readable(socket: "zmq.Socket[bytes]") -> bool:
    """Whether a message waits; asking costs less than the exception that says no."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)


def encrypt(socket: "zmq.Socket[bytes]", key: bytes) -> None:
    """Speak CURVE as this user, and only to the owner of the public `key`.

    Raises:
        ConfigError: this user has no key.
    """
    try:
        mine = identity()
    except ConfigError:
        socket.close()
        raise
    socket.setsockopt(zmq.CURVE_SERVERKEY, key)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, mine.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, mine.secret)
