"""StyleGAN2's discriminator: pictures to realness logits.

Promises: with the default `group_size=1` each picture is its own group for the minibatch standard
deviation, so its score does not depend on its batch-mates; training passes 4. Tensors are named
as in NVIDIA's released networks. The three architectures, class conditions, float16 or bfloat16
upper blocks.

Source: Karras et al. 2020, section 4 (residual discriminator); Karras et al. 2018, section 3
(minibatch standard deviation); Miyato and Koyama 2018 (projection on the class).
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from services.models.stylegan2 import check_bars, check_resolution, check_widths, normalised
from services.models.stylegan2_layers import (
    FLOAT32,
    SQRT_HALF,
    Architecture,
    Convolution,
    Dense,
    Execution,
    halved,
    resample_kernel,
)


@dataclass(frozen=True, slots=True)
class DiscriminatorConfig:
    """The shape of a discriminator.

    Attributes:
        resolution: the side of a picture, a power of two from 8 up.
        channel_base: there are min(channel_base // r, channel_max) channels at resolution r.
        channel_max: see `channel_base`.
        c_dim: number of classes; 0 for none.
        architecture: how the picture enters the features.
        widths: channels at 4, 8, ..., in place of the rule of `channel_base`; empty for the rule.
        conv_clamp: bound on activations, as trained.
        cmap_dim: size of a class's projection; only with classes.
        mapping_layers: fully connected layers from class to projection; only with classes.
        mapping_lr_multiplier: learning-rate gain of those.
        minibatch_features: statistics of the minibatch beside the features; 0 for none.
        bar_rows: black rows above and below each picture, which a service puts there.
    """

    resolution: int = 1024
    channel_base: int = 32768
    channel_max: int = 512
    c_dim: int = 0
    architecture: Architecture = "resnet"
    widths: tuple[int, ...] = ()
    conv_clamp: float | None = None
    cmap_dim: int = 512
    mapping_layers: int = 8
    mapping_lr_multiplier: float = 0.01
    minibatch_features: int = 1
    bar_rows: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for a resolution, widths or bars that cannot be."""
        check_resolution(self.resolution)
        object.__setattr__(self, "widths", tuple(self.widths))  # a list, if it comes from JSON
        check_widths(self.widths, len(self.resolutions) + 1)
        check_bars(self.bar_rows, self.resolution)

    def channels(self, resolution: int) -> int:
        """Feature channels at `resolution`."""
        if self.widths:
            return self.widths[resolution.bit_length() - 3]
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def resolutions(self) -> list[int]:
        """The picture's, half of it, ... down to 8."""
        return [2**power for power in range(self.resolution.bit_length() - 1, 2, -1)]


class DiscriminatorBlock(nn.Module):
    """Two convolutions that halve the resolution."""

    resample_filter: Tensor

    def __init__(self, config: DiscriminatorConfig, resolution: int) -> None:
        """The first block (at the picture's resolution) also reads the picture."""
        super().__init__()
        channels, outputs = config.channels(resolution), config.channels(resolution // 2)
        clamp = config.conv_clamp
        self._architecture = config.architecture
        self._resolution, self._highest = resolution, config.resolution
        self._reads = resolution == config.resolution or config.architecture == "skip"
        if self._reads:
            self.fromrgb = Convolution(3, channels, 1, clamp=clamp)
        self.conv0 = Convolution(channels, channels, 3, clamp=clamp)
        self.conv1 = Convolution(channels, outputs, 3, resample="down", clamp=clamp)
        if config.architecture == "resnet":
            self.skip = Convolution(channels, outputs, 1, resample="down", bias=False)
        self.register_buffer("resample_filter", resample_kernel())

    def forward(
        self, x: Tensor | None, image: Tensor, execution: Execution = FLOAT32
    ) -> tuple[Tensor, Tensor]:
        """Features (none at first) and picture of a resolution -> those of half of it.

        Where later blocks do not look at the picture it stays as it is.
        """
        if x is not None:
            x = execution.placed(x, self._resolution, self._highest)
        if self._reads:
            read = self.fromrgb(execution.placed(image, self._resolution, self._highest))
            x = read if x is None else x + read
        if self._architecture == "resnet":
            skipped = self.skip(x, SQRT_HALF)
            return skipped + self.conv1(self._first(x, execution), SQRT_HALF), image
        if self._architecture == "skip":
            image = halved(image, self.resample_filter)
        return self.conv1(self._first(x, execution)), image

    def _first(self, x: Tensor | None, execution: Execution) -> Tensor:
        return cast("Tensor", self.conv0(x, winograd=execution.winograd))


def with_minibatch_std(x: Tensor, group_size: int, features: int = 1) -> Tensor:
    """Append channels: means over features of the standard deviation in groups of rows.

    Groups are strided as in the reference: row i is in group i % (n / group_size).

    Args:
        x: (n, c, h, w).
        group_size: rows in a group; n must be a multiple of it.
        features: how many channels to append, each the mean over c / features of them.
    """
    n, c, h, w = x.shape
    if n % group_size:
        raise ValueError(f"batch must be a multiple of group_size {group_size}, got {n} rows")
    groups = x.reshape(group_size, -1, features, c // features, h, w)
    variance = (groups - groups.mean(dim=0)).square().mean(dim=0)
    level = (variance + 1e-8).sqrt().mean(dim=(2, 3, 4))
    channel = level[:, :, None, None].repeat(group_size, 1, h, w)
    return torch.cat([x, channel], dim=1)


class Epilogue(nn.Module):
    """From 4x4 features to one logit, or to the vector that classes are projected on."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        channels = config.channels(4)
        self._features = config.minibatch_features
        if config.architecture == "skip":
            self.fromrgb = Convolution(3, channels, 1)
        inputs = channels + config.minibatch_features
        self.conv = Convolution(inputs, channels, 3, clamp=config.conv_clamp)
        self.fc = Dense(channels * 16, channels, activate=True)
        self.out = Dense(channels, config.cmap_dim if config.c_dim else 1)

    def forward(self, x: Tensor, image: Tensor, group_size: int) -> Tensor:
        """(n, c, 4, 4) features, and the picture at 4x4 for those that read it -> (n, outputs)."""
        if hasattr(self, "fromrgb"):
            x = x + self.fromrgb(image)
        if self._features:
            x = with_minibatch_std(x, group_size, self._features)
        return cast("Tensor", self.out(self.fc(self.conv(x).flatten(1))))


class ClassMapping(nn.Module):
    """A class to its projection vector."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self._layers = config.mapping_layers
        self.embed = Dense(config.c_dim, config.cmap_dim)
        for index in range(config.mapping_layers):
            multiplier = config.mapping_lr_multiplier
            width = config.cmap_dim
            self.add_module(
                f"fc{index}", Dense(width, width, lr_multiplier=multiplier, activate=True)
            )

    def forward(self, labels: Tensor) -> Tensor:
        """(n, c_dim) one-hot -> (n, cmap_dim)."""
        x = normalised(self.embed(labels))
        for index in range(self._layers):
            x = self.get_submodule(f"fc{index}")(x)
        return x


class Discriminator(nn.Module):
    """The whole discriminator.

    Attributes:
        execution: how to compute; may be changed at any time.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        """Fresh weights, as at the start of training."""
        super().__init__()
        self.config = config
        self.execution = FLOAT32
        for resolution in config.resolutions:
            self.add_module(f"b{resolution}", DiscriminatorBlock(config, resolution))
        self.b4 = Epilogue(config)
        if config.c_dim:
            self.mapping = ClassMapping(config)

    def forward(self, images: Tensor, group_size: int = 1, labels: Tensor | None = None) -> Tensor:
        """(n, 3, r, r) float32, about -1 to 1 -> (n,) float32 logits; larger is more real.

        `labels` are (n, c_dim) one-hot float32, only and always where there are classes.
        """
        features = self.features(images, group_size)
        if labels is None:
            return features.squeeze(1)
        projected = features * self.mapping(labels)
        return cast("Tensor", projected.sum(dim=1) / math.sqrt(self.config.cmap_dim))

    def features(self, images: Tensor, group_size: int = 1) -> Tensor:
        """(n, 3, r, r) float32 -> (n, 1), or (n, cmap_dim) where there are classes, float32."""
        x: Tensor | None = None
        image = images
        for resolution in self.config.resolutions:
            x, image = self.get_submodule(f"b{resolution}")(x, image, self.execution)
        final = cast("Tensor", x).to(images.dtype).contiguous()
        return cast("Tensor", self.b4(final, image, group_size))
