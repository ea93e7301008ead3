"""StyleGAN2's generator: mapping network, modulated synthesis, truncation.

Promises: with noise "none" or "const" a row of the output depends on its own latent alone; the
tensors are named and shaped as in NVIDIA's released networks (`mapping.fc0.weight`,
`synthesis.b8.conv0.affine.bias`, ...). Any power-of-two resolution from 8 up, the three
architectures, class conditions, truncation up to a layer, float16 or bfloat16 upper blocks.

Source: Karras et al. 2020, sections 2 and 4 (weight demodulation, skip generator), config F by
default; class conditions and clamping: Karras et al. 2020b (ADA), appendix.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from services.models.stylegan2_layers import (
    FLOAT32,
    SQRT_2,
    SQRT_HALF,
    Architecture,
    Convolution,
    Dense,
    Execution,
    activated,
    clamp_in,
    clamped,
    modulated_conv,
    resample_kernel,
    upsampled,
)
from services.models.winograd import Convolve

NoiseMode = Literal["const", "random", "none"]
"""`const` adds the stored noise, `random` fresh noise (a row then depends on luck), `none` none."""
Noise = NoiseMode | Sequence[torch.Generator]
"""As told, or from a stream of each row's own."""


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """The shape of a generator.

    Attributes:
        resolution: the side of a picture, a power of two from 8 up.
        z_dim: size of z.
        w_dim: size of w.
        mapping_layers: fully connected layers of the mapping network.
        channel_base: there are min(channel_base // r, channel_max) channels at resolution r.
        channel_max: see `channel_base`.
        mapping_lr_multiplier: learning-rate gain of the mapping network.
        c_dim: number of classes; 0 for none.
        architecture: how the picture leaves the features.
        widths: channels at 4, 8, ..., in place of the rule of `channel_base`; empty for the rule.
        conv_clamp: bound on activations, as trained.
        truncation_cutoff: how many of the first ws are truncated; all if None.
        bar_rows: black rows above and below each picture, which a service leaves out.
    """

    resolution: int = 1024
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    channel_base: int = 32768
    channel_max: int = 512
    mapping_lr_multiplier: float = 0.01
    c_dim: int = 0
    architecture: Architecture = "skip"
    widths: tuple[int, ...] = ()
    conv_clamp: float | None = None
    truncation_cutoff: int | None = None
    bar_rows: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for a resolution, widths or bars that cannot be."""
        check_resolution(self.resolution)
        object.__setattr__(self, "widths", tuple(self.widths))  # a list, if it comes from JSON
        check_widths(self.widths, len(self.resolutions))
        check_bars(self.bar_rows, self.resolution)

    def channels(self, resolution: int) -> int:
        """Feature channels at `resolution`."""
        if self.widths:
            return self.widths[self.resolutions.index(resolution)]
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


def check_widths(widths: tuple[int, ...], resolutions: int) -> None:
    """Raise ValueError unless there are none, or a positive one for each resolution."""
    if widths and (len(widths) != resolutions or min(widths) < 1):
        raise ValueError(f"widths must be {resolutions} positive numbers, got {widths}")


def check_bars(bar_rows: int, resolution: int) -> None:
    """Raise ValueError unless a picture is left between the bars."""
    if not 0 <= 2 * bar_rows < resolution:
        raise ValueError(f"bar_rows must be 0 to {resolution // 2 - 1}, got {bar_rows}")


class Mapping(nn.Module):
    """z, and a class where there are any, to w: normalise, then fully connected layers."""

    w_avg: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        """`w_avg` starts at zero; training sets it to the mean of w."""
        super().__init__()
        self._layers = config.mapping_layers
        self._truncated = config.truncation_cutoff
        self._num_ws = config.num_ws
        inputs = config.z_dim
        if config.c_dim:
            self.embed = Dense(config.c_dim, config.w_dim)
            inputs += config.w_dim
        for index in range(config.mapping_layers):
            multiplier = config.mapping_lr_multiplier
            layer = Dense(inputs, config.w_dim, lr_multiplier=multiplier, activate=True)
            self.add_module(f"fc{index}", layer)
            inputs = config.w_dim
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(
        self, z: Tensor, truncation_psi: float = 1.0, labels: Tensor | None = None
    ) -> Tensor:
        """Map and truncate.

        Args:
            z: (n, z_dim) standard normal.
            truncation_psi: how far from w_avg; below 1 it is pulled towards it.
            labels: (n, c_dim) one-hot; only and always with classes.

        Returns:
            (n, w_dim), or (n, num_ws, w_dim) where only the first ws are truncated.
        """
        x = normalised(z)
        if labels is not None:
            x = torch.cat([x, normalised(self.embed(labels))], dim=1)
        for index in range(self._layers):
            x = self.get_submodule(f"fc{index}")(x)
        return x if truncation_psi == 1.0 else self.layered(self.w_avg.lerp(x, truncation_psi), x)

    def layered(self, truncated: Tensor, full: Tensor) -> Tensor:
        """The first ws truncated, the rest full, from (n, w_dim) each; see `forward`."""
        if self._truncated is None:
            return truncated
        rest = self._num_ws - self._truncated
        layers = [truncated] * self._truncated + [full] * rest
        return torch.stack(layers, dim=1)


def normalised(z: Tensor) -> Tensor:
    """Rows scaled to a mean square of one: z * rsqrt(mean(z^2) + 1e-8)."""
    return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)


def drawn_noise(x: Tensor, noise: Noise) -> Tensor:
    """(n, 1, h, w) standard normal for features (n, c, h, w), like them in type and place."""
    if isinstance(noise, str):
        return torch.randn_like(x[:, :1])
    rows = [torch.randn(x.shape[2:], generator=stream) for stream in noise]
    return torch.stack(rows)[:, None].to(x)


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias and leaky ReLU."""

    noise_const: Tensor
    resample_filter: Tensor

    def __init__(self, inputs: int, config: GeneratorConfig, resolution: int, *, up: bool) -> None:
        """`resolution` is that of the output; `up` doubles it."""
        super().__init__()
        outputs = config.channels(resolution)
        self.affine = Dense(config.w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", resample_kernel())
        self._up = up
        self._clamp = config.conv_clamp
        self._convolve = Convolve()

    def forward(
        self,
        x: Tensor,
        w: Tensor,
        noise_mode: Noise,
        gain: float = 1.0,
        execution: Execution = FLOAT32,
    ) -> Tensor:
        """(n, in, h, w) features and (n, w_dim) -> (n, out, resolution, resolution)."""
        kernel = self.resample_filter if self._up else None
        x = modulated_conv(
            x, self.weight, self.affine(w), kernel, execution=execution, convolve=self._convolve
        )
        if noise_mode == "const":
            x = x + (self.noise_const * self.noise_strength).to(x.dtype)
        elif noise_mode != "none":
            x = x + drawn_noise(x, noise_mode) * self.noise_strength.to(x.dtype)
        clamp = clamp_in(x.dtype, self._clamp)
        return activated(x, self.bias, SQRT_2 * gain, clamp and clamp * gain)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three channels, not demodulated."""

    def __init__(self, inputs: int, config: GeneratorConfig) -> None:
        """Styles carry the equalising gain 1 / sqrt(inputs)."""
        super().__init__()
        self.affine = Dense(config.w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self._gain = 1.0 / math.sqrt(inputs)
        self._clamp = config.conv_clamp

    def forward(self, x: Tensor, w: Tensor, execution: Execution = FLOAT32) -> Tensor:
        """(n, in, r, r) and (n, w_dim) -> (n, 3, r, r)."""
        styles = self.affine(w) * self._gain
        rgb = modulated_conv(x, self.weight, styles, demodulate=False, execution=execution)
        biased = rgb + self.bias.to(x.dtype)[None, :, None, None]
        return clamped(biased, clamp_in(x.dtype, self._clamp))


class SynthesisBlock(nn.Module):
    """One resolution: (up-sampling convolution,) convolution, and what it adds to the picture."""

    resample_filter: Tensor

    def __init__(self, config: GeneratorConfig, resolution: int) -> None:
        """The block at 4 starts from a learnt constant and has no conv0."""
        super().__init__()
        channels = config.channels(resolution)
        self._resolution, self._highest = resolution, config.resolution
        self._residual = config.architecture == "resnet" and resolution > 4
        self._draws = config.architecture == "skip" or resolution == config.resolution
        if resolution == 4:
            self.const = nn.Parameter(torch.randn(channels, 4, 4))
        else:
            inputs = config.channels(resolution // 2)
            self.conv0 = SynthesisLayer(inputs, config, resolution, up=True)
            if self._residual:
                self.skip = Convolution(inputs, channels, 1, resample="up", bias=False)
        self.conv1 = SynthesisLayer(channels, config, resolution, up=False)
        if self._draws:
            self.torgb = ToRGB(channels, config)
        self.register_buffer("resample_filter", resample_kernel())

    def forward(
        self,
        x: Tensor | None,
        image: Tensor | None,
        ws: list[Tensor],
        noise_mode: Noise,
        execution: Execution = FLOAT32,
    ) -> tuple[Tensor, Tensor | None]:
        """Features and picture (float32) of half the resolution -> those of this one.

        `ws` are those of conv0 (not at 4), conv1 and torgb; features and picture are None at first.
        """
        if x is None:
            x = self._placed(self.const[None].expand(len(ws[0]), -1, -1, -1), execution)
        else:
            x = self._placed(x, execution)
            skipped = self.skip(x, SQRT_HALF) if self._residual else None
            x = self.conv0(x, ws[0], noise_mode, execution=execution)
            if skipped is not None:
                x = skipped + self.conv1(x, ws[1], noise_mode, SQRT_HALF, execution)
        if not self._residual:
            x = self.conv1(x, ws[-2], noise_mode, execution=execution)
        if self._draws:
            rgb = self.torgb(x, ws[-1], execution).to(ws[-1].dtype)
            image = rgb if image is None else rgb + upsampled(image, self.resample_filter)
        return x, image

    def _placed(self, x: Tensor, execution: Execution) -> Tensor:
        return execution.placed(x, self._resolution, self._highest)


class Synthesis(nn.Module):
    """w to pictures.

    Attributes:
        execution: how to compute; may be changed at any time.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        """Blocks b4, b8, ... b{resolution}."""
        super().__init__()
        self.execution = FLOAT32
        self._resolutions = config.resolutions
        self._num_ws = config.num_ws
        for resolution in self._resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(config, resolution))

    def forward(self, w: Tensor, noise_mode: Noise = "const") -> Tensor:
        """(n, w_dim) or (n, num_ws, w_dim) float32 -> (n, 3, r, r) float32, about -1 to 1."""
        ws = [w] * self._num_ws if w.ndim == 2 else list(w.unbind(1))
        x: Tensor | None = None
        image: Tensor | None = None
        first = 0
        for resolution in self._resolutions:
            layers = 2 if x is None else 3
            block = self.get_submodule(f"b{resolution}")
            own = ws[first : first + layers]
            x, image = block(x, image, own, noise_mode, self.execution)
            first += layers - 1  # the picture's w is the next block's first
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
        self,
        z: Tensor,
        truncation_psi: float = 1.0,
        noise_mode: Noise = "const",
        labels: Tensor | None = None,
    ) -> Tensor:
        """(n, z_dim) float32, standard normal -> (n, 3, r, r) float32, about -1 to 1.

        `labels` are (n, c_dim) one-hot float32, only and always where there are classes.
        """
        w = self.mapping(z, truncation_psi, labels)
        return cast("Tensor", self.synthesis(w, noise_mode))
