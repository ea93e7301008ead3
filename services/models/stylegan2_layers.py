"""The layers that StyleGAN2's generator and discriminator share.

Source of the mathematics: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN"
(2020). Weights are stored unscaled and multiplied by their learning-rate gain at run time
("equalised learning rate"), and tensor names follow NVIDIA's released networks, so that those
load into these classes.

Activations are NCHW in shape, float32 by default. In float16 or bfloat16 the convolutions, biases
and noise are of that type, while styles and demodulation stay float32. A module here never looks at
more than one row at a time, except for the minibatch statistics in the discriminator.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.models.winograd import Convolve
from services.options import DTYPES, ConvolutionKind, Precision

SQRT_2 = math.sqrt(2.0)
SQRT_HALF = math.sqrt(0.5)
HALF_CLAMP = 256.0  # of NVIDIA's fp16 networks, for those trained without one

Architecture = Literal["skip", "resnet", "orig"]
"""How pictures join the features: at each resolution, or at the last beside residual blocks or not
(Karras et al. 2020, figure 7)."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a network computes; float32 as trained unless told.

    Attributes:
        dtype: of the convolutions of the upper blocks: float32, float16 or bfloat16.
        blocks: how many of the highest resolutions compute in `dtype`; the others stay float32.
        channels_last: whether features lie as NHWC in memory.
        fused: one convolution weight a row (modulation within the weight, grouped convolution)
            rather than one weight for all (modulation of the features).
        winograd: whether 3x3 convolutions in float32 that are wide enough take fewer products; for
            weights that do not change, unfused.
    """

    dtype: torch.dtype = torch.float32
    blocks: int = 4
    channels_last: bool = False
    fused: bool = False
    winograd: bool = False

    def dtype_at(self, resolution: int, highest: int) -> torch.dtype:
        """The type in which the block at `resolution` of a network for `highest` computes."""
        return self.dtype if resolution << self.blocks > highest else torch.float32

    @property
    def memory_format(self) -> torch.memory_format:
        """Of the features."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def placed(self, x: Tensor, resolution: int, highest: int) -> Tensor:
        """(n, c, h, w) features or pictures as the block at `resolution` wants them."""
        dtype = self.dtype_at(resolution, highest)
        return x.to(dtype, memory_format=self.memory_format) if self != FLOAT32 else x


FLOAT32 = Execution()


def execution_of(precision: Precision, convolution: ConvolutionKind = "direct") -> Execution:
    """How to compute as told; all but the published form is quick with channels last."""
    if precision == "float32" and convolution == "direct":
        return FLOAT32
    winograd = convolution == "winograd"
    return Execution(DTYPES[precision], channels_last=True, winograd=winograd)


def clamp_in(dtype: torch.dtype, trained: float | None) -> float | None:
    """The bound on activations: as trained, and never none in float16, which overflows."""
    return HALF_CLAMP if trained is None and dtype == torch.float16 else trained


def resample_kernel() -> Tensor:
    """The (4, 4) float32 low-pass filter outer([1, 3, 3, 1]) / 64 that all resampling uses."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(taps, taps) / 64.0


def filtered(images: Tensor, kernel: Tensor, gain: float = 1.0) -> Tensor:
    """Each channel of (n, c, h, w) convolved with `kernel` * gain, without padding."""
    channels = images.shape[1]
    weight = (kernel * gain).to(images.dtype).expand(channels, 1, *kernel.shape)
    return functional.conv2d(images, weight, groups=channels)


def upsampled(images: Tensor, kernel: Tensor) -> Tensor:
    """(n, c, h, w) to (n, c, 2h, 2w): zeros in between, padding (2, 1), low-pass times 4."""
    n, c, h, w = images.shape
    spread = images.new_zeros(n, c, h, 2, w, 2)
    spread[:, :, :, 0, :, 0] = images
    padded = functional.pad(spread.reshape(n, c, 2 * h, 2 * w), (2, 1, 2, 1))
    return filtered(padded, kernel, 4.0)


def halved(images: Tensor, kernel: Tensor) -> Tensor:
    """(n, c, h, w) to (n, c, h / 2, w / 2): padding 1, low-pass, every second pixel."""
    return filtered(functional.pad(images, (1, 1, 1, 1)), kernel)[:, :, ::2, ::2]


def activated(
    features: Tensor, bias: Tensor, gain: float = SQRT_2, clamp: float | None = None
) -> Tensor:
    """Bias per channel (dim 1), leaky ReLU with slope 0.2, gain, clamp: in this order."""
    shape = (1, -1) + (1,) * (features.ndim - 2)
    biased = features + bias.to(features.dtype).reshape(shape)
    return clamped(functional.leaky_relu(biased, 0.2) * gain, clamp)


def clamped(features: Tensor, clamp: float | None) -> Tensor:
    """Features within [-clamp, clamp]."""
    return features if clamp is None else features.clamp(-clamp, clamp)


class Dense(nn.Module):
    """A fully connected layer: `y = x (W lr / sqrt(inputs))^T + b lr`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        lr_multiplier: float = 1.0,
        bias: float = 0.0,
        activate: bool = False,
    ) -> None:
        """`bias` is its initial value; `activate` adds the leaky ReLU and its gain."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        self._weight_gain = lr_multiplier / math.sqrt(inputs)
        self._bias_gain = lr_multiplier
        self._activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) float32 -> (n, outputs) float32."""
        y = x @ (self.weight * self._weight_gain).T
        bias = self.bias * self._bias_gain
        return activated(y, bias) if self._activate else y + bias


