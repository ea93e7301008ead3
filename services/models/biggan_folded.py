"""BigGAN-deep for drawing: all that does not depend on the genome is computed once.

Folded away, exactly but for rounding: spectral norm (W / sigma), the convolutions' biases that a
batch norm follows (they shift its mean), the output channels that nobody sees (125 of 128), and
attention's gamma. Every scale and offset of a picture comes out of two matrix products. At 512x512
this halves the arithmetic.

Promises: a row depends on its own condition alone; the conditions, the statistics and the picture
are in the network's own dtype, whatever the maps and convolutions are in.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.models.biggan import (
    Attention,
    BigGAN,
    Block,
    ConditionalNorm,
    as_map,
    at_truncation,
    attended,
    doubled,
    shortcut,
)
from services.models.winograd import Convolve


@dataclass(frozen=True)
class Maps:
    """How feature maps are kept and convolved.

    Attributes:
        dtype: of maps and weights.
        channels_last: whether maps lie as NHWC in memory.
        winograd: whether 3x3 convolutions that are wide enough take fewer products (float32 alone).
    """

    dtype: torch.dtype = torch.float32
    channels_last: bool = False
    winograd: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """`x`, (n, c, h, w), in this form."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return x.to(self.dtype, memory_format=layout)


class FoldedBigGAN:
    """A BigGAN-deep that only draws.

    Args:
        network: in `eval()` and on its device; not needed afterwards.
        maps: how to keep feature maps; bfloat16 with channels last is the quickest on a CPU that
            has units for it, float32 the exact one.
    """

    @torch.no_grad()
    def __init__(self, network: BigGAN, maps: Maps) -> None:
        ladder = network.generator
        self._maps = maps
        self._first = _weight(ladder.gen_z), ladder.gen_z.bias.detach().clone()
        self._first_channels = ladder.first_channels
        self._norms = _Norms(network)
        self._layers = [
            _FoldedBlock(layer, maps) if isinstance(layer, Block) else _FoldedAttention(layer, maps)
            for layer in ladder.layers
            if isinstance(layer, Block | Attention)
        ]
        self._rgb = _Conv(ladder.conv_to_rgb, maps, outputs=3)

    def __call__(self, condition: Tensor, truncation: float = 1.0) -> Tensor:
        """(n, condition_dim), truncation 0 to 1 -> (n, 3, output_dim, output_dim), -1 to 1."""
        scales = self._norms(condition, truncation, self._maps.dtype)
        x = functional.linear(condition, *self._first)
        x = self._maps(as_map(x, self._first_channels))
        for layer in self._layers:
            x = layer(x, scales)
        return self._rgb(_scaled(x, scales)).to(condition.dtype).tanh()


Scales = Iterator[tuple[Tensor, Tensor]]
"""Of each norm in turn, gain and shift: (n, channels, 1, 1) both."""


class _Norms:
    """All batch norms, in the order in which they are used, as one."""

    def __init__(self, network: BigGAN) -> None:
        self._eps = network.config.eps
        norms: list[ConditionalNorm] = []
        biases: list[Tensor | None] = []
        for layer in network.generator.layers:
            if isinstance(layer, Block):
                norms += [layer.bn_0, layer.bn_1, layer.bn_2, layer.bn_3]
                biases += [None, layer.conv_0.bias, layer.conv_1.bias, layer.conv_2.bias]
        last = network.generator.bn
        self._sizes = [len(norm.running_means[0]) for norm in (*norms, last)]
        means = [
            norm.running_means if bias is None else norm.running_means - bias
            for norm, bias in zip((*norms, last), (*biases, None), strict=True)
        ]
        self._means = torch.cat(means, dim=1)
        self._vars = torch.cat([norm.running_vars for norm in (*norms, last)], dim=1)
        self._scale = _stacked([norm.scale for norm in norms], 1.0, last.weight)
        self._offset = _stacked([norm.offset for norm in norms], 0.0, last.bias)

    def __call__(self, condition: Tensor, truncation: float, dtype: torch.dtype) -> Scales:
        mean = at_truncation(self._means, truncation)
        deviation = torch.rsqrt(at_truncation(self._vars, truncation) + self._eps)
        gain = functional.linear(condition, *self._scale) * deviation
        shift = functional.linear(condition, *self._offset) - mean * gain
        gains, shifts = (
            torch.split(x.to(dtype)[:, :, None, None], self._sizes, dim=1) for x in (gain, shift)
        )
        return zip(gains, shifts, strict=True)


