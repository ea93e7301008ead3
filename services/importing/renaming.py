"""From another project's tensor names to NVIDIA's."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from services.importing.refusal import RefusedError


def renamed(
    found: Mapping[str, Any], names: Iterable[tuple[str, str]], derived: str
) -> dict[str, Tensor]:
    """The tensors under our names and without dimensions of size one that only they have.

    Args:
        found: theirs, by their names.
        names: theirs and ours; all must be there.
        derived: a pattern; other names that it is found in are left out.

    Raises:
        RefusedError: one is missing, no tensor, or unknown.
    """
    rest, own = set(found), {}
    for theirs, ours in names:
        tensor = found.get(theirs)
        if not isinstance(tensor, Tensor):
            raise RefusedError(f"its tensor {theirs} is missing")
        own[ours] = _squeezed(ours, tensor)
        rest.discard(theirs)
    unknown = sorted(name for name in rest if not re.search(derived, name))
    if unknown:
        raise RefusedError(f"its tensor {unknown[0]:.100} is none of StyleGAN2's")
    return own


def _squeezed(ours: str, tensor: Tensor) -> Tensor:
    """(1, out, in, k, k) -> (out, in, k, k); (1, 3, 1, 1) -> (3,); (1, 1, r, r) -> (r, r); ..."""
    if ours.endswith("noise_strength") and tensor.numel() == 1:
        return tensor.reshape(())
    if ours.endswith("bias"):
        return tensor.flatten()
    if ours.endswith("noise_const"):
        return tensor.reshape(tensor.shape[-2:]) if tensor.numel() == _last_two(tensor) else tensor
    return tensor.squeeze(0) if tensor.ndim == 5 or ours.endswith("b4.const") else tensor


def _last_two(tensor: Tensor) -> int:
    return tensor.shape[-1] * tensor.shape[-2] if tensor.ndim > 1 else 0
