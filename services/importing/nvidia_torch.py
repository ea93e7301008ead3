"""The pickles of NVIDIA's stylegan2-ada-pytorch and stylegan3 repositories that hold StyleGAN2.

A dict with `G`, `D` and `G_ema`, each a module whose class would be made by running source code
that lies in the file (`torch_utils.persistence`). Here it is never run: tensors, submodules and a
few attributes are read from the module's state. `G_ema` becomes the generator. What else the dict
holds (training options, an augmentation pipeline of any kind) is not looked at.

Layout: `G_ema` is an object of class Generator with `_modules` synthesis and mapping; see
`services.importing.opcodes` for why it is not unpickled.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from torch import Tensor

from services.importing.networks import Facts, Imported, imported_discriminator, imported_generator
from services.importing.opcodes import interpret
from services.importing.refusal import RefusedError
from services.importing.sniffing import NVIDIA_TORCH, maker_of
from services.importing.torch_files import load_storage
from services.importing.values import Fields, Record, Values

WHAT: Final = "a pickle of stylegan2-ada-pytorch or stylegan3"
LICENCE: Final = (
    "networks that NVIDIA released: NVIDIA Source Code License, non-commercial; "
    "others: ask whoever trained them"
)
DEEPEST_MODULE: Final = 16


def recognises(path: Path) -> bool:
    """Whether it is a pickle whose first module of NVIDIA's is torch_utils.persistence."""
    return maker_of(path) == NVIDIA_TORCH


def read(path: Path, bar_rows: int) -> list[Imported]:
    """The generator, and the discriminator where there is one that can be read.

    Raises:
        OSError: the file cannot be read.
        RefusedError: it is damaged, refused, or holds another network.
    """
    with path.open("rb") as file:
        root = interpret(file)
    networks = Values(2 * path.stat().st_size, load_storage=load_storage).fields(root)
    name = "G_ema" if "G_ema" in networks else "G"
    if name not in networks:
        raise RefusedError("it has neither G_ema nor G")
    judges: list[Imported] = []
    notes: tuple[str, ...] = ()
    try:
        if "D" in networks and networks["D"] is not None:
            discriminator = _module(networks, "D")
            tensors, facts = dict(_tensors(discriminator)), _facts(discriminator)
            judges.append(imported_discriminator(tensors, facts, bar_rows))
    except RefusedError as error:  # of another kind, as StyleGAN-XL's
        notes = (f"its discriminator was left out: {error}",)
    generator = _module(networks, name)
    tensors, facts = dict(_tensors(generator)), _facts(generator)
    return [imported_generator(tensors, facts, bar_rows, notes), *judges]


def _module(networks: Fields, name: str) -> Record:
    module = networks[name]
    if not isinstance(module, Record):
        raise RefusedError(f"its {name} is no network")
    if "input" in _path(module, "synthesis").attributes.fields("_modules"):
        raise RefusedError("it holds a StyleGAN3 generator; only StyleGAN2's can be imported")
    return module


def _path(module: Record, *names: str) -> Record:
    """The submodule of that path, or the last one on the way that is there."""
    for name in names:
        child = module.attributes.fields("_modules").get(name)
        if not isinstance(child, Record):
            break
        module = child
    return module


def _tensors(module: Record, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of a module and of all below it, with their names."""
    if depth == DEEPEST_MODULE:
        raise RefusedError(f"its modules are nested more than {DEEPEST_MODULE} deep")
    for kind in ("_parameters", "_buffers"):
        for name, value in module.attributes.fields(kind).items():
            if isinstance(value, Tensor):
                yield prefix + name, value
            elif value is not None:
                raise RefusedError(f"its {prefix}{name} is no tensor")
    for name, child in module.attributes.fields("_modules").items():
        if not isinstance(child, Record):
            raise RefusedError(f"its {prefix}{name} is no module")
        yield from _tensors(child, f"{prefix}{name}.", depth + 1)


def _facts(module: Record) -> Facts:
    """From the attributes of a convolution and of the first layer of the mapping network."""
    generates = "synthesis" in module.attributes.fields("_modules")
    block = _path(module, "synthesis", "b4") if generates else _path(module, "b4")
    convolution = _path(block, "conv1" if generates else "conv")
    mapping = _path(module, "mapping", "fc0").attributes
    clamp, gain = convolution.attributes.get("conv_clamp"), mapping.get("bias_gain", 0.01)
    activation = convolution.attributes.get("activation", "lrelu")
    if not isinstance(clamp, int | float | None) or not isinstance(gain, int | float):
        raise RefusedError("its clamp or its learning-rate gain is no number")
    if not isinstance(activation, str):
        raise RefusedError("its activation is no name")
    return Facts(conv_clamp=clamp, mapping_lr_multiplier=gain, activation=activation)
