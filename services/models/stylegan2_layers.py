"""The layers that StyleGAN2's generator and discriminator share.

Source of the mathematics: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN"
(2020). Weights are stored unscaled and multiplied by their learning-rate gain at run time
("equalised learning rate"), and tensor names follow NVIDIA's released networks, so that those
load into these classes.

All activations are float32 NCHW. A module here never looks at more than one row at a time, except
for the minibatch statistics in the discriminator.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SQRT_2 = math.sqrt(2.0)


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


def activated(features: Tensor, bias: Tensor, gain: float = SQRT_2) -> Tensor:
    """Bias per channel (dim 1), leaky ReLU with slope 0.2, then gain: in this order."""
    shape = (1, -1) + (1,) * (features.ndim - 2)
    return functional.leaky_relu(features + bias.reshape(shape), 0.2) * gain


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
) -> Tensor:
    """Convolution with a weight scaled per row and input channel, unfused.

    The input is scaled by the style, one convolution serves all rows, and the output is scaled by
    `rsqrt(s^2 (sum W^2)^T + 1e-8)`, which equals convolving with each row's own demodulated weight.

    Args:
        x: (n, in, h, w).
        weight: (out, in, k, k).
        styles: (n, in).
        kernel: the low-pass filter; given, the result is twice as large.
        demodulate: whether each row's weight is normalised to unit length per output channel.
    """
    out = x * styles[:, :, None, None]
    if kernel is None:
        out = functional.conv2d(out, weight, padding=weight.shape[-1] // 2)
    else:
        out = functional.conv_transpose2d(out, weight.transpose(0, 1), stride=2)
        out = filtered(functional.pad(out, (1, 1, 1, 1)), kernel, 4.0)
    if demodulate:
        energy = weight.square().sum(dim=(2, 3))
        out = out * torch.rsqrt(styles.square() @ energy.T + 1e-8)[:, :, None, None]
    return out


class Convolution(nn.Module):
    """A discriminator's convolution, optionally halving the resolution after a low-pass filter."""

    resample_filter: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        down: bool = False,
        bias: bool = True,
        activate: bool = True,
    ) -> None:
        """`size` is the kernel's side (1 or 3)."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("resample_filter", resample_kernel())
        self._gain = 1.0 / math.sqrt(inputs * size * size)
        self._down = down
        self._activate = activate

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """(n, in, h, w) -> (n, out, h or h / 2, w or w / 2), times `gain`."""
        weight = self.weight * self._gain
        y = (
            self._downsampled(x, weight)
            if self._down
            else functional.conv2d(x, weight, padding=weight.shape[-1] // 2)
        )
        if self.bias is not None and self._activate:
            return activated(y, self.bias, SQRT_2 * gain)
        return y * gain

    def _downsampled(self, x: Tensor, weight: Tensor) -> Tensor:
        if weight.shape[-1] == 1:
            halved = filtered(functional.pad(x, (1, 1, 1, 1)), self.resample_filter)[:, :, ::2, ::2]
            return functional.conv2d(halved, weight)
        smooth = filtered(functional.pad(x, (2, 2, 2, 2)), self.resample_filter)
        return functional.conv2d(smooth, weight, stride=2)
