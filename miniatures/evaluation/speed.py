"""How long a row takes: milliseconds per row in full batches, the best of several."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from miniatures.discriminator_training import load_generator
from services.models.clip import load_clip

ROWS: Final = 32
REPEATS: Final = 10


def clip_speed(path: Path) -> dict[str, float]:
    """Of a CLIP's pictures."""
    clip = load_clip(path)
    side = clip.image_size
    pictures = torch.zeros(ROWS, side, side, 3, dtype=torch.uint8)
    return {_figure(): milliseconds(lambda: clip.embed_images(pictures))}


def generator_speed(path: Path) -> dict[str, float]:
    """Of a StyleGAN2's z."""
    generator = load_generator(path)
    z = torch.zeros(ROWS, generator.config.z_dim)
    return {_figure(): milliseconds(lambda: generator(z))}


@torch.inference_mode()
def milliseconds(batch: Callable[[], object]) -> float:
    """Per row of ROWS: the quickest of REPEATS batches after the first, since others only slow."""
    batch()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        batch()
        times.append(time.perf_counter() - start)
    return min(times) * 1000 / ROWS


def _figure() -> str:
    return f"ms per row, batches of {ROWS}, {torch.get_num_threads()} threads"
