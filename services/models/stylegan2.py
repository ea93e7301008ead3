"""StyleGAN2's generator: mapping network, modulated synthesis with RGB skips, truncation.

Promises: with noise "none" or "const" a row of the output depends on its own latent alone; the
tensors are named and shaped as in NVIDIA's released networks (`mapping.fc0.weight`,
`synthesis.b8.conv0.affine.bias`, ...). Any power-of-two resolution from 8 up. Not here: class
conditions, fp16 blocks, style mixing.

Source: Karras et al. 2020, sections 2 and 4 (weight demodulation, skip generator), config F by
default.
"""

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from services.models.stylegan2_layers import (
    SQRT_2,
    Dense,
    activated,
    modulated_conv,
    resample_kernel,
    upsampled,
)

NoiseMode = Literal["const", "random", "none"]
"""`const` adds the stored noise, `random` fresh noise (a row then depends on luck), `none` none."""


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """The shape of a generator: min(channel_base // r, channel_max) channels at resolution r."""

    resolution: int = 1024
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    channel_base: int = 32768
    channel_max: int = 512
    mapping_lr_multiplier: float = 0.01

    def __post_init__(self) -> None:
        """Raise ValueError for a resolution that is no power of two from 8 up."""
        check_resolution(self.resolution)

    def channels(self, resolution: int) -> int:
        """Feature channels at `resolution`."""
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def resolutions(self) -> list[int]:
        """4, 8, ... up to the picture's."""
        return [2**power for power in range(2, self.resolution.bit_length())]

    @property
    def num_ws(self) -> int:
        """How many layers take a w: 2 log2(resolution) - 2."""
        return 2 * len(self.resolutions)


def check_resolution(resolution: int) -> None:
    """Raise ValueError unless `resolution` is a power of two, at least 8."""
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two from 8 up, got {resolution}")


class Mapping(nn.Module):
    """z to w: normalise to unit mean square, then fully connected layers."""

    w_avg: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        """`w_avg` starts at zero; training sets it to the mean of w."""
        super().__init__()
        self._layers = config.mapping_layers
        for index in range(config.mapping_layers):
            inputs = config.z_dim if index == 0 else config.w_dim
            multiplier = config.mapping_lr_multiplier
            layer = Dense(inputs, config.w_dim, lr_multiplier=multiplier, activate=True)
            self.add_module(f"fc{index}", layer)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """(n, z_dim) standard normal -> (n, w_dim), pulled towards w_avg for psi below 1."""
        x = normalised(z)
        for index in range(self._layers):
            x = self.get_submodule(f"fc{index}")(x)
        return x if truncation_psi == 1.0 else self.w_avg.lerp(x, truncation_psi)


def normalised(z: Tensor) -> Tensor:
    """Rows scaled to a mean square of one: z * rsqrt(mean(z^2) + 1e-8)."""
    return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias and leaky ReLU."""

    noise_const: Tensor
    resample_filter: Tensor

    def __init__(self, inputs: int, outputs: int, w_dim: int, resolution: int, *, up: bool) -> None:
        """`resolution` is that of the output; `up` doubles it."""
        super().__init__()
        self.affine = Dense(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", resample_kernel())
        self._up = up

    def forward(self, x: Tensor, w: Tensor, noise_mode: NoiseMode = "const") -> Tensor:
        """(n, in, h, w) features and (n, w_dim) -> (n, out, resolution, resolution)."""
        kernel = self.resample_filter if self._up else None
        x = modulated_conv(x, self.weight, self.affine(w), kernel)
        if noise_mode == "const":
            x = x + self.noise_const * self.noise_strength
        elif noise_mode == "random":
            x = x + torch.randn_like(x[:, :1]) * self.noise_strength
        return activated(x, self.bias, SQRT_2)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three channels, not demodulated."""

    def __init__(self, inputs: int, w_dim: int) -> None:
        """Styles carry the equalising gain 1 / sqrt(inputs)."""
        super().__init__()
        self.affine = Dense(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self._gain = 1.0 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(n, in, r, r) and (n, w_dim) -> (n, 3, r, r)."""
        rgb = modulated_conv(x, self.weight, self.affine(w) * self._gain, demodulate=False)
        return rgb + self.bias[None, :, None, None]


class SynthesisBlock(nn.Module):
    """One resolution: (up-sampling convolution,) convolution, and what it adds to the picture."""

    resample_filter: Tensor

    def __init__(self, config: GeneratorConfig, resolution: int) -> None:
        """The block at 4 starts from a learnt constant and has no conv0."""
        super().__init__()
        channels = config.channels(resolution)
        self._first = resolution == 4
        if self._first:
            self.const = nn.Parameter(torch.randn(channels, 4, 4))
        else:
            inputs = config.channels(resolution // 2)
            self.conv0 = SynthesisLayer(inputs, channels, config.w_dim, resolution, up=True)
        self.conv1 = SynthesisLayer(channels, channels, config.w_dim, resolution, up=False)
        self.torgb = ToRGB(channels, config.w_dim)
        self.register_buffer("resample_filter", resample_kernel())

    def forward(
        self, x: Tensor | None, image: Tensor | None, w: Tensor, noise_mode: NoiseMode
    ) -> tuple[Tensor, Tensor]:
        """Features and picture of half the resolution (None at first) -> those of this one."""
        if self._first or x is None:
            x = self.const[None].expand(w.shape[0], -1, -1, -1)
        else:
            x = self.conv0(x, w, noise_mode)
        x = self.conv1(x, w, noise_mode)
        rgb = self.torgb(x, w)
        if image is not None:
            rgb = rgb + upsampled(image, self.resample_filter)
        return x, rgb


class Synthesis(nn.Module):
    """w to pictures."""

    def __init__(self, config: GeneratorConfig) -> None:
        """Blocks b4, b8, ... b{resolution}."""
        super().__init__()
        self._resolutions = config.resolutions
        for resolution in self._resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(config, resolution))

    def forward(self, w: Tensor, noise_mode: NoiseMode = "const") -> Tensor:
        """(n, w_dim) float32 -> (n, 3, resolution, resolution) float32, about -1 to 1."""
        x: Tensor | None = None
        image: Tensor | None = None
        for resolution in self._resolutions:
            x, image = self.get_submodule(f"b{resolution}")(x, image, w, noise_mode)
        return cast("Tensor", image)


class Generator(nn.Module):
    """The whole generator: z to pictures."""

    def __init__(self, config: GeneratorConfig) -> None:
        """Fresh weights, as at the start of training."""
        super().__init__()
        self.config = config
        self.mapping = Mapping(config)
        self.synthesis = Synthesis(config)

    def forward(
        self, z: Tensor, truncation_psi: float = 1.0, noise_mode: NoiseMode = "const"
    ) -> Tensor:
        """(n, z_dim) float32, standard normal -> (n, 3, r, r) float32, about -1 to 1."""
        return cast("Tensor", self.synthesis(self.mapping(z, truncation_psi), noise_mode))
