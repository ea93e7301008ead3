"""Pictures as a CLIP's own preprocessing makes them ready, before mean and deviation.

Part of what both sides agree on: whoever sends pictures to a CLIP makes them so. open_clip resizes
with Pillow, whose passes round to levels in between; an embedding equal to its own needs the same
pixels, so this is Pillow as well.
"""

from typing import Final, Literal

import numpy as np
from PIL import Image

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


def clip_view(images: Array, size: int, resizing: Resizing, out: Array | None = None) -> Array:
    """(n, height, width, 3) uint8 -> (n, size, size, 3) uint8, pixel for pixel as open_clip's.

    Written to `out` if it is given.
    """
    (height, width), (top, left) = layout(images.shape[1], images.shape[2], size, resizing)
    resample = FILTERS[filter_of(resizing)]
    views = [
        np.asarray(Image.fromarray(image).resize((width, height), resample))[
            top : top + size, left : left + size
        ]
        for image in images
    ]
    return np.stack(views, out=out)
