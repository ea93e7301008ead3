"""Pixels fetched straight from the service that made them, where its pool cannot be read here.

A client introduces the owner of a pool by PROBE: the pool's name and token, and where its owner
listens. From then on that client's requests may name slots of that pool, and this side fetches
them, as a client of the owner. What a client introduces is used for that client alone, and only:

- an `ipc://` socket of this user or a loopback address, if this service itself listens on this
  machine only;
- another machine whose key this user trusts (`orchestrator keys trust`), over CURVE.

Whoever answers there must announce the very pool, token included, before a byte of it is used. An
owner that is gone, hangs or refuses costs the request that wanted its pixels, with a retryable
error; nothing here waits longer than the request's own deadline, or 10 seconds.
"""

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from protocol.client import Client, Service
from protocol.endpoints import check_endpoint, is_local, socket_path
from protocol.errors import BusyError, ConfigError, ServiceLostError, SlotLostError
from protocol.frames import MAX_MESSAGE_BYTES
from protocol.keys import server_key
from protocol.messages import Describe, Fetch, Fetched, Method
from protocol.session import Pending
from protocol.tensors import Array, Pool, Slot, size_bytes

PULL_S = 10.0
IDLE_S = 60.0
MAX_OWNERS = 32
MAX_PULLED_BYTES = 2 * MAX_MESSAGE_BYTES
LOST = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_AUTH

Key = tuple[bytes, bytes]  # the peer that asked, the id of its request
Take = Callable[[Array | SlotLostError], None]


@dataclass(eq=False)
class _Owner:
    """A pool, and where its owner listens."""

    pool: Pool
    endpoint: str
    talk: "_Talk | None" = None


@dataclass(eq=False)
class _Talk:
    """The conversation with an owner; `monitor` tells when its connection is cut."""

    service: Service
    monitor: "zmq.Socket[bytes]"
    used_at: float

    def is_with(self, owner: _Owner) -> bool:
        """Whether who answers announces the very pool that it should have."""
        welcome = self.service.session.welcome
        return welcome is not None and welcome.pool == owner.pool


@dataclass(eq=False)
class _Errand:
    """A question to an owner; `take` gets it when it is done."""

    key: Key
    talk: _Talk
    pending: Pending
    take: Callable[[Pending], None]
    size: int = 0


