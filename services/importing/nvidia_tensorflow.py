"""NVIDIA's TensorFlow pickles of StyleGAN2 and StyleGAN2-ADA.

Church, car, cat and horse exist in no other official form.

A tuple (G, D, Gs) of `dnnlib.tflib.network.Network`, or one of them alone; each has its variables
as (name, array) and its components, of which unpickling would run the source. `Gs`, the average
over training, becomes the generator.

To NVIDIA's PyTorch names: convolution weights are (k, k, in, out) and become (out, in, k, k), those
of up-sampling layers flipped, because TensorFlow's transposed convolution runs the other way; dense
weights are transposed; the styles' bias has its 1 added.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from services.importing.networks import Facts, Imported, imported_discriminator, imported_generator
from services.importing.opcodes import interpret
from services.importing.refusal import RefusedError
from services.importing.sniffing import NVIDIA_TENSORFLOW, maker_of
from services.importing.values import Fields, Record, Values

WHAT: Final = "NVIDIA's TensorFlow pickle"
LICENCE: Final = (
    "networks that NVIDIA released: NVIDIA Source Code License-NC, research or evaluation only; "
    "others: ask whoever trained them"
)
DEEPEST_COMPONENT: Final = 8

Array = np.ndarray[Any, Any]
Convert = Callable[[Array], Array]


def _as_is(value: Array) -> Array:
    return value


def _first(value: Array) -> Array:
    return value.reshape(value.shape[1:])


def _plane(value: Array) -> Array:
    return value.reshape(value.shape[2:])


def _plus_one(value: Array) -> Array:
    return value + 1


def _dense(value: Array) -> Array:
    return value.T


def _convolution(value: Array) -> Array:
    return value.transpose(3, 2, 0, 1)


def _up_convolution(value: Array) -> Array:
    return value[::-1, ::-1].transpose(3, 2, 0, 1)


LAYER: Final[dict[str, tuple[str, Convert]]] = {
    "bias": ("bias", _as_is),
    "noise_strength": ("noise_strength", _as_is),
    "mod_weight": ("affine.weight", _dense),
    "mod_bias": ("affine.bias", _plus_one),
}
Rule = tuple[str, str, Convert]
GENERATOR: Final[tuple[Rule, ...]] = (
    (r"dlatent_avg", "mapping.w_avg", _as_is),
    (r"mapping/Dense(\d+)/weight", r"mapping.fc\1.weight", _dense),
    (r"mapping/Dense(\d+)/bias", r"mapping.fc\1.bias", _as_is),
    (r"mapping/LabelEmbed/weight", "mapping.embed.weight", _dense),
    (r"mapping/LabelEmbed/bias", "mapping.embed.bias", _as_is),
    (r"synthesis/4x4/Const/const", "synthesis.b4.const", _first),
    (r"synthesis/4x4/Conv/weight", "synthesis.b4.conv1.weight", _convolution),
    (r"synthesis/(\d+)x\1/Conv0_up/weight", r"synthesis.b\1.conv0.weight", _up_convolution),
    (r"synthesis/(\d+)x\1/Conv1/weight", r"synthesis.b\1.conv1.weight", _convolution),
    (r"synthesis/(\d+)x\1/ToRGB/weight", r"synthesis.b\1.torgb.weight", _convolution),
    (r"synthesis/(\d+)x\1/Skip/weight", r"synthesis.b\1.skip.weight", _up_convolution),
    *(
        (rf"synthesis/(\d+)x\1/{theirs}/{part}", rf"synthesis.b\1.{ours}.{to}", convert)
        for theirs, ours in (("Conv0_up", "conv0"), ("Conv1?", "conv1"), ("ToRGB", "torgb"))
        for part, (to, convert) in LAYER.items()
    ),
)
DISCRIMINATOR: Final[tuple[Rule, ...]] = (
    (r"4x4/Dense0/weight", "b4.fc.weight", _dense),
    (r"4x4/Dense0/bias", "b4.fc.bias", _as_is),
    (r"Output/weight", "b4.out.weight", _dense),
    (r"Output/bias", "b4.out.bias", _as_is),
    (r"LabelEmbed/weight", "mapping.embed.weight", _dense),
    (r"LabelEmbed/bias", "mapping.embed.bias", _as_is),
    (r"Mapping(\d+)/weight", r"mapping.fc\1.weight", _dense),
    (r"Mapping(\d+)/bias", r"mapping.fc\1.bias", _as_is),
    *(
        (rf"(\d+)x\1/{theirs}/{part}", rf"b\1.{ours}.{part}", convert)
        for theirs, ours in (
            *(("FromRGB", "fromrgb"), ("Conv0", "conv0"), ("Conv1_down", "conv1")),
            *(("Skip", "skip"), ("Conv", "conv")),
        )
        for part, convert in (("weight", _convolution), ("bias", _as_is))
    ),
)


def recognises(path: Path) -> bool:
    """Whether it is a pickle whose first module of NVIDIA's is dnnlib.tflib.network."""
    return maker_of(path) == NVIDIA_TENSORFLOW


