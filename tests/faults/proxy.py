"""A bad connection: passes messages on between clients and one service, and harms some of them.

It speaks ZeroMQ on both sides, because below that TCP already repairs or cuts. What it passes on
keeps its order.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Self

import zmq

Message = list[bytes]
Harm = Callable[[Message, random.Random], list[Message]]


def drop(message: Message, rng: random.Random) -> list[Message]:
    return [] if rng.random() < 0.15 else [message]


def duplicate(message: Message, rng: random.Random) -> list[Message]:
    return [message] * rng.choice((1, 1, 2, 3))


def truncate(message: Message, rng: random.Random) -> list[Message]:
    if rng.random() > 0.15:
        return [message]
    *whole, last = message
    return [whole] if whole and rng.random() < 0.5 else [[*whole, last[: len(last) // 2]]]


def swallow(message: Message, rng: random.Random) -> list[Message]:
    del message, rng
    return []


def spare(message: Message, rng: random.Random) -> list[Message]:
    del rng
    return [message]


class Proxy:
    """Between clients and one service, in a thread of its own.

    Attributes:
        endpoint: where clients connect.
        harm: what happens to each message.
        delay_s: most that a message is held back.
        cut_s: when it is set, all connections are cut once for so long.
        harmed: messages that were not passed on once and whole.
    """

    def __init__(self, endpoint: str, service: str) -> None:
        self.endpoint = endpoint
        self.harm: Harm = spare
        self.delay_s = 0.0
        self.cut_s = 0.0
        self.harmed = 0
        self._service = service
        self._rng = random.Random(0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(120)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with zmq.Context() as context:
            while not self._over.is_set():
                self._connected(context)
                time.sleep(self.cut_s)
                self.cut_s = 0.0

    def _connected(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        """Until it is over or the connection is to be cut."""
        front = context.socket(zmq.ROUTER)
        front.setsockopt(zmq.LINGER, 0)
        front.bind(self.endpoint)
        backs: dict[bytes, zmq.Socket[bytes]] = {}
        held: deque[tuple[float, Callable[[], object]]] = deque()
        try:
            while not self._over.is_set() and not self.cut_s:
                poller = zmq.Poller()
                for socket in (front, *backs.values()):
                    poller.register(socket, zmq.POLLIN)
                ready = dict(poller.poll(5))
                if front in ready:
                    peer, *message = front.recv_multipart()
                    back = backs.get(peer) or self._back(context)
                    backs[peer] = back
                    self._pass(message, held, back.send_multipart)
                for peer, back in backs.items():
                    if back in ready:
                        message = back.recv_multipart()
                        self._pass(message, held, lambda m, p=peer: front.send_multipart([p, *m]))
                while held and held[0][0] <= time.monotonic():
                    held.popleft()[1]()
        finally:
            for socket in (front, *backs.values()):
                socket.close()

    def _back(self, context: "zmq.Context[zmq.Socket[bytes]]") -> "zmq.Socket[bytes]":
        back = context.socket(zmq.DEALER)
        back.setsockopt(zmq.LINGER, 0)
        back.connect(self._service)
        return back

    def _pass(
        self,
        message: Message,
        held: deque[tuple[float, Callable[[], object]]],
        send: Callable[[Message], object],
    ) -> None:
        passed = self.harm(message, self._rng)
        self.harmed += passed != [message]
        due = time.monotonic() + self._rng.uniform(0, self.delay_s)
        due = max(due, held[-1][0]) if held else due  # in their order
        held.extend((due, lambda one=one: send(one)) for one in passed)
