"""The C library's memory: what one batch took is kept for the next.

glibc gives every tensor of more than a few megabytes back to the kernel when it is freed, and the
next one of that size is cleared page by page: at 256x256 that is a fifth to a third of the time of
a StyleGAN2. A service computes batches of one size for hours, so it keeps what the largest took.
Results do not change by it.
"""

import contextlib
import ctypes
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_MAX: Final = -4
M_ARENA_MAX: Final = -8  # of malloc.h; a second arena would use mmap whatever was told


def keep_memory() -> None:
    """Never give memory back; nothing happens where the C library is not glibc."""
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def give_back() -> None:
    """Give what is kept, and in use by nobody, back to the kernel once."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
