"""Mutated messages, thousands by default and a million among the slow, against a real process.

From well-formed messages of every kind: flipped bits, cut ends, other types, huge lengths, missing,
repeated and unknown fields, frames too many, too few and in another order, and replays. The service
must live, stay as small as it was, and answer its honest client correctly all the while.
"""

import json
import multiprocessing
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pytest
import zmq

from benchmarks.roles import connect
from protocol.client import Client
from protocol.errors import ProtocolError
from protocol.frames import decode, encode
from protocol.messages import Hello, Request, Score
from protocol.tensors import TensorWriter
from services.runtime.server import Server
from tests.services.runtime.roles import MeanRole, pictures
from tests.services.runtime.test_server import ask, scores
from tests.services.runtime.waiting import PATIENT

GOLDEN = Path(__file__).parents[2] / "protocol" / "golden.json"
BURST = 500
GROWTH_BYTES = 64 * 1024 * 1024

NASTY = [
    None, True, -1, 0, 1, 255, 2**31, 2**63, 2**64 - 1, -(2**63), 1.5, float("nan"), float("inf"),
    "", "x", "x" * 5000, "../../etc/passwd", "\0", "score", b"", bytes(16), b"\xff" * 4000,
    [], [[]], [2**40, 2**40], [-1], [1] * 9, {}, {"a": 1}, {"at": "frame"},
    msgpack.ExtType(5, b"x"), msgpack.Timestamp(1),
]  # fmt: skip
BOMBS = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 9000,
         b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01", b"\x81\xa1a" * 3000]  # fmt: skip


