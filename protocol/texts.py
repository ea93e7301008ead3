"""Texts as rows of bytes: UTF-8 in a (rows, 1024) uint8 tensor, filled up with zeros.

So any number of them travels like pictures do, outside the header and its 16 KiB.
"""

from collections.abc import Sequence

import numpy as np

from protocol.errors import ProtocolError
from protocol.tensors import Array

TEXT_BYTES = 1024


def pack_texts(texts: Sequence[str]) -> Array:
    """(len(texts), 1024) uint8; longer texts are cut between characters, zeros left out."""
    packed = np.zeros((len(texts), TEXT_BYTES), np.uint8)
    for row, text in zip(packed, texts, strict=True):
        content = text.replace("\0", "").encode(errors="replace")[:TEXT_BYTES]
        content = content.decode(errors="ignore").encode()
        row[: len(content)] = np.frombuffer(content, np.uint8)
    return packed


def unpack_texts(packed: Array) -> list[str]:
    """The texts; what is no UTF-8 becomes the replacement character.

    Raises:
        ProtocolError: another shape or dtype.
    """
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != TEXT_BYTES:
        raise ProtocolError(
            f"wanted texts as (rows, {TEXT_BYTES}) uint8, got {packed.shape} {packed.dtype}"
        )
    return [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in packed]
