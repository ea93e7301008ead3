"""Whatever bytes come, decoding gives one checked message or a ProtocolError."""

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ProtocolError, VersionError
from protocol.frames import MAX_FRAMES, MAX_HEADER_BYTES, decode, encode
from protocol.messages import BY_KIND, Message, Ping, Request, Score, tensor_refs
from protocol.tensors import Frame, Inline, Slot, TensorWriter, read_tensor
from tests.protocol.strategies import messages_with_frames


@given(messages_with_frames())
def test_every_message_survives_the_wire(
    message_and_frames: tuple[Message, list[memoryview]],
) -> None:
    message, frames = message_and_frames
    found, tensors = decode([bytes(part) for part in encode(message, frames)])
    assert found == message
    assert [bytes(t) for t in tensors] == [bytes(f) for f in frames]


@given(st.lists(st.binary(max_size=200), max_size=12))
def test_random_bytes_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        decode(frames)


@given(messages_with_frames(), st.data())
def test_damaged_messages_are_refused_or_well_formed(
    message_and_frames: tuple[Message, list[memoryview]], data: st.DataObject
) -> None:
    parts = [bytearray(part) for part in encode(*message_and_frames)]
    victim = data.draw(st.integers(0, len(parts) - 1))
    for _ in range(data.draw(st.integers(1, 3))):
        if parts[victim]:
            place = data.draw(st.integers(0, len(parts[victim]) - 1))
            parts[victim][place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        parts[victim] = parts[victim][: data.draw(st.integers(0, len(parts[victim])))]
    try:
        message, tensors = decode([bytes(part) for part in parts])
    except ProtocolError:
        return
    for ref in tensor_refs(message):
        if not isinstance(ref, Slot):
            assert read_tensor(ref, tensors).nbytes >= 0


@given(st.sampled_from(sorted(BY_KIND)), st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=9)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_well_packed_nonsense_is_refused_or_valid(kind: int, fields: object) -> None:
    try:
        message, _ = decode([b"GH\x01" + bytes([kind]) + msgpack.packb(fields)])
    except ProtocolError:
        return
    assert type(message) is BY_KIND[kind]


def test_a_newer_version_is_named() -> None:
    first = bytearray(encode(Ping(nonce=1))[0])
    first[2] = 9
    with pytest.raises(VersionError, match="version 9"):
        decode([bytes(first)])


@pytest.mark.parametrize(
    "header",
    [
        msgpack.packb({"nonce": 1, "extra": 2}),
        msgpack.packb({"nonce": "1"}),
        msgpack.packb({"nonce": 1.5}),
        msgpack.packb({"nonce": -1}),
        msgpack.packb({}),
        msgpack.packb([1]),
        msgpack.packb({"nonce": msgpack.ExtType(5, b"x")}),
        msgpack.packb({"nonce": msgpack.Timestamp(1)}),
        msgpack.packb({"nonce": 1}) + b"\x00",
        b"\x91" * 16_000,
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_wrong_headers_are_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode([b"GH\x01\x06" + header])


def test_a_text_is_never_taken_for_bytes() -> None:
    fields = {"id": "A" * 24, "ttl_s": 1.0, "call": {"method": "describe"}}
    with pytest.raises(ProtocolError):
        decode([b"GH\x01\x03" + msgpack.packb(fields)])


def test_limits_hold_before_decoding() -> None:
    with pytest.raises(ProtocolError, match="header"):
        decode([b"GH\x01\x06" + b"\xc1" * (MAX_HEADER_BYTES + 1)])
    with pytest.raises(ProtocolError, match="frames"):
        decode([encode(Ping(nonce=1))[0], *[b""] * (MAX_FRAMES + 1)])


def _request(ref: Inline | Frame) -> Request:
    return Request(id=b"i" * 16, ttl_s=1.0, call=Score(images=ref))


@pytest.mark.parametrize(
    ("ref", "frames"),
    [
        (Frame("uint8", (4,), 0), []),
        (Frame("uint8", (4,), 1), [b"1234"]),
        (Frame("uint8", (5,), 0), [b"1234"]),
        (Frame("float32", (4,), 0), [b"1234"]),
        (Frame("uint8", (-2, -2), 0), [b"1234"]),
        (Frame("uint8", (1,) * 9, 0), [b"1"]),
        (Frame("uint8", (2**40, 2**40), 0), [b"1234"]),
        (Frame("uint8", (4,), 0), [b"1234", b"5678"]),
        (Inline("uint8", (0, 2**63), b""), []),
        (Inline("uint8", (0, *(2**31,) * 7), b""), []),
        (Inline("uint8", (3,), b"1234"), []),
    ],
)
def test_tensors_that_lie_are_refused(ref: Inline | Frame, frames: list[bytes]) -> None:
    first = encode(_request(ref))[0]
    with pytest.raises(ProtocolError):
        decode([first, *frames])


def test_large_tensors_are_frames_and_views() -> None:
    writer = TensorWriter()
    array = np.arange(4096, dtype=np.float32).reshape(64, 64)
    ref = writer.add(array)
    assert isinstance(ref, Frame)
    assert np.shares_memory(np.frombuffer(writer.frames[0], np.float32), array)
    found = read_tensor(ref, writer.frames)
    np.testing.assert_array_equal(found, array)
    assert not found.flags.writeable


def test_transposed_tensors_travel_in_c_order() -> None:
    writer = TensorWriter()
    array = np.arange(6, dtype=np.int64).reshape(2, 3).T
    found = read_tensor(writer.add(array), writer.frames)
    np.testing.assert_array_equal(found, array)


def test_only_listed_dtypes_travel() -> None:
    with pytest.raises(TypeError, match="float64"):
        TensorWriter().add(np.zeros(3))
