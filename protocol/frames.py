"""Messages to frames and back: the only place where bytes from a peer become values.

A message is `[ "GH" version kind | msgpack map, at most 16 KiB ] [ raw tensor frame ]*`. Sizes are
checked before decoding, types before acting; a map with a repeated key takes the last one, as
msgpack does. Ext types and timestamps are refused.
"""

from collections.abc import Sequence
from typing import NoReturn, TypeVar

import msgpack
import msgspec

from protocol.errors import ProtocolError, VersionError
from protocol.messages import BY_KIND, PROTOCOL_VERSION, Message, tensor_refs
from protocol.tensors import check_tensors

MAGIC = b"GH"
PREFIX_BYTES = 4
MAX_HEADER_BYTES = 16 * 1024
MAX_FRAMES = 8
MAX_MESSAGE_BYTES = 256 * 1024 * 1024

Buffer = bytes | memoryview
MessageT = TypeVar("MessageT", bound=Message)


def _refuse_ext(code: int, _data: bytes) -> NoReturn:
    raise ValueError(f"msgpack ext type {code} is not part of the protocol")


def encode(message: Message, frames: Sequence[memoryview] = ()) -> list[Buffer]:
    """The frames to send.

    Args:
        message: any message of the protocol.
        frames: what a `TensorWriter` collected for it.

    Raises:
        ProtocolError: the header, the number of frames or the whole message is over its limit.
    """
    fields = msgspec.to_builtins(message, builtin_types=(bytes,))
    header = msgpack.packb(fields)
    check_sizes(PREFIX_BYTES + len(header), [frame.nbytes for frame in frames])
    return [MAGIC + bytes((PROTOCOL_VERSION, message.kind)) + header, *frames]


def check_sizes(first_bytes: int, frame_bytes: Sequence[int]) -> None:
    """Refuse a message that is too large, before looking into it.

    Raises:
        ProtocolError: over 16 KiB of header, 8 frames or 256 MiB in all.
    """
    if first_bytes - PREFIX_BYTES > MAX_HEADER_BYTES:
        raise ProtocolError(
            f"a header is at most {MAX_HEADER_BYTES} bytes, but this one has "
            f"{first_bytes - PREFIX_BYTES}; send fewer or shorter texts"
        )
    if len(frame_bytes) > MAX_FRAMES:
        raise ProtocolError(f"a message has at most {MAX_FRAMES} frames, not {len(frame_bytes)}")
    total = first_bytes + sum(frame_bytes)
    if total > MAX_MESSAGE_BYTES:
        raise ProtocolError(
            f"a message is at most {MAX_MESSAGE_BYTES} bytes, but this one has {total}; "
            "send fewer rows"
        )


def _kind(prefix: bytes) -> type[Message]:
    if len(prefix) < PREFIX_BYTES or prefix[:2] != MAGIC:
        raise ProtocolError("these bytes are not a Glasshouse message")
    if prefix[2] != PROTOCOL_VERSION:
        raise VersionError(
            f"this side speaks protocol version {PROTOCOL_VERSION}, the message is of "
            f"version {prefix[2]}; run the same Glasshouse on both sides"
        )
    if prefix[3] not in BY_KIND:
        raise ProtocolError(f"there is no message kind {prefix[3]}")
    return BY_KIND[prefix[3]]


def decode(frames: Sequence[Buffer]) -> tuple[Message, list[memoryview]]:
    """The message in these frames, and its tensor frames, all checked against each other.

    Raises:
        ProtocolError: anything else than one well-formed message within the limits.
        VersionError: a message of another protocol version.
    """
    if not frames:
        raise ProtocolError("an empty message")
    first, rest = memoryview(frames[0]), [memoryview(frame) for frame in frames[1:]]
    check_sizes(first.nbytes, [frame.nbytes for frame in rest])
    cls = _kind(bytes(first[:PREFIX_BYTES]))
    try:
        fields = msgpack.unpackb(first[PREFIX_BYTES:], ext_hook=_refuse_ext)
        message = msgspec.convert(fields, cls, builtin_types=(bytes,))
    except (ValueError, msgspec.ValidationError) as error:  # what msgpack and msgspec raise
        why = str(error) or type(error).__name__  # msgpack says nothing of nesting too deep
        raise ProtocolError(f"a malformed {cls.__name__}: {why}") from error
    check_tensors(tensor_refs(message), [frame.nbytes for frame in rest])
    return message, rest