class Puller:
    """Fetches slots for one service; all calls from its I/O thread.

    Args:
        poller: of the I/O loop; sockets are registered there while they are open.
        local: whether the service listens on this machine only.
    """

    def __init__(self, poller: zmq.Poller, *, local: bool) -> None:
        self._poller = poller
        self._local = local
        self._client: Client | None = None
        self._owners: dict[tuple[bytes, str], _Owner] = {}  # by the peer that introduced it
        self._talks: list[_Talk] = []
        self._errands: list[_Errand] = []

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way here."""
        return not self._errands

    def held(self, peer: bytes) -> set[bytes]:
        """Ids of a peer's requests that wait for what is on its way here."""
        return {errand.key[1] for errand in self._errands if errand.key[0] == peer}

    def introduce(self, peer: bytes, pool: Pool, endpoint: str) -> None:
        """Let this client's requests name slots of that pool.

        Raises:
            ConfigError: what listens there may not be spoken to from here.
            BusyError: there are too many owners already.
        """
        check_owner(endpoint, local=self._local)
        owners = {(owner.pool, owner.endpoint): owner for owner in self._owners.values()}
        if (pool, endpoint) not in owners and len(owners) >= MAX_OWNERS:
            raise BusyError(f"pictures are fetched from {MAX_OWNERS} services already")
        self._owners[peer, pool.name] = owners.get((pool, endpoint)) or _Owner(pool, endpoint)

    def knows(self, peer: bytes, name: str) -> bool:
        """Whether this client introduced the owner of the pool of that name."""
        return (peer, name) in self._owners

    def greet(self, key: Key, name: str, take: Callable[[bool], None]) -> None:
        """Find out whether an introduced owner answers and is who it should be."""
        owner = self._owners[key[0], name]
        talk = self._talk(owner)
        pending = self._ask(talk, Describe(), PULL_S / 2)
        self._errands.append(
            _Errand(key, talk, pending, lambda done: take(not done.error and talk.is_with(owner)))
        )

    def pull(self, key: Key, slot: Slot, ttl_s: float, take: Take) -> None:
        """Fetch a slot of an introduced pool; `take` gets the pixels, or why they are lost.

        Raises:
            BusyError: too many bytes are on their way here already.
        """
        size = size_bytes(slot)
        if size + sum(errand.size for errand in self._errands) > MAX_PULLED_BYTES:
            raise BusyError("too many pictures are on their way here already")
        owner = self._owners[key[0], slot.pool]
        talk = self._talk(owner)
        pending = self._ask(talk, Fetch(slot=slot), min(ttl_s, PULL_S))

        def arrived(done: Pending) -> None:
            pixels = _pixels(done, slot) if talk.is_with(owner) else None
            why = str(done.error or "it does not hold them")
            take(_lost(owner, why) if pixels is None else pixels)

        self._errands.append(_Errand(key, talk, pending, arrived, size))

    def forget(self, peer: bytes, request_id: bytes | None = None) -> None:
        """Drop what a peer waits for, or only one request; without an id its introductions too."""
        for errand in list(self._errands):
            if errand.key[0] == peer and request_id in {None, errand.key[1]}:
                self._errands.remove(errand)
        if request_id is None:
            for key in [key for key in self._owners if key[0] == peer]:
                del self._owners[key]

    def tend(self, now: float) -> None:
        """Take what has arrived, and end conversations that are cut or not needed."""
        if self._client is None:
            return
        self._client.step(0)
        for talk in list(self._talks):
            if talk.monitor.poll(0):
                talk.service.session.fail(
                    ServiceLostError(f"the connection to {talk.service.session.endpoint} is cut")
                )
        for errand in [errand for errand in self._errands if errand.pending.done]:
            if errand in self._errands:  # taking another may have dropped it
                self._errands.remove(errand)
                errand.talk.used_at = now
                errand.take(errand.pending)
        for talk in list(self._talks):
            if talk.service.session.error is not None or now - talk.used_at > IDLE_S:
                self._end(talk)

    def close(self) -> None:
        """End all conversations."""
        for talk in list(self._talks):
            self._end(talk)
        if self._client is not None:
            self._client.close()

    def _ask(self, talk: _Talk, call: Method, ttl_s: float) -> Pending:
        if self._client is None:
            raise RuntimeError("there is no conversation yet")
        return self._client.submit(talk.service, call, ttl_s=ttl_s)

    def _talk(self, owner: _Owner) -> _Talk:
        """The conversation with an owner, a new one if there is none."""
        if owner.talk in self._talks and owner.talk is not None:
            return owner.talk
        if self._client is None:
            self._client = Client("puller")
        service = self._client.greet(owner.endpoint, "generator")
        owner.talk = _Talk(service, service.socket.get_monitor_socket(LOST), time.monotonic())
        self._talks.append(owner.talk)
        for socket in (service.socket, owner.talk.monitor):
            self._poller.register(socket, zmq.POLLIN)
        return owner.talk

    def _end(self, talk: _Talk) -> None:
        self._talks.remove(talk)
        for socket in (talk.service.socket, talk.monitor):
            self._poller.unregister(socket)
        talk.service.socket.disable_monitor()
        talk.monitor.close()
        if self._client is not None:
            self._client.disconnect(talk.service)


def check_owner(endpoint: str, *, local: bool) -> None:
    """Refuse endpoints that a client may not have this service speak to.

    Args:
        endpoint: where a pool's owner is said to listen.
        local: whether this service, and so its client, is reached from this machine only.

    Raises:
        ConfigError: not an endpoint, not this user's socket, this machine for a client that may be
            on another, or another machine whose key is not trusted.
    """
    path = socket_path(check_endpoint(endpoint))
    if is_local(endpoint) and not local:
        raise ConfigError(f"{endpoint} is on this machine, which only clients on it may name")
    if path is None:
        server_key(endpoint)
        return
    try:
        found = path.lstat()
    except OSError as error:
        raise ConfigError(f"nothing listens at {endpoint}: {error.strerror}") from error
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(f"{endpoint} is not a socket of this user")


def _pixels(done: Pending, slot: Slot) -> Array | None:
    """What was fetched, if it is what the reference says."""
    if done.error is not None:
        return None
    answer = done.answer()
    result = answer.reply.result
    if not isinstance(result, Fetched) or isinstance(result.tensor, Slot):
        return None
    array = answer.tensor(result.tensor)
    return array if (array.dtype.name, array.shape) == (slot.dtype, slot.shape) else None


def _lost(owner: _Owner, why: str) -> SlotLostError:
    return SlotLostError(
        f"the pictures could not be fetched from {owner.endpoint}: {why}; ask for them again"
    )