def modulated_conv(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    kernel: Tensor | None = None,
    *,
    demodulate: bool = True,
    execution: Execution = FLOAT32,
    convolve: Convolve | None = None,
) -> Tensor:
    """Convolution with a weight scaled per row and input channel (Karras et al. 2020, section 2.2).

    Unfused, the input is scaled by the style, one convolution serves all rows, and the output is
    scaled by `rsqrt(s^2 (sum W^2)^T + 1e-8)`, which equals convolving with each row's own
    demodulated weight, as is done when fused.

    Args:
        x: (n, in, h, w).
        weight: (out, in, k, k) float32.
        styles: (n, in) float32.
        kernel: the low-pass filter; given, the result is twice as large.
        demodulate: whether each row's weight is normalised to unit length per output channel.
        execution: whether to build each row's weight, and how to convolve.
        convolve: of the layer that the weight is of.
    """
    if demodulate and x.dtype == torch.float16:
        weight, styles = _within_half_range(weight, styles)
    factors = None
    if demodulate:
        energy = weight.square().sum(dim=(2, 3))
        factors = torch.rsqrt(styles.square() @ energy.T + 1e-8)
    if execution.fused:
        return _fused(x, weight, styles, factors, kernel)
    out = x * styles.to(x.dtype)[:, :, None, None]
    if kernel is None and convolve is not None:
        out = convolve(out, weight.to(x.dtype), winograd=execution.winograd)
    else:
        out = _convolved(out, weight.to(x.dtype), kernel)
    return out if factors is None else out * factors.to(x.dtype)[:, :, None, None]


def _convolved(x: Tensor, weight: Tensor, kernel: Tensor | None, groups: int = 1) -> Tensor:
    """Same size, or twice as large through the low-pass `kernel`; weight (groups out, in, k, k)."""
    if kernel is None:
        return functional.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)
    swapped = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    out = functional.conv_transpose2d(x, swapped, stride=2, groups=groups)
    return filtered(functional.pad(out, (1, 1, 1, 1)), kernel, 4.0)


def _fused(
    x: Tensor, weight: Tensor, styles: Tensor, factors: Tensor | None, kernel: Tensor | None
) -> Tensor:
    """Each row convolved with its own weight, in one grouped convolution."""
    rows = len(x)
    own = weight * styles[:, None, :, None, None]
    if factors is not None:
        own = own * factors[:, :, None, None, None]
    packed = x.reshape(1, -1, *x.shape[2:])
    out = _convolved(packed, own.flatten(0, 1).to(x.dtype), kernel, groups=rows)
    return out.reshape(rows, -1, *out.shape[2:])


def _within_half_range(weight: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
    """Both scaled down so that no product overflows float16; demodulation undoes it."""
    fan_in = weight[0].numel()
    largest = weight.abs().amax(dim=(1, 2, 3), keepdim=True)
    return weight / (largest * math.sqrt(fan_in)), styles / styles.abs().amax(dim=1, keepdim=True)


class Convolution(nn.Module):
    """A plain convolution, optionally to half or twice the resolution through a low-pass filter."""

    resample_filter: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        resample: Literal["", "up", "down"] = "",
        bias: bool = True,
        clamp: float | None = None,
    ) -> None:
        """`size` is the kernel's side (1 or 3; 1 with `up`); without `bias` it is linear."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("resample_filter", resample_kernel())
        self._gain = 1.0 / math.sqrt(inputs * size * size)
        self._resample = resample
        self._clamp = clamp
        self._convolve = Convolve()

    def forward(self, x: Tensor, gain: float = 1.0, *, winograd: bool = False) -> Tensor:
        """(n, in, h, w) -> (n, out, h', w') with h' = h, h / 2 or 2 h, times `gain`.

        `winograd` is as in `Execution`.
        """
        weight = (self.weight * self._gain).to(x.dtype)
        if self._resample == "down":
            y = self._downsampled(x, weight)
        else:
            y = self._convolve(x, weight, winograd=winograd)
        if self._resample == "up":
            y = upsampled(y, self.resample_filter)
        if self.bias is None:
            return y * gain
        clamp = clamp_in(x.dtype, self._clamp)
        return activated(y, self.bias, SQRT_2 * gain, clamp and clamp * gain)

    def _downsampled(self, x: Tensor, weight: Tensor) -> Tensor:
        if weight.shape[-1] == 1:
            return functional.conv2d(halved(x, self.resample_filter), weight)
        smooth = filtered(functional.pad(x, (2, 2, 2, 2)), self.resample_filter)
        return functional.conv2d(smooth, weight, stride=2)
