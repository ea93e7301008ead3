"""Those who said HELLO, and the way back to each: bounded in number, messages and bytes.

A ROUTER drops silently what it cannot deliver unless it is told not to; here a peer that is gone or
does not read is forgotten with all it had in the service, and the log says so. What libzmq still
holds for a peer is counted in bytes, because its own high-water mark counts messages and one
message may have 256 MiB.
"""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

import zmq

from protocol.errors import GlasshouseError
from protocol.frames import MAX_MESSAGE_BYTES, encode
from protocol.messages import Bye, ErrorMessage, Message

log = logging.getLogger("service")

MAX_PEERS = 1024
MAX_UNREAD_BYTES = 2 * MAX_MESSAGE_BYTES
HEARD_S = 10.0
"""Who was not heard of for so long does not count as speaking to the service."""
MOST_NAMES, LONGEST_NAME = 20, 100  # so that a list of them fits into a header
TRACKED_BYTES = 64 * 1024  # smaller messages are copied at once, and the high-water mark holds them


class Peers:
    """The clients of one service.

    Args:
        router: the service's socket.
        forgotten: called with each peer of which nothing is to be kept.
    """

    def __init__(self, router: "zmq.Socket[bytes]", forgotten: Callable[[bytes], None]) -> None:
        self._router = router
        self._forgotten = forgotten
        self._names: OrderedDict[bytes, str] = OrderedDict()
        self._heard: dict[bytes, float] = {}
        self._unread: dict[bytes, deque[tuple[zmq.MessageTracker, int]]] = {}

    def __contains__(self, peer: bytes) -> bool:
        return peer in self._names

    def greet(self, peer: bytes, name: str) -> None:
        """Know a peer; where there are too many, the one that was silent longest is forgotten."""
        self._names[peer] = name
        self.hear(peer)
        while len(self._names) > MAX_PEERS:
            self.forget(next(iter(self._names)), "there are too many clients")

    def hear(self, peer: bytes) -> None:
        """A peer has said something; strangers are not kept in mind."""
        if peer in self:
            self._heard[peer] = time.monotonic()

    def present(self) -> tuple[list[str], int]:
        """Names of those that were heard of in the last seconds, and how many they are in all."""
        since = time.monotonic() - HEARD_S
        names = [self._names[peer] for peer, heard in self._heard.items() if heard >= since]
        return [name[:LONGEST_NAME] for name in names[:MOST_NAMES]], len(names)

    def touch(self, peer: bytes) -> None:
        """A known peer has something to ask."""
        self._names.move_to_end(peer)

    def forget(self, peer: bytes, why: str) -> None:
        """Drop all that a peer has here."""
        log.info("peer %s dropped: %s", self._names.pop(peer, "unknown"), why)
        self._heard.pop(peer, None)
        self._unread.pop(peer, None)
        self._forgotten(peer)

    def send(self, peer: bytes, message: Message, frames: Sequence[memoryview] = ()) -> None:
        """Send a message; a peer that cannot take it is forgotten."""
        parts = [peer, *encode(message, frames)]
        size = sum(frame.nbytes for frame in frames)
        track = size >= TRACKED_BYTES
        try:
            sent = self._router.send_multipart(parts, zmq.NOBLOCK, copy=False, track=track)
        except zmq.ZMQError as error:  # gone (EHOSTUNREACH), or it does not read (EAGAIN)
            self.forget(peer, str(error))
            return
        if track and sent is not None:
            self._count(peer, sent, size)

    def refuse(
        self, peer: bytes, request_id: bytes, error: GlasshouseError, retry_after_s: float = 0.0
    ) -> None:
        """Say why there is no answer."""
        message = error.message[:2000]
        self.send(
            peer, ErrorMessage(request_id, error.code, error.retryable, message, retry_after_s)
        )

    def leave(self, reason: str) -> None:
        """Say BYE to all."""
        for peer in list(self._names):
            self.send(peer, Bye(reason=reason))

    def _count(self, peer: bytes, sent: zmq.MessageTracker, size: int) -> None:
        """Note what is on its way; who leaves too much of it unread is forgotten."""
        unread = self._unread.setdefault(peer, deque())
        unread.append((sent, size))
        while unread and unread[0][0].done:
            unread.popleft()
        if sum(size for _, size in unread) > MAX_UNREAD_BYTES:
            self.forget(peer, f"it leaves more than {MAX_UNREAD_BYTES} bytes of answers unread")
