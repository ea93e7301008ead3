"""Pictures as a CLIP's own preprocessing makes them ready, before mean and deviation.

open_clip resizes with Pillow, whose passes round to levels in between; an embedding equal to its
own needs the same pixels, so this is Pillow as well. A gradient goes through the same sizes in
float.
"""

from typing import Final, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from protocol.messages import Resizing
from protocol.tensors import Array

Side = tuple[int, int]
FILTERS: Final = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def filter_of(resizing: Resizing) -> Literal["bicubic", "bilinear"]:
    """The filter; antialiased, as Pillow's are."""
    return "bilinear" if isinstance(resizing, str) and resizing.endswith("bilinear") else "bicubic"


def layout(height: int, width: int, size: int, resizing: Resizing) -> tuple[Side, Side]:
    """The size (height, width) to resize to, and the corner (top, left) of the square to keep.

    As torchvision's `Resize` and `CenterCrop` reckon.
    """
    if isinstance(resizing, str) and resizing.startswith("squash"):
        return (size, size), (0, 0)
    long = int(size * max(height, width) / min(height, width))
    inner = (long, size) if height > width else (size, long)
    return inner, (round((inner[0] - size) / 2), round((inner[1] - size) / 2))


def clip_view(images: Array, size: int, resizing: Resizing) -> Array:
    """(n, height, width, 3) uint8 -> (n, size, size, 3) uint8, pixel for pixel as open_clip's."""
    (height, width), (top, left) = layout(images.shape[1], images.shape[2], size, resizing)
    resample = FILTERS[filter_of(resizing)]
    views = [
        np.asarray(Image.fromarray(image).resize((width, height), resample))[
            top : top + size, left : left + size
        ]
        for image in images
    ]
    return np.stack(views)


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
