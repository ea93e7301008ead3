"""BigGAN-deep's generator: class-conditional residual blocks, self-attention, spectral norm.

Promises: tensors are named and shaped as in Hugging Face's release (`generator.layers.0.bn_0.scale.
weight_orig`, ...), and `eval()` computes what that release computes; any ladder of blocks, so also
small ones. `train()` is for training: batch norm then takes the statistics of its batch, and every
forward pass does one power iteration. Afterwards `measure_statistics` fills in what `eval()` needs.
For drawing there is a faster form without any of this (`biggan_folded`).

Source: Brock et al. 2019 (arXiv 1809.11096), appendix B, figure 16; the statistics of each
truncation follow the released TensorFlow graph, as Hugging Face's port reads it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import spectral_norm

FIRST_SIDE = 4
SQUEEZE = 4  # a block computes in a quarter of its channels

Layers = tuple[tuple[bool, int, int], ...]
LAYERS_128: Layers = (
    (False, 16, 16),
    (True, 16, 16),
    (False, 16, 16),
    (True, 16, 8),
    (False, 8, 8),
    (True, 8, 4),
    (False, 4, 4),
    (True, 4, 2),
    (False, 2, 2),
    (True, 2, 1),
)
LAYERS_256: Layers = (
    *LAYERS_128[:5],
    (True, 8, 8),
    (False, 8, 8),
    *LAYERS_128[5:],
)
LAYERS_512: Layers = (*LAYERS_256, (False, 1, 1), (True, 1, 1))


@dataclass(frozen=True, slots=True)
class BigGANConfig:
    """The shape of a generator, with the entries of the released `config.json`.

    Attributes:
        output_dim: side of a picture; must be what the layers come to.
        z_dim: length of z.
        class_embed_dim: length of a class's embedding.
        channel_width: the unit of channels.
        num_classes: length of a class vector.
        layers: of each block, whether it doubles the side, and its input and output channels in
            units of `channel_width`.
        attention_layer_position: before which block attention comes; none if there is no such one.
        eps: added to variances.
        n_stats: truncations for which statistics are stored, evenly from 0 to 1.
    """

    output_dim: int = 128
    z_dim: int = 128
    class_embed_dim: int = 128
    channel_width: int = 128
    num_classes: int = 1000
    layers: Layers = LAYERS_128
    attention_layer_position: int = 8
    eps: float = 1e-4
    n_stats: int = 51

    def __post_init__(self) -> None:
        """Raise ValueError for layers that do not fit together."""
        if not self.layers or min(self.channel_width, self.z_dim, self.num_classes) < 1:
            raise ValueError("a BigGAN needs at least one layer, channel, class and number in z")
        before = self.layers[0][1]
        for index, (_, inputs, outputs) in enumerate(self.layers):
            if inputs != before or not 1 <= outputs <= inputs:
                raise ValueError(
                    f"layer {index} takes {inputs} units of channels and gives {outputs}: wanted "
                    f"{before} to take, and at most as many to give"
                )
            before = outputs
        side = FIRST_SIDE * 2 ** sum(up for up, _, _ in self.layers)
        if side != self.output_dim:
            raise ValueError(f"the layers draw {side} pixels, but output_dim is {self.output_dim}")
        if self.n_stats < 2:
            raise ValueError(f"n_stats must be at least 2, got {self.n_stats}")

    @property
    def condition_dim(self) -> int:
        """Length of what conditions every layer: z and the class's embedding."""
        return self.z_dim + self.class_embed_dim


PUBLISHED: dict[int, BigGANConfig] = {
    128: BigGANConfig(),
    256: BigGANConfig(output_dim=256, layers=LAYERS_256),
    512: BigGANConfig(output_dim=512, layers=LAYERS_512),
}
"""The three released networks by the side of their pictures."""


def read_config(entries: Mapping[str, Any]) -> BigGANConfig:
    """The configuration in a `config.json` or a checkpoint.

    Raises:
        ValueError: an entry has another type, or the layers do not fit together.
    """
    try:
        return msgspec.convert(dict(entries), BigGANConfig)
    except msgspec.ValidationError as error:
        raise ValueError(f"wanted the configuration of a BigGAN, but found: {error}") from error


