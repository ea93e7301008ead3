"""The views of `protocol.views` in float, so that a gradient can go through them, and crops."""

import torch
from torch import Tensor
from torch.nn import functional

from protocol.messages import Resizing
from protocol.views import filter_of, layout


def differentiable_view(pictures: Tensor, size: int, resizing: Resizing) -> Tensor:
    """(n, 3, height, width) -> (n, 3, size, size) in float, within rounding of `clip_view`."""
    height, width = pictures.shape[2:]
    inner, (top, left) = layout(height, width, size, resizing)
    scaled = functional.interpolate(pictures, inner, mode=filter_of(resizing), antialias=True)
    return scaled[:, :, top : top + size, left : left + size]


def crops(levels: Tensor, corners: Tensor) -> list[Tensor]:
    """Square cut-outs of (n, size, size, 3) levels, each resized to (n, size, size, 3) float32.

    Args:
        levels: uint8 or float.
        corners: (k, 3) int64, top, left and side of each cut-out.
    """
    size = levels.shape[1]
    pictures = levels.permute(0, 3, 1, 2).to(torch.float32)
    return [
        functional.interpolate(
            pictures[:, :, top : top + side, left : left + side],
            (size, size),
            mode="bicubic",
            antialias=True,
        )
        .clamp(0, 255)
        .permute(0, 2, 3, 1)
        for top, left, side in corners.tolist()
    ]


def random_corners(count: int, size: int) -> Tensor:
    """(count, 3) int64 for `crops`: sides from three quarters of `size` up to it, seeded.

    The same for every picture, so that two pictures are compared under the same crops and the
    answer for one is always the same.
    """
    seeded = torch.Generator().manual_seed(0)
    least = max(1, size * 3 // 4)
    sides = torch.randint(least, size + 1, (count, 1), generator=seeded)
    places = (torch.rand(count, 2, generator=seeded) * (size - sides + 1)).long()
    return torch.cat([places, sides], dim=1)
