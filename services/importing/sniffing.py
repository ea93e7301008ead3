"""A look at the beginning of a pickle, to tell whose it may be."""

from pathlib import Path
from typing import Final

HEAD_BYTES: Final = 1 << 20
PROTO: Final = b"\x80"
NVIDIA_TENSORFLOW: Final = b"dnnlib.tflib.network"
NVIDIA_TORCH: Final = b"torch_utils.persistence"


def maker_of(path: Path) -> bytes:
    """The module of NVIDIA's that a pickle names first; source code in it may name others."""
    with path.open("rb") as file:
        start = file.read(HEAD_BYTES)
    named = [name for name in (NVIDIA_TENSORFLOW, NVIDIA_TORCH) if name in start]
    return min(named, key=start.index, default=b"") if start.startswith(PROTO) else b""