class BatchNorm(nn.Module):
    """Batch norm with statistics for each truncation; subclasses know scale and offset."""

    running_means: Tensor
    running_vars: Tensor

    def __init__(self, channels: int, config: BigGANConfig) -> None:
        super().__init__()
        self.register_buffer("running_means", torch.zeros(config.n_stats, channels))
        self.register_buffer("running_vars", torch.ones(config.n_stats, channels))
        self._eps = config.eps

    def normalised(self, x: Tensor, truncation: float) -> Tensor:
        """(n, channels, h, w) with the batch's own statistics in training, else the stored ones."""
        if self.training:  # one kernel, which halves a training's time on a CPU
            return functional.batch_norm(x, None, None, training=True, eps=self._eps)
        mean = at_truncation(self.running_means, truncation)
        var = at_truncation(self.running_vars, truncation)
        return (x - mean[:, None, None]) * torch.rsqrt(var + self._eps)[:, None, None]


def at_truncation(statistics: Tensor, truncation: float) -> Tensor:
    """One row of (n_stats, channels) for a truncation in 0..1.

    Between two rows the released graph weighs the *farther* one more. That is reproduced here, and
    with it that 0.14, 0.28 and 0.56, which floats put just above a row, take the one after it.
    """
    between, index = math.modf(truncation / (1.0 / (len(statistics) - 1)))
    row = statistics[int(index)]
    if between == 0.0:
        return row
    return row * between + statistics[int(index) + 1] * (1 - between)


class ConditionalNorm(BatchNorm):
    """Batch norm whose scale and offset are linear in the condition."""

    def __init__(self, channels: int, config: BigGANConfig) -> None:
        super().__init__(channels, config)
        size = config.condition_dim
        self.scale = spectral_norm(nn.Linear(size, channels, bias=False), eps=config.eps)
        self.offset = spectral_norm(nn.Linear(size, channels, bias=False), eps=config.eps)

    def forward(self, x: Tensor, truncation: float, condition: Tensor) -> Tensor:
        """(n, channels, h, w) and (n, condition_dim) -> (n, channels, h, w)."""
        scale, offset = 1 + self.scale(condition), self.offset(condition)
        normalised = self.normalised(x, truncation)
        return cast("Tensor", normalised * scale[:, :, None, None] + offset[:, :, None, None])


class LastNorm(BatchNorm):
    """Batch norm with a learnt scale and offset."""

    def __init__(self, channels: int, config: BigGANConfig) -> None:
        super().__init__(channels, config)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, truncation: float) -> Tensor:
        """(n, channels, h, w) -> the same shape."""
        normalised = self.normalised(x, truncation)
        return normalised * self.weight[:, None, None] + self.bias[:, None, None]


class Block(nn.Module):
    """Residual bottleneck: 1x1, 3x3, 3x3, 1x1, each after norm and ReLU."""

    def __init__(self, config: BigGANConfig, inputs: int, outputs: int, *, up: bool) -> None:
        """`up` doubles the side before the second convolution."""
        super().__init__()
        inner = inputs // SQUEEZE
        self.bn_0 = ConditionalNorm(inputs, config)
        self.conv_0 = _conv(inputs, inner, 1, config)
        self.bn_1 = ConditionalNorm(inner, config)
        self.conv_1 = _conv(inner, inner, 3, config)
        self.bn_2 = ConditionalNorm(inner, config)
        self.conv_2 = _conv(inner, inner, 3, config)
        self.bn_3 = ConditionalNorm(inner, config)
        self.conv_3 = _conv(inner, outputs, 1, config)
        self.up = up

    def forward(self, x: Tensor, truncation: float, condition: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, outputs, h or 2h, w or 2w)."""
        y = self.conv_0(self.bn_0(x, truncation, condition).relu())
        y = self.bn_1(y, truncation, condition).relu()
        y = self.conv_1(doubled(y) if self.up else y)
        y = self.conv_2(self.bn_2(y, truncation, condition).relu())
        y = self.conv_3(self.bn_3(y, truncation, condition).relu())
        return cast("Tensor", y + shortcut(x, y.shape[1], up=self.up))


def shortcut(x: Tensor, channels: int, *, up: bool) -> Tensor:
    """The first channels of a block's input, at the side of its output."""
    kept = x[:, :channels]
    return doubled(kept) if up else kept