class Mutator:
    """An endless supply of messages that are nearly right."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        writer = TensorWriter()
        score = Request(b"f" * 16, 5.0, Score(images=writer.add(pictures([1] * 200))))
        known = json.loads(GOLDEN.read_text())
        self._bases = [
            [bytes(part) for part in encode(Hello(1, 1, "discriminator", "fuzz"))],
            [bytes(part) for part in encode(score, writer.frames)],
            [bytes(part) for part in encode(Request(b"g" * 16, 5.0, score_inline()))],
            *(
                [bytes.fromhex(frame) for frame in vector["frames"]]
                for section in ("messages", "accepted", "refused")
                for vector in known[section]
                if vector["frames"]
            ),
        ]
        self._ways: list[Callable[[list[bytes]], list[bytes]]] = [
            self._flip, self._cut, self._fields, self._fields, self._fields, self._frames,
            self._prefix, self._bomb, list,
        ]  # fmt: skip

    def message(self) -> list[bytes]:
        """The frames of one."""
        parts = self._rng.choice(self._bases)
        for _ in range(self._rng.choice((1, 1, 1, 2, 3))):
            parts = self._rng.choice(self._ways)(parts) or [b""]
        return parts

    def _one(self, parts: list[bytes], change: Callable[[bytearray], object]) -> list[bytes]:
        index = self._rng.randrange(len(parts))
        changed = bytearray(parts[index])
        change(changed)
        return [*parts[:index], bytes(changed), *parts[index + 1 :]]

    def _flip(self, parts: list[bytes]) -> list[bytes]:
        def flip(part: bytearray) -> None:
            for _ in range(self._rng.randint(1, 8) if part else 0):
                part[self._rng.randrange(len(part))] ^= 1 << self._rng.randrange(8)

        return self._one(parts, flip)

    def _cut(self, parts: list[bytes]) -> list[bytes]:
        def cut(part: bytearray) -> None:
            del part[self._rng.randint(0, len(part)) :]

        return self._one(parts, cut)

    def _prefix(self, parts: list[bytes]) -> list[bytes]:
        kind = bytes((self._rng.choice((1, 1, 1, 0, 2)), self._rng.randrange(14)))
        return [b"GH" + kind + parts[0][4:], *parts[1:]]

    def _bomb(self, parts: list[bytes]) -> list[bytes]:
        cut = self._rng.choice((4, 4, self._rng.randint(0, len(parts[0]))))
        return [parts[0][:cut] + self._rng.choice(BOMBS), *parts[1:]]

    def _frames(self, parts: list[bytes]) -> list[bytes]:
        parts = list(parts)
        for _ in range(self._rng.randint(1, 10)):
            way = self._rng.randrange(4)
            if way == 0:
                parts.append(self._rng.randbytes(self._rng.choice((0, 1, 30, 3000))))
            elif way == 1:
                parts.append(self._rng.choice(parts))
            elif way == 2 and len(parts) > 1:
                parts.pop(self._rng.randrange(1, len(parts)))
            else:
                self._rng.shuffle(parts)
        return parts

    def _fields(self, parts: list[bytes]) -> list[bytes]:
        try:
            fields = msgpack.unpackb(parts[0][4:], strict_map_key=False)
            return [parts[0][:4] + msgpack.packb(self._changed(fields)), *parts[1:]]
        except (ValueError, TypeError, OverflowError, RecursionError):
            return parts

    def _changed(self, value: Any) -> Any:
        """The same tree with one place of it made wrong."""
        if isinstance(value, dict) and value:
            key = self._rng.choice(list(value))
            way = self._rng.randrange(6)
            if way == 0:
                return {k: v for k, v in value.items() if k != key}
            if way == 1:
                return {**value, self._rng.choice(("extra", str(key).swapcase(), "")): value[key]}
            return {**value, key: self._changed(value[key])}
        if isinstance(value, list) and value and self._rng.random() < 0.7:
            index = self._rng.randrange(len(value))
            return [*value[:index], self._changed(value[index]), *value[index + 1 :]]
        return self._rng.choice(NASTY)


def score_inline() -> Score:
    return Score(images=TensorWriter().add(pictures([7])))


def check_decoder(count: int) -> int:
    """How many of so many messages are well-formed; all others are refused in our own words."""
    mutator, good = Mutator(1), 0
    for _ in range(count):
        try:
            decode(mutator.message())
        except ProtocolError:
            continue
        good += 1
    return good


def _serve(endpoint: str) -> None:
    Server(MeanRole(), endpoint).run()


@contextmanager
def served(endpoint: str) -> Iterator[psutil.Process]:
    """A service in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(endpoint,))
    process.start()
    try:
        yield psutil.Process(process.pid)
        assert process.is_alive()
    finally:
        process.kill()
        process.join()


def check_service(endpoint: str, count: int) -> None:
    mutator = Mutator(2)
    with (
        served(endpoint) as process,
        Client("honest", PATIENT) as client,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as attacker,
    ):
        honest = connect(client, endpoint, "discriminator")
        attacker.setsockopt(zmq.LINGER, 0)
        attacker.connect(endpoint)
        sizes, sent, answered = [], 0, 0
        while sent < count:
            attacker.send_multipart(encode(Hello(1, 1, "discriminator", "attacker")))
            for _ in range(BURST):
                attacker.send_multipart(mutator.message())
            sent += BURST
            assert scores(client, ask(client, honest, [7, 8], ttl_s=120)) == [7, 8]
            while attacker.poll(0):
                decode(attacker.recv_multipart())
                answered += 1
            sizes.append(process.memory_info().rss)
        while answered <= count // 4:  # some are still on their way
            assert attacker.poll(120_000)
            decode(attacker.recv_multipart())
            answered += 1
        warm = sizes[len(sizes) // 10]
        assert max(sizes) - warm < GROWTH_BYTES
        assert honest.session.strays == 0


def test_no_message_breaks_the_decoder() -> None:
    assert 0 < check_decoder(5_000) < 2_500


def test_no_message_breaks_a_service(tmp_path: Path) -> None:
    check_service(f"ipc://{tmp_path}/fuzzed.sock", 5_000)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_messages_do_not_break_a_service(tmp_path: Path) -> None:
    check_service(f"ipc://{tmp_path}/fuzzed.sock", 1_000_000)
