"""The wire itself, byte by byte: golden.json may only change with the version of the protocol.

`fields` is the header's map, with bytes written as {"$hex": ...}; `frames` are hex.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol.errors import BY_CODE, ProtocolError
from protocol.frames import decode, encode
from protocol.messages import BY_KIND, Method, Result
from protocol.tensors import TensorRef

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
SPECIFICATION = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()


def by_name(section: str) -> Any:
    return pytest.mark.parametrize("vector", GOLDEN[section], ids=lambda vector: vector["name"])


def unhex(value: Any) -> Any:
    if isinstance(value, dict):
        if "$hex" in value:
            return bytes.fromhex(value["$hex"])
        return {key: unhex(inner) for key, inner in value.items()}
    return [unhex(inner) for inner in value] if isinstance(value, list) else value


def frames_of(vector: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(frame) for frame in vector["frames"]]


def message_of(vector: dict[str, Any]) -> Any:
    cls = BY_KIND[vector["kind"]]
    return msgspec.convert(unhex(vector["fields"]), cls, builtin_types=(bytes,))


@by_name("messages")
def test_messages_have_these_bytes(vector: dict[str, Any]) -> None:
    frames, message = frames_of(vector), message_of(vector)
    assert encode(message, [memoryview(frame) for frame in frames[1:]]) == frames
    found, tensors = decode(frames)
    assert found == message
    assert [bytes(tensor) for tensor in tensors] == frames[1:]


@by_name("accepted")
def test_other_ways_to_say_the_same_are_understood(vector: dict[str, Any]) -> None:
    assert decode(frames_of(vector))[0] == message_of(vector)


@by_name("refused")
def test_what_is_no_message_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(frames_of(vector))
    assert caught.value.code == vector["code"]


def test_every_kind_method_result_and_tensor_has_a_vector() -> None:
    said = json.dumps(GOLDEN["messages"])
    assert {vector["kind"] for vector in GOLDEN["messages"]} == set(BY_KIND)
    for union, field in ((Method, "method"), (Result, "result"), (TensorRef, "at")):
        for cls in union.__args__:
            assert f'"{field}": "{cls.__struct_config__.tag}"' in said


def test_the_specification_names_everything() -> None:
    for cls in (*BY_KIND.values(), *Method.__args__, *Result.__args__, *TensorRef.__args__):
        for field in cls.__struct_fields__:
            assert f"`{field}`" in SPECIFICATION, (cls, field)
    for code in BY_CODE:
        assert f"`{code}`" in SPECIFICATION, code
