"""Figures of the discriminators: do they tell whole drawings from spoilt ones and from samples?"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from miniatures.discriminator_training import load_discriminator, load_generator, samples
from miniatures.evaluation.generators import domain_scenes
from miniatures.evaluation.measures import area_under_curve
from miniatures.training import pixels_of
from miniatures.world import render_all

COUNT: Final = 400
ROWS: Final = 64
NOISE: Final = 0.2
"""Standard deviation, of pixels from -1 to 1."""
PATCH: Final = 20
"""Side in pixels of what is pasted in."""


def blurred(pixels: Tensor) -> Tensor:
    """(n, 3, 64, 64) at half the resolution."""
    small = functional.avg_pool2d(pixels, 2)
    return functional.interpolate(small, size=pixels.shape[-1], mode="bilinear")


def noised(pixels: Tensor) -> Tensor:
    """(n, 3, 64, 64) with normal noise, always the same."""
    seeded = torch.Generator().manual_seed(0)
    return pixels + NOISE * torch.randn(pixels.shape, generator=seeded)


def pasted(pixels: Tensor) -> Tensor:
    """(n, 3, 64, 64), each with the middle of the one before it."""
    start = (pixels.shape[-1] - PATCH) // 2
    window = (..., slice(start, start + PATCH), slice(start, start + PATCH))
    whole = pixels.clone()
    whole[window] = pixels.roll(1, dims=0)[window]
    return whole


SPOILT: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "blurred": blurred,
    "noised": noised,
    "pasted": pasted,
}


def discriminator_figures(weights: Path, thing: str, count: int = COUNT) -> dict[str, float]:
    """Areas under the curve of drawings against each kind of false picture."""
    network = load_discriminator(weights / f"mini-{thing}-discriminator.safetensors")
    made = load_generator(weights / f"mini-{thing}.safetensors")
    drawn, others = (
        pixels_of(torch.from_numpy(render_all(domain_scenes(thing, count, seed))))
        for seed in (8, 9)
    )
    grown, more = (pixels_of(samples(made, count, seed, torch.device("cpu"))) for seed in (10, 11))
    figures = {}
    for name, whole, spare in (("drawings", drawn, others), ("samples", grown, more)):
        high = _scores(network, whole)
        for way, spoil in SPOILT.items():
            figures[f"AUC {name} / {way}"] = area_under_curve(high, _scores(network, spoil(spare)))
    between = area_under_curve(_scores(network, drawn), _scores(network, grown))
    return {**figures, "AUC drawings / samples": between}


@torch.inference_mode()
def _scores(network: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    return torch.cat([network(part) for part in torch.split(pixels, ROWS)])
