"""Checks of pictures that come over the wire."""

import numpy as np

from protocol.errors import BadRequestError
from protocol.tensors import Array


def check_images(images: Array, height: int, width: int) -> Array:
    """`images`, if they are (rows, height, width, 3) uint8.

    Raises:
        BadRequestError: another shape or dtype.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, 3):
        raise BadRequestError(
            f"wanted images of shape (rows, {height}, {width}, 3) uint8, "
            f"got {images.shape} {images.dtype}"
        )
    return images


def check_any_size(images: Array) -> Array:
    """`images`, if they are (rows, height, width, 3) uint8 of one pixel at least.

    Raises:
        BadRequestError: another shape or dtype.
    """
    if images.ndim != 4 or not images.shape[1] * images.shape[2]:
        raise BadRequestError(f"wanted pictures of some size, got shape {images.shape}")
    return check_images(images, *images.shape[1:3])
