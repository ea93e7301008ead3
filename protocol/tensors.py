"""Arrays inside messages: named by a reference, checked before memory is touched.

A tensor travels `inline` (small, inside the header), as a `frame` of its own behind it, or stays in
a `slot` of its producer's pool (`protocol/slots.py`). The reference says dtype, shape and where;
`decode` has compared these with the bytes that really came before anyone builds an array.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from protocol.errors import ProtocolError

Array = npt.NDArray[Any]
DType = Literal["uint8", "int64", "float32"]
ITEM_BYTES: dict[str, int] = {"uint8": 1, "int64": 8, "float32": 4}
MAX_RANK = 8
MAX_ITEMS = 1 << 60  # also of an empty tensor's other sides, which numpy multiplies all the same
INLINE_BYTES = 1024  # below this a frame of its own costs more than the copy (one ZMTP part)


class Inline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="inline", tag_field="at"):
    """A tensor whose bytes are in the header: C order, little endian."""

    dtype: DType
    shape: tuple[int, ...]
    data: bytes


class Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="frame", tag_field="at"):
    """A tensor whose bytes are frame number `index` behind the header, counted from 0."""

    dtype: DType
    shape: tuple[int, ...]
    index: int


PoolName = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="slot", tag_field="at"):
    """A tensor whose bytes lie in slot number `slot` of a producer's pool.

    `count` is the slot's reuse count: with another one in the pool, these bytes are gone. `shared`
    is false where the tmpfs had no room for them, so that they have to be fetched.
    """

    dtype: DType
    shape: tuple[int, ...]
    pool: PoolName
    slot: Annotated[int, msgspec.Meta(ge=0, lt=256)]
    count: Annotated[int, msgspec.Meta(ge=1, le=2**62)]
    shared: bool = True


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pool as its owner announces it; who finds `token` in the file of that name can read it."""

    name: PoolName
    token: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


TensorRef = Inline | Frame | Slot


def size_bytes(ref: TensorRef) -> int:
    """The bytes of a tensor, by its shape and dtype."""
    return math.prod(ref.shape) * ITEM_BYTES[ref.dtype]


def is_inline(array: Array) -> bool:
    """Whether `array` is small enough to travel in the header."""
    return array.nbytes <= INLINE_BYTES


class TensorWriter:
    """Collects the frames of one message while its references are made."""

    def __init__(self) -> None:
        self.frames: list[memoryview] = []

    def add(self, array: Array) -> TensorRef:
        """A reference to `array` (uint8, int64 or float32, any shape of rank <= 8).

        The array must not change until the message is sent: large ones are not copied.

        Raises:
            TypeError: a dtype outside the closed list, which is a fault in the caller.
        """
        dtype = array.dtype.name
        if dtype not in ITEM_BYTES:
            raise TypeError(f"a tensor on the wire is one of {sorted(ITEM_BYTES)}, not {dtype}")
        flat = np.ascontiguousarray(array)
        if is_inline(flat):
            return Inline(dtype, array.shape, flat.tobytes())  # type: ignore[arg-type] # checked above
        self.frames.append(flat.reshape(-1).view(np.uint8).data)
        return Frame(dtype, array.shape, len(self.frames) - 1)  # type: ignore[arg-type] # the same


def check_tensors(refs: Sequence[TensorRef], frame_bytes: Sequence[int]) -> None:
    """Compare what references promise with what came.

    Args:
        refs: every reference of one message.
        frame_bytes: the size of each frame behind the header.

    Raises:
        ProtocolError: a rank over 8, a negative or absurd size, a byte count that shape and dtype
            do not give, or frames that are not referred to exactly once.
    """
    used: list[int] = []
    for ref in refs:
        if len(ref.shape) > MAX_RANK or any(side < 0 for side in ref.shape):
            raise ProtocolError(f"a tensor's shape must have at most {MAX_RANK} sides >= 0")
        if math.prod(side or 1 for side in ref.shape) > MAX_ITEMS:
            raise ProtocolError(f"a tensor's shape {list(ref.shape)} is larger than any can be")
        if isinstance(ref, Slot):
            continue  # the reader compares it with the pool
        if isinstance(ref, Frame):
            if not 0 <= ref.index < len(frame_bytes):
                raise ProtocolError(
                    f"a tensor names frame {ref.index} of a message with {len(frame_bytes)}"
                )
            used.append(ref.index)
            found = frame_bytes[ref.index]
        else:
            found = len(ref.data)
        wanted = size_bytes(ref)
        if wanted != found:
            raise ProtocolError(
                f"a {ref.dtype} tensor of shape {list(ref.shape)} needs {wanted} bytes, "
                f"but {found} came"
            )
    if sorted(used) != list(range(len(frame_bytes))):
        raise ProtocolError(
            f"each of the {len(frame_bytes)} frames must be referred to exactly once"
        )


def read_tensor(ref: Inline | Frame, frames: Sequence[memoryview]) -> Array:
    """The array behind a checked reference, as a read-only view wherever possible."""
    data = ref.data if isinstance(ref, Inline) else frames[ref.index]
    array = np.frombuffer(data, dtype=np.dtype(ref.dtype).newbyteorder("<")).reshape(ref.shape)
    array.flags.writeable = False
    return array