def read(path: Path, bar_rows: int) -> list[Imported]:
    """The generator Gs, and the discriminator where there is one.

    Raises:
        OSError: the file cannot be read.
        RefusedError: it is damaged, refused, or holds another network.
    """
    with path.open("rb") as file:
        root = interpret(file)
    values = Values(2 * path.stat().st_size)
    nodes = root if isinstance(root, tuple) else (root,)
    if len(nodes) not in {1, 3}:
        raise RefusedError(f"it has {len(nodes)} networks; G, D and Gs were expected, or Gs alone")
    found = [_generator(_network(values.build(nodes[-1])), bar_rows)]
    if len(nodes) == 3:
        found.append(_discriminator(_network(values.build(nodes[1])), bar_rows))
    return found


def _network(value: Any) -> Record:
    if not isinstance(value, Record):
        raise RefusedError("where a network was expected it has something else")
    return value


def _generator(network: Record, bar_rows: int) -> Imported:
    tensors = {}
    for name, value in _variables(network):
        if name in {"lod", "synthesis/lod"}:
            continue
        if match := re.fullmatch(r"synthesis/noise(\d+)", name):
            tensors[_noise_name(int(match[1]))] = _tensor(name, value, _plane)
        else:
            tensors.update([_translated(name, value, GENERATOR)])
    return imported_generator(tensors, _facts(network, "mapping_nonlinearity", 0.01), bar_rows)


def _discriminator(network: Record, bar_rows: int) -> Imported:
    named = [pair for pair in _variables(network) if pair[0] != "lod"]
    tensors = dict(_translated(name, value, DISCRIMINATOR) for name, value in named)
    return imported_discriminator(tensors, _facts(network, "nonlinearity", 0.1), bar_rows)


def _variables(network: Record, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Names and values of a network's variables and of its components'."""
    variables = network.attributes.get("variables")
    if depth == DEEPEST_COMPONENT or not isinstance(variables, list):
        raise RefusedError("its networks are not as TensorFlow's StyleGAN2 has them")
    for pair in variables:
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise RefusedError("a variable of it is no name and array")
        yield prefix + pair[0], pair[1]
    for name, component in network.attributes.fields("components").items():
        yield from _variables(_network(component), f"{prefix}{name}/", depth + 1)


def _noise_name(index: int) -> str:
    """noise0 is at 4x4, then two at each resolution."""
    resolution = 4 << (index + 1) // 2 if index < 32 else 0
    return f"synthesis.b{resolution}.conv{index % 2 ^ 1}.noise_const"


def _translated(name: str, value: Any, rules: tuple[Rule, ...]) -> tuple[str, Tensor]:
    for pattern, ours, convert in rules:
        if match := re.fullmatch(pattern, name):
            return match.expand(ours), _tensor(name, value, convert)
    raise RefusedError(f"its variable {name:.100} is none of StyleGAN2's")


def _tensor(name: str, value: Any, convert: Convert) -> Tensor:
    if not isinstance(value, np.ndarray | float):
        raise RefusedError(f"its variable {name:.100} is no array")
    try:
        return torch.from_numpy(np.array(convert(np.asarray(value)), dtype=np.float32))
    except (ValueError, IndexError) as error:
        raise RefusedError(f"its variable {name:.100} has shape {np.shape(value)}") from error


def _facts(network: Record, activation: str, lr_multiplier: float) -> Facts:
    """From the network's static arguments, with NVIDIA's defaults."""
    told: Fields = network.attributes.fields("static_kwargs")
    clamp, gain = told.get("conv_clamp"), told.get("mapping_lrmul", lr_multiplier)
    cutoff = told.get("truncation_cutoff")
    if not isinstance(clamp, int | float | None) or not isinstance(gain, int | float):
        raise RefusedError("its clamp or its learning-rate gain is no number")
    if not isinstance(cutoff, int | None):
        raise RefusedError("its truncation_cutoff is no number")
    taps = told.get("resample_kernel") or told.get("resample_filter") or [1, 3, 3, 1]
    if not isinstance(taps, list) or any(not isinstance(tap, int | float) for tap in taps):
        raise RefusedError("its resampling filter is no list of numbers")
    if taps != [1, 3, 3, 1]:
        raise RefusedError(f"its resampling filter is {taps!s:.40}; only [1, 3, 3, 1] is computed")
    names = [told.get(each, "lrelu") for each in ("nonlinearity", activation)]
    other = [name for name in names if name != "lrelu"]
    kind = other[0] if other else "lrelu"
    if not isinstance(kind, str):  # whose text may be exponentially long: lists can be shared
        raise RefusedError("its activation is no name")
    return Facts(
        conv_clamp=clamp,
        mapping_lr_multiplier=gain,
        truncation_cutoff=cutoff,
        activation=kind,
    )
