"""A mapping network that is written down instead of learnt.

The factors of a scene are steps of projections of z (`miniatures.factors`). Taught by examples, a
network of this size blurs the steps, and a blurred step is a car between two colours. But two
leaky units make a step: lrelu(a) - lrelu(a - 1) is 0.2 below a = 0 and 1 above a = 1. So:

fc0 pairs of units for all steps, and kinks that together follow a smooth factor fc1 one-hot
categories, smooth factors, and the joint one-hots as lrelu(sum - (m - 1)) fc2-4 the three layers
of the trained FactorNetwork

Promises: for z outside the steps' flanks (about 2 % of all z) w is the FactorNetwork's, moved by
a constant that `move_w` takes out of the synthesis network again. The numbers that must cancel
are rounded to what fp16 holds exactly.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import Final

import torch
from torch import Tensor, nn

from miniatures.domains import Domain
from miniatures.factors import cut, directions, features_of, thresholds
from services.models.stylegan2 import Generator, Mapping
from services.models.stylegan2_layers import SQRT_2

STEEPNESS: Final = 256.0
"""How fast a step rises: a flank is 1 / STEEPNESS of a standard deviation wide."""
KINKS: Final = (-2.0, -1.3, -0.7, 0.0, 0.7, 1.3, 2.0)
LEAK: Final = 0.2
MARGIN: Final = 2.0


def construct_mapping(
    mapping: Mapping, factor_layers: Sequence[nn.Linear], domain: Domain
) -> Tensor:
    """Write all five layers; returns the (w_dim,) constant by which w was moved."""
    z_dim = mapping.get_parameter("fc0.weight").shape[1]
    _write(mapping, "fc0", *_first_layer(z_dim, domain))
    _write(mapping, "fc1", *_second_layer(domain))
    first, second, third = ((layer.weight.detach(), layer.bias.detach()) for layer in factor_layers)
    _write(mapping, "fc2", *_third_layer(*first, domain))
    _write(mapping, "fc3", second[0] / SQRT_2, second[1])
    shift = _shift(z_dim, factor_layers, domain)
    _write(mapping, "fc4", third[0] / 2, (third[1] + shift) / SQRT_2)
    return shift


@torch.no_grad()
def move_w(generator: Generator, shift: Tensor) -> None:
    """Make the synthesis network expect w moved by `shift`, (w_dim,)."""
    for name, module in generator.synthesis.named_modules():
        if name.endswith(".affine"):
            weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
            bias.sub_(weight @ shift / math.sqrt(len(shift)))


def joint_members(domain: Domain) -> list[list[int]]:
    """For each joint one-hot in order, the positions in the features of the one-hots it joins."""
    starts, start = {}, 0
    for name, values in domain.categories.items():
        starts[name] = range(start, start + len(values))
        start += len(values)
    return [
        list(members) for group in domain.joint for members in product(*(starts[n] for n in group))
    ]


def _first_layer(z_dim: int, domain: Domain) -> tuple[Tensor, Tensor]:
    axes = directions(z_dim, domain).T
    weights, biases = [], []
    for axis, values in zip(axes, domain.categories.values(), strict=False):
        for threshold in thresholds(len(values)):
            middle = round(-STEEPNESS * threshold * 4) / 4
            weights += [axis * STEEPNESS] * 2
            biases += [middle + 0.5, middle - 0.5]
    for axis in axes[len(domain.categories) :]:
        weights += [axis] * len(KINKS)
        biases += [-kink for kink in KINKS]
    return torch.stack(weights).half().float(), torch.tensor(biases)


def _second_layer(domain: Domain) -> tuple[Tensor, Tensor]:
    """Reads lrelu of fc0; writes features (smooth ones plus 1) and the sums of joint one-hots."""
    steps = sum(len(values) - 1 for values in domain.categories.values())
    inputs = 2 * steps + len(domain.smooth) * len(KINKS)
    rows, biases = [], []
    start = 0
    for values in domain.categories.values():
        for value in range(len(values)):
            row, bias = torch.zeros(inputs), 0.0
            for step, sign in ((value, 1.0), (value + 1, -1.0)):
                if 1 <= step < len(values):
                    pair = 2 * (start + step - 1)
                    row[pair], row[pair + 1] = sign / (1 - LEAK), -sign / (1 - LEAK)
                    bias -= sign * LEAK / (1 - LEAK)
            rows.append(row)
            biases.append(bias + (1.0 if value == 0 else 0.0))
        start += len(values) - 1
    kinks, constant = _smooth_fit()
    for index in range(len(domain.smooth)):
        row = torch.zeros(inputs)
        first = 2 * steps + index * len(KINKS)
        row[first : first + len(KINKS)] = kinks
        rows.append(row)
        biases.append(constant + 1.0)
    for members in joint_members(domain):
        rows.append(torch.stack([rows[member] for member in members]).sum(dim=0))
        biases.append(sum(biases[member] for member in members) - (len(members) - 1))
    return torch.stack(rows) / SQRT_2, torch.tensor(biases)


def _smooth_fit() -> tuple[Tensor, float]:
    """Weights of lrelu(u - kink) and a constant that together are nearest to erf(u / sqrt(2))."""
    u = torch.special.ndtri(torch.linspace(0.0005, 0.9995, 2000, dtype=torch.float64))
    bends = torch.stack([nn.functional.leaky_relu(u - kink, LEAK) for kink in KINKS], dim=1)
    basis = torch.cat([bends, torch.ones(len(u), 1, dtype=torch.float64)], dim=1)
    wanted = torch.erf(u / SQRT_2)[:, None]
    found: Tensor = torch.linalg.lstsq(basis, wanted).solution[:, 0]
    return found[:-1].float(), float(found[-1])


def _third_layer(weight: Tensor, bias: Tensor, domain: Domain) -> tuple[Tensor, Tensor]:
    """The FactorNetwork's first layer, reading lrelu of fc1.

    lrelu(x) is 0.2 x + 0.8 relu(x), and relu of a sum of m one-hots less (m - 1) is their product;
    the share 0.2 x is a sum of one-hots and is taken off again.
    """
    plain = sum(len(values) for values in domain.categories.values())
    smooth = len(domain.smooth)
    written, moved = weight.clone(), bias.clone()
    moved -= weight[:, plain : plain + smooth].sum(dim=1)
    for index, members in enumerate(joint_members(domain)):
        column = weight[:, plain + smooth + index] / (1 - LEAK)
        written[:, plain + smooth + index] = column
        moved += LEAK * column * (len(members) - 1)
        for member in members:
            written[:, member] -= LEAK * column
    return written / SQRT_2, moved


@torch.no_grad()
def _shift(z_dim: int, factor_layers: Sequence[nn.Linear], domain: Domain) -> Tensor:
    """(w_dim,) by which w must be moved for the last leaky unit to stay on its straight side."""
    seeded = torch.Generator().manual_seed(0)
    features = features_of(cut(torch.randn(20_000, z_dim, generator=seeded), domain))
    products = [features[:, members].prod(dim=1) for members in joint_members(domain)]
    x = torch.cat([features, torch.stack(products, dim=1)], dim=1)
    for layer in factor_layers[:-1]:
        x = nn.functional.leaky_relu(layer(x), LEAK)
    shift: Tensor = MARGIN - factor_layers[-1](x).amin(dim=0)
    return shift


@torch.no_grad()
def _write(mapping: Mapping, name: str, weight: Tensor, bias: Tensor) -> None:
    """Put effective weights into the upper left of a layer and zeros into the rest."""
    stored, offset = mapping.get_parameter(f"{name}.weight"), mapping.get_parameter(f"{name}.bias")
    stored.zero_()
    offset.zero_()
    stored[: weight.shape[0], : weight.shape[1]] = weight * math.sqrt(stored.shape[1])
    offset[: len(bias)] = bias
