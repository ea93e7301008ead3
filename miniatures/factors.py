"""From z to the factors of a scene, and from factors to numbers.

The bundled generators are built so that one knows what each z shows. The normalised z is projected
on fixed random orthonormal directions, one per factor of the domain. A category takes the value
into whose share of the normal distribution the projection falls, so that all values are equally
likely for z ~ N(0, 1); a smooth factor is twice the distribution function, less one. What is left
of z changes nothing. As `features` a scene is its one-hot categories followed by the smooth
factors.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from miniatures.domains import Domain
from miniatures.world import Scene
from services.models.stylegan2 import normalised

DIRECTIONS_SEED: Final = 20


@dataclass(frozen=True)
class Cut:
    """The factors of n scenes of a domain."""

    domain: Domain
    choices: Tensor
    """(n, categories) int64: index of each category's value, in the domain's order."""
    smooth: Tensor
    """(n, smooth) float32, -1 to 1."""


def directions(z_dim: int, domain: Domain) -> Tensor:
    """(z_dim, factors) float32 orthonormal columns, always the same for a z_dim.

    Raises:
        ValueError: z_dim is smaller than the number of factors.
    """
    count = len(domain.categories) + len(domain.smooth)
    if z_dim < count:
        raise ValueError(f"z_dim must be at least {count}, got {z_dim}")
    seeded = torch.Generator().manual_seed(DIRECTIONS_SEED)
    square = torch.randn(z_dim, z_dim, generator=seeded, dtype=torch.float64)
    columns: Tensor = torch.linalg.qr(square)[0]
    return columns[:, :count].to(torch.float32)


def thresholds(values: int) -> list[float]:
    """Where a projection changes from one of so many values to the next: normal quantiles."""
    shares = torch.arange(1, values, dtype=torch.float64) / values
    return [float(quantile) for quantile in torch.special.ndtri(shares)]


def cut(z: Tensor, domain: Domain) -> Cut:
    """(n, z_dim) -> factors."""
    projected = (normalised(z) @ directions(z.shape[1], domain).to(z.device)).T.contiguous()
    choices = [
        torch.bucketize(row, row.new_tensor(thresholds(len(values))))
        for row, values in zip(projected, domain.categories.values(), strict=False)
    ]
    smooth = torch.erf(projected[len(domain.categories) :] / 2**0.5)
    return Cut(domain, torch.stack(choices, dim=1), smooth.T.contiguous())


def features_of(factors: Cut) -> Tensor:
    """Factors -> (n, domain.size) float32: one-hot categories, then the smooth factors."""
    parts = [
        torch.nn.functional.one_hot(factors.choices[:, index], len(values)).to(torch.float32)
        for index, values in enumerate(factors.domain.categories.values())
    ]
    return torch.cat([*parts, factors.smooth], dim=1)


def scenes_of(factors: Cut) -> list[Scene]:
    """The scenes that the factors name."""
    rows = zip(factors.choices.tolist(), factors.smooth.tolist(), strict=True)
    return [factors.domain.scene(choices, smooth) for choices, smooth in rows]
