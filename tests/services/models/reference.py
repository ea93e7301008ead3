"""StyleGAN2 written down a second time, slowly, in float64, straight from the equations.

Each row is computed alone with a weight of its own; every resampling is zero insertion, padding,
the whole filter, and dropping of pixels; nothing is shared with `services.models`. Equations:
Karras et al. 2020, sections 2.2 and 4; equalised learning rates and minibatch statistics: Karras et
al. 2018; class projections: Miyato and Koyama 2018.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from services.models.stylegan2 import GeneratorConfig
from services.models.stylegan2_discriminator import DiscriminatorConfig

Tensors = dict[str, Tensor]
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
FILTER = torch.outer(TAPS, TAPS) / TAPS.sum() ** 2


def resample(x: Tensor, pad: tuple[int, int], *, up: int = 1, down: int = 1) -> Tensor:
    """(c, h, w): insert zeros, pad before and after, filter, keep every `down`th pixel."""
    c, h, w = x.shape
    spread = torch.zeros(c, h * up, w * up, dtype=x.dtype)
    spread[:, ::up, ::up] = x
    padded = functional.pad(spread, (*pad, *pad))
    taps = (FILTER * up * up).flip(0, 1)[None, None]
    filtered = torch.cat([functional.conv2d(plane[None, None], taps)[0] for plane in padded])
    return filtered[:, ::down, ::down]


def convolve(x: Tensor, weight: Tensor, *, flipped: bool = False, stride: int = 1) -> Tensor:
    """(c, h, w), no padding; `flipped` for a convolution in the mathematician's sense."""
    kernel = weight.flip(2, 3) if flipped else weight
    return functional.conv2d(x[None], kernel, stride=stride)[0]


def padded(x: Tensor, by: int) -> Tensor:
    return functional.pad(x, (by, by, by, by))


def lrelu(x: Tensor) -> Tensor:
    return torch.where(x < 0, 0.2 * x, x) * math.sqrt(2)


def limited(x: Tensor, clamp: float | None, gain: float = 1.0) -> Tensor:
    return x if clamp is None else torch.clamp(x, -clamp * gain, clamp * gain)


def dense(p: Tensors, name: str, x: Tensor, lr: float = 1.0) -> Tensor:
    weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
    return weight @ x * lr / math.sqrt(weight.shape[1]) + bias * lr


def unit(x: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).mean() + 1e-8)


def mapped(p: Tensors, layers: int, lr: float, x: Tensor) -> Tensor:
    for index in range(layers):
        x = lrelu(dense(p, f"mapping.fc{index}", x, lr))
    return x


def layer(
    p: Tensors, name: str, x: Tensor, w: Tensor, config: GeneratorConfig, gain: float = 1.0
) -> Tensor:
    style = dense(p, f"{name}.affine", w)
    weight = p[f"{name}.weight"] * style[None, :, None, None]
    weight = weight / torch.sqrt((weight * weight).sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
    if name.endswith("conv0"):
        x = convolve(resample(x, (3, 2), up=2), weight, flipped=True)
    else:
        x = convolve(padded(x, 1), weight)
    x = x + p[f"{name}.noise_const"] * p[f"{name}.noise_strength"]
    x = lrelu(x + p[f"{name}.bias"][:, None, None]) * gain
    return limited(x, config.conv_clamp, gain)


def colours(p: Tensors, name: str, x: Tensor, w: Tensor, config: GeneratorConfig) -> Tensor:
    style = dense(p, f"{name}.affine", w) / math.sqrt(len(x))
    rgb = convolve(x, p[f"{name}.weight"] * style[None, :, None, None])
    return limited(rgb + p[f"{name}.bias"][:, None, None], config.conv_clamp)


def draw(
    p: Tensors, config: GeneratorConfig, z: Tensor, psi: float, label: Tensor | None
) -> Tensor:
    """One picture, (3, r, r)."""
    x = unit(z)
    if label is not None:
        x = torch.cat([x, unit(dense(p, "mapping.embed", label))])
    w = mapped(p, config.mapping_layers, config.mapping_lr_multiplier, x)
    truncated = p["mapping.w_avg"] + psi * (w - p["mapping.w_avg"])
    cutoff = config.num_ws if config.truncation_cutoff is None else config.truncation_cutoff
    ws = [truncated if index < cutoff else w for index in range(config.num_ws)]
    x, image = p["synthesis.b4.const"], torch.zeros(3, 1, 1, dtype=torch.float64)
    for place, resolution in enumerate(config.resolutions):
        name = f"synthesis.b{resolution}"
        residual = config.architecture == "resnet" and place > 0
        gain = math.sqrt(0.5) if residual else 1.0
        before = x
        if place:
            x = layer(p, f"{name}.conv0", x, ws[2 * place - 1], config)
        x = layer(p, f"{name}.conv1", x, ws[2 * place], config, gain)
        if residual:
            weight = p[f"{name}.skip.weight"] / math.sqrt(len(before))
            x = x + gain * convolve(resample(before, (2, 1), up=2), weight)
        if config.architecture == "skip" or resolution == config.resolution:
            rgb = colours(p, f"{name}.torgb", x, ws[2 * place + 1], config)
            image = rgb if image.shape[1] == 1 else rgb + resample(image, (2, 1), up=2)
    return image


def plain(
    p: Tensors, name: str, x: Tensor, clamp: float | None, *, down: bool = False, gain: float = 1.0
) -> Tensor:
    """A discriminator's convolution with bias and activation."""
    weight = p[f"{name}.weight"]
    weight = weight / math.sqrt(weight[0].numel())
    if down:
        x = convolve(resample(x, (2, 2)), weight, stride=2)
    else:
        x = convolve(padded(x, weight.shape[-1] // 2), weight)
    return limited(lrelu(x + p[f"{name}.bias"][:, None, None]) * gain, clamp, gain)


def score(p: Tensors, config: DiscriminatorConfig, image: Tensor, label: Tensor | None) -> Tensor:
    """The logit of one picture, alone in its group."""
    x = torch.zeros(0)
    clamp = config.conv_clamp
    for resolution in config.resolutions:
        name = f"b{resolution}"
        if resolution == config.resolution or config.architecture == "skip":
            read = plain(p, f"{name}.fromrgb", image, clamp)
            x = read if not len(x) else x + read
        if config.architecture == "skip":
            image = resample(image, (1, 1), down=2)
        residual = config.architecture == "resnet"
        gain = math.sqrt(0.5) if residual else 1.0
        before = x
        x = plain(p, f"{name}.conv0", x, clamp)
        x = plain(p, f"{name}.conv1", x, clamp, down=True, gain=gain)
        if residual:
            weight = p[f"{name}.skip.weight"] / math.sqrt(len(before))
            x = x + gain * convolve(resample(before, (1, 1), down=2), weight)
    if config.architecture == "skip":
        x = x + plain(p, "b4.fromrgb", image, None)
    alone = torch.full((config.minibatch_features, 4, 4), math.sqrt(1e-8), dtype=torch.float64)
    x = plain(p, "b4.conv", torch.cat([x, alone]), clamp)
    x = dense(p, "b4.out", lrelu(dense(p, "b4.fc", x.flatten())))
    if label is None:
        return x[0]
    projection = unit(dense(p, "mapping.embed", label))
    projection = mapped(p, config.mapping_layers, config.mapping_lr_multiplier, projection)
    return (x * projection).sum() / math.sqrt(config.cmap_dim)
