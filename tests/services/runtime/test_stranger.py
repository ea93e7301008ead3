"""A client written from docs/wire.md alone, with nothing of ours but the service it speaks to.

It stands for clients in other languages: what it needs and the page does not say is a fault of the
page. So it imports neither `protocol` nor the client.
"""

import math
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from tests.services.runtime.conftest import Serve
from tests.services.runtime.roles import DrawRole, MeanRole

HELLO, WELCOME, REQUEST, REPLY, ERROR, PING, PONG, CANCEL, BYE, RELEASE = range(1, 11)
Fields = dict[str, Any]


class Stranger:
    """Speaks version 1."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, 120_000)
        self._socket.connect(endpoint)
        self.frames: list[bytes] = []

    def close(self) -> None:
        self._socket.close()

    def send(self, kind: int, fields: Fields, *frames: bytes) -> None:
        first = b"GH" + bytes((1, kind)) + msgpack.packb(fields, use_bin_type=True)
        self._socket.send_multipart([first, *frames])

    def receive(self, wanted: int) -> Fields:
        first, *self.frames = self._socket.recv_multipart()
        assert first[:3] == b"GH\x01"
        fields: Fields = msgpack.unpackb(first[4:], raw=False)
        assert first[3] == wanted, fields
        return fields

    def greet(self, role: str) -> Fields:
        hello = {"lowest_version": 1, "highest_version": 1, "role": role, "client": "stranger"}
        self.send(HELLO, hello)
        return self.receive(WELCOME)

    def ask(self, call: Fields, *frames: bytes, **options: Any) -> bytes:
        request_id = os.urandom(16)
        self.send(REQUEST, {"id": request_id, "ttl_s": 20.0, "call": call, **options}, *frames)
        return request_id

    def answer(self, call: Fields, *frames: bytes, **options: Any) -> Fields:
        request_id = self.ask(call, *frames, **options)
        reply = self.receive(REPLY)
        assert reply["id"] == request_id
        result: Fields = reply["result"]
        return result

    def content(self, tensor: Fields) -> bytes:
        """The bytes of a tensor, wherever it is."""
        size = math.prod(tensor["shape"]) * {"uint8": 1, "int64": 8, "float32": 4}[tensor["dtype"]]
        if tensor["at"] == "inline":
            found: bytes = tensor["data"]
        elif tensor["at"] == "frame":
            found = self.frames[tensor["index"]]
        else:
            found = slot_content(tensor, size)
        assert len(found) == size
        return found


def slot_content(tensor: Fields, size: int) -> bytes:
    folder = Path(os.environ.get("GLASSHOUSE_SHM") or "/dev/shm")
    assert tensor["shared"]
    with (folder / f"glasshouse-{os.getuid()}-{tensor['pool']}").open("rb") as file:
        pool = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    magic, _token, slots, _zero, slot_bytes = struct.unpack_from("<8s16sIIQ", pool)
    assert magic == b"GHSLOTS1"
    assert tensor["slot"] < slots
    count, in_file = struct.unpack_from("<QQ", pool, 40 + 16 * tensor["slot"])
    assert count == tensor["count"], "the slot is lost"
    assert size <= in_file <= slot_bytes
    start = 4096 + tensor["slot"] * slot_bytes
    found = pool[start : start + size]
    assert struct.unpack_from("<Q", pool, 40 + 16 * tensor["slot"])[0] == count
    return found


def floats(*numbers: float) -> Fields:
    data = struct.pack(f"<{len(numbers)}f", *numbers)
    return {"at": "inline", "dtype": "float32", "shape": [1, len(numbers)], "data": data}


@pytest.fixture
def meet() -> Iterator[Callable[[str], Stranger]]:
    met: list[Stranger] = []

    def start(endpoint: str) -> Stranger:
        met.append(Stranger(context, endpoint))
        return met[-1]

    with zmq.Context() as context:
        yield start
        for stranger in met:
            stranger.close()


def test_a_conversation_with_a_discriminator(serve: Serve, meet: Callable[[str], Stranger]) -> None:
    server = serve(MeanRole())
    stranger = meet(server.endpoint)
    stranger.send(PING, {"nonce": 5})
    assert stranger.receive(PONG)["nonce"] == 5
    stranger.ask({"method": "describe"})
    assert stranger.receive(ERROR)["code"] == "lost"
    welcome = stranger.greet("discriminator")
    info = welcome["info"]
    assert (info["model"], info["about"]["role"]) == ("mean", "discriminator")
    assert stranger.answer({"method": "describe"}) == {"result": "description", "info": info}
    side = info["about"]["height"]
    images = {"at": "frame", "dtype": "uint8", "shape": [2, side, side, 3], "index": 0}
    pixels = bytes([9] * 12 + [4] * 12)
    scores = stranger.answer({"method": "score", "images": images}, pixels)
    assert struct.unpack("<2f", stranger.content(scores["logits"])) == (9.0, 4.0)
    lost = {"at": "slot", "dtype": "uint8", "shape": [2, side, side, 3],
            "pool": "0" * 16, "slot": 0, "count": 1}  # fmt: skip
    stranger.ask({"method": "score", "images": lost})
    error = stranger.receive(ERROR)
    assert (error["code"], error["retryable"]) == ("slot_lost", True)
    stranger.send(REQUEST, {"id": bytes(3), "ttl_s": 1.0, "call": {"method": "describe"}})
    assert stranger.receive(ERROR)["code"] == "protocol"
    stranger.send(CANCEL, {"id": bytes(16)})
    stranger.send(PING, {"nonce": 6})
    pong = stranger.receive(PONG)
    assert (pong["incarnation"], pong["held"]) == (welcome["incarnation"], 0)
    server.drain("time to go")
    assert stranger.receive(BYE) == {"reason": "time to go"}


@pytest.mark.usefixtures("shm_folder")
def test_a_conversation_with_a_generator(serve: Serve, meet: Callable[[str], Stranger]) -> None:
    stranger = meet(serve(DrawRole()).endpoint)
    space = stranger.greet("generator")["info"]["about"]["spaces"][0]
    assert (space["name"], [one["size"] for one in space["segments"]]) == ("z", [3])
    call = {"method": "generate", "space": "z", "genomes": floats(1.0, 2.0, 3.0)}
    in_frame = stranger.answer(call)
    assert in_frame["clip_images"] is None
    wanted = bytes([1, 2, 3]) * 32 * 32
    assert stranger.content(in_frame["images"]) == wanted
    request_id = stranger.ask({**call, "clip_size": 16}, slots=True)
    result = stranger.receive(REPLY)["result"]
    assert result["images"]["at"] == "slot"
    assert stranger.content(result["images"]) == wanted
    fetched = stranger.answer({"method": "fetch", "slot": result["images"]})
    assert fetched["tensor"]["at"] == "frame"
    assert stranger.content(fetched["tensor"]) == wanted
    stranger.send(RELEASE, {"id": request_id})
    stranger.ask({"method": "fetch", "slot": result["images"]})
    assert stranger.receive(ERROR)["code"] == "slot_lost"
    with pytest.raises(AssertionError, match="lost"):
        stranger.content(result["images"])