def doubled(x: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, c, 2h, 2w), every value four times."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class Attention(nn.Module):
    """Self-attention over positions (Zhang et al. 2019), keys and values at half the side."""

    def __init__(self, channels: int, config: BigGANConfig) -> None:
        super().__init__()
        self.snconv1x1_theta = _conv(channels, channels // 8, 1, config, bias=False)
        self.snconv1x1_phi = _conv(channels, channels // 8, 1, config, bias=False)
        self.snconv1x1_g = _conv(channels, channels // 2, 1, config, bias=False)
        self.snconv1x1_o_conv = _conv(channels // 2, channels, 1, config, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> the same shape."""
        queries, keys, values = (
            self.snconv1x1_theta(x),
            self.snconv1x1_phi(x),
            self.snconv1x1_g(x),
        )
        found = self.snconv1x1_o_conv(attended(queries, keys, values))
        return cast("Tensor", x + self.gamma * found)


def attended(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(n, c/8, h, w), (n, c/8, h, w) and (n, c/2, h, w) -> (n, c/2, h, w); no 1/sqrt(d)."""
    n, _, height, width = queries.shape
    keys, values = functional.max_pool2d(keys, 2), functional.max_pool2d(values, 2)
    query, key, value = (x.flatten(2).transpose(1, 2)[:, None] for x in (queries, keys, values))
    found = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
    return found[:, 0].transpose(1, 2).reshape(n, -1, height, width)


class Ladder(nn.Module):
    """Condition to pictures: a linear layer to 4x4, the blocks, and three channels."""

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        unit = config.channel_width
        self.first_channels = unit * config.layers[0][1]
        first = nn.Linear(config.condition_dim, FIRST_SIDE**2 * self.first_channels)
        self.gen_z = spectral_norm(first, eps=config.eps)
        self.layers = nn.ModuleList()
        for index, (up, inputs, outputs) in enumerate(config.layers):
            if index == config.attention_layer_position:
                self.layers.append(Attention(unit * inputs, config))
            self.layers.append(Block(config, unit * inputs, unit * outputs, up=up))
        last = unit * config.layers[-1][2]
        self.bn = LastNorm(last, config)
        self.conv_to_rgb = _conv(last, max(3, last), 3, config)

    def forward(self, condition: Tensor, truncation: float) -> Tensor:
        """(n, condition_dim) -> (n, 3, output_dim, output_dim), -1 to 1."""
        x = as_map(self.gen_z(condition), self.first_channels)
        for layer in self.layers:
            x = layer(x) if isinstance(layer, Attention) else layer(x, truncation, condition)
        x = self.conv_to_rgb(self.bn(x, truncation).relu())
        return cast("Tensor", x[:, :3].tanh())  # the others are computed and left, as released


def as_map(x: Tensor, channels: int) -> Tensor:
    """(n, 4 * 4 * channels), channels last as TensorFlow has it, -> (n, channels, 4, 4)."""
    return x.view(-1, FIRST_SIDE, FIRST_SIDE, channels).permute(0, 3, 1, 2)


class BigGAN(nn.Module):
    """The whole generator: z and a class vector to pictures."""

    def __init__(self, config: BigGANConfig) -> None:
        """Fresh weights; `eval()` means nothing before some power iterations in `train()`."""
        super().__init__()
        self.config = config
        self.embeddings = nn.Linear(config.num_classes, config.class_embed_dim, bias=False)
        self.generator = Ladder(config)

    def forward(self, z: Tensor, classes: Tensor, truncation: float = 1.0) -> Tensor:
        """Draw.

        Args:
            z: (n, z_dim), drawn from a normal within -2 to 2 and multiplied by the truncation.
            classes: (n, num_classes), weights of the classes; one-hot in training.
            truncation: 0 to 1, chooses the statistics.

        Returns:
            (n, 3, output_dim, output_dim), -1 to 1.
        """
        condition = torch.cat([z, self.embeddings(classes)], dim=1)
        return cast("Tensor", self.generator(condition, truncation))


@torch.no_grad()
def measure_statistics(network: BigGAN, draw: Callable[[float], tuple[Tensor, Tensor]]) -> None:
    """Fill the statistics of every truncation, and leave the network in `eval()`.

    Args:
        network: trained.
        draw: a truncation -> one batch of (z, classes), already truncated. The larger it is, the
            nearer the statistics come to those of all pictures.
    """
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    rows = network.config.n_stats
    for index in range(rows):
        hooks = [norm.register_forward_pre_hook(_keeper(index)) for norm in norms]
        for norm in norms:
            norm.training = True  # without its layers: their spectral norm stays as it is
        truncation = index / (rows - 1)
        network(*draw(truncation), truncation)
        for hook in hooks:
            hook.remove()
    network.eval()


def _keeper(index: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    """A hook that stores the statistics of a norm's input in row `index`."""

    def keep(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        var, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        norm.get_buffer("running_means")[index] = mean
        norm.get_buffer("running_vars")[index] = var

    return keep


def _conv(
    inputs: int, outputs: int, size: int, config: BigGANConfig, *, bias: bool = True
) -> nn.Conv2d:
    made = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias)
    return spectral_norm(made, eps=config.eps)
