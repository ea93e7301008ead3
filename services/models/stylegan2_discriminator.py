"""StyleGAN2's residual discriminator: pictures to realness logits.

Promises: with the default `group_size=1` each picture is its own group for the minibatch standard
deviation, so its score does not depend on its batch-mates; training passes 4. Tensors are named
as in NVIDIA's released networks. Not here: class conditions, fp16 blocks.

Source: Karras et al. 2020, section 4 (residual discriminator); Karras et al. 2018, section 3
(minibatch standard deviation).
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from services.models.stylegan2 import check_resolution
from services.models.stylegan2_layers import Convolution, Dense, resample_kernel

SQRT_HALF = math.sqrt(0.5)


@dataclass(frozen=True, slots=True)
class DiscriminatorConfig:
    """The shape of a discriminator: min(channel_base // r, channel_max) channels at r."""

    resolution: int = 1024
    channel_base: int = 32768
    channel_max: int = 512

    def __post_init__(self) -> None:
        """Raise ValueError for a resolution that is no power of two from 8 up."""
        check_resolution(self.resolution)

    def channels(self, resolution: int) -> int:
        """Feature channels at `resolution`."""
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def resolutions(self) -> list[int]:
        """The picture's, half of it, ... down to 8."""
        return [2**power for power in range(self.resolution.bit_length() - 1, 2, -1)]


class DiscriminatorBlock(nn.Module):
    """Two convolutions that halve the resolution, beside a halving skip."""

    resample_filter: Tensor

    def __init__(self, config: DiscriminatorConfig, resolution: int) -> None:
        """The first block (at the picture's resolution) also reads the picture."""
        super().__init__()
        channels, outputs = config.channels(resolution), config.channels(resolution // 2)
        self._first = resolution == config.resolution
        if self._first:
            self.fromrgb = Convolution(3, channels, 1)
        self.conv0 = Convolution(channels, channels, 3)
        self.conv1 = Convolution(channels, outputs, 3, down=True)
        self.skip = Convolution(channels, outputs, 1, down=True, bias=False)
        self.register_buffer("resample_filter", resample_kernel())

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, r, r), or the picture for the first block -> (n, c', r / 2, r / 2)."""
        if self._first:
            x = self.fromrgb(x)
        skipped = self.skip(x, SQRT_HALF)
        return cast("Tensor", skipped + self.conv1(self.conv0(x), SQRT_HALF))


def with_minibatch_std(x: Tensor, group_size: int) -> Tensor:
    """Append one channel: the mean over features of the standard deviation in groups of rows.

    Groups are strided as in the reference: row i is in group i % (n / group_size).

    Args:
        x: (n, c, h, w).
        group_size: rows in a group; n must be a multiple of it.
    """
    n, c, h, w = x.shape
    if n % group_size:
        raise ValueError(f"batch must be a multiple of group_size {group_size}, got {n} rows")
    groups = x.reshape(group_size, -1, c, h, w)
    variance = (groups - groups.mean(dim=0)).square().mean(dim=0)
    level = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))
    channel = level.reshape(-1, 1, 1, 1).repeat(group_size, 1, h, w)
    return torch.cat([x, channel], dim=1)


class Epilogue(nn.Module):
    """From 4x4 features to one logit."""

    def __init__(self, channels: int) -> None:
        """`channels` at resolution 4."""
        super().__init__()
        self.conv = Convolution(channels + 1, channels, 3)
        self.fc = Dense(channels * 16, channels, activate=True)
        self.out = Dense(channels, 1)

    def forward(self, x: Tensor, group_size: int) -> Tensor:
        """(n, c, 4, 4) -> (n,)."""
        features = self.conv(with_minibatch_std(x, group_size))
        return cast("Tensor", self.out(self.fc(features.flatten(1))).squeeze(1))


class Discriminator(nn.Module):
    """The whole discriminator."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        """Fresh weights, as at the start of training."""
        super().__init__()
        self.config = config
        for resolution in config.resolutions:
            self.add_module(f"b{resolution}", DiscriminatorBlock(config, resolution))
        self.b4 = Epilogue(config.channels(4))

    def forward(self, images: Tensor, group_size: int = 1) -> Tensor:
        """(n, 3, r, r) float32, about -1 to 1 -> (n,) float32 logits; larger is more real."""
        x = images
        for resolution in self.config.resolutions:
            x = self.get_submodule(f"b{resolution}")(x)
        return cast("Tensor", self.b4(x, group_size))