def _stacked(layers: list[nn.Linear], bias: float, last: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of one linear layer for all norms; the last one ignores the condition."""
    weights = [_weight(layer) for layer in layers]
    weight = torch.cat([*weights, weights[0].new_zeros(len(last), weights[0].shape[1])])
    constant = weight.new_full((len(weight),), bias)
    constant[-len(last) :] = last
    return weight, constant


class _FoldedBlock:
    """A `Block`; the biases of its first three convolutions are in the norms after them."""

    def __init__(self, block: Block, maps: Maps) -> None:
        self._up = block.up
        self._conv_0 = _Conv(block.conv_0, maps, bias=False)
        self._conv_1 = _Conv(block.conv_1, maps, bias=False)
        self._conv_2 = _Conv(block.conv_2, maps, bias=False)
        self._conv_3 = _Conv(block.conv_3, maps)

    def __call__(self, x: Tensor, scales: Scales) -> Tensor:
        y = self._conv_0(_scaled(x, scales))
        y = _scaled(y, scales)
        y = self._conv_1(doubled(y) if self._up else y)
        y = self._conv_2(_scaled(y, scales))
        y = self._conv_3(_scaled(y, scales))
        return y.add_(shortcut(x, y.shape[1], up=self._up))


class _FoldedAttention:
    """An `Attention`; gamma is in the last convolution."""

    def __init__(self, attention: Attention, maps: Maps) -> None:
        self._queries = _Conv(attention.snconv1x1_theta, maps)
        self._keys = _Conv(attention.snconv1x1_phi, maps)
        self._values = _Conv(attention.snconv1x1_g, maps)
        self._out = _Conv(attention.snconv1x1_o_conv, maps, gain=attention.gamma)

    def __call__(self, x: Tensor, _: Scales) -> Tensor:
        return self._out(attended(self._queries(x), self._keys(x), self._values(x))).add_(x)


class _Conv:
    """A convolution with its spectral norm folded in."""

    def __init__(
        self,
        conv: nn.Conv2d,
        maps: Maps,
        *,
        bias: bool = True,
        outputs: int | None = None,
        gain: Tensor | None = None,
    ) -> None:
        weight = _weight(conv)[:outputs]
        self._weight = maps(weight if gain is None else weight * gain)
        self._bias = conv.bias[:outputs].to(maps.dtype) if bias and conv.bias is not None else None
        self._convolve = Convolve()
        self._winograd = maps.winograd

    def __call__(self, x: Tensor) -> Tensor:
        return self._convolve(x, self._weight, self._bias, winograd=self._winograd)


def _scaled(x: Tensor, scales: Scales) -> Tensor:
    gain, shift = next(scales)
    return torch.addcmul(shift, x, gain).relu_()


def _weight(layer: nn.Module) -> Tensor:
    """W / sigma with sigma = u W v, as spectral norm computes it in `eval()`.

    Raises:
        ValueError: u and v are not those of the weight.
    """
    weight = layer.get_parameter("weight_orig")
    rows = weight.flatten(1)
    sigma = torch.dot(layer.get_buffer("weight_u"), rows @ layer.get_buffer("weight_v"))
    if not 0 < sigma < float("inf"):
        raise ValueError(f"spectral norm wants a sigma above 0, found {float(sigma):.3g}")
    return (weight / sigma).detach()
