"""BigGAN-deep as Hugging Face released it: a state dict, and its configuration beside it.

`biggan-deep-256-pytorch_model.bin` with `biggan-deep-256-config.json`, or `pytorch_model.bin` with
`config.json`; without one, the released configuration that fits the tensors.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from services.importing.networks import Imported
from services.importing.refusal import RefusedError
from services.importing.torch_files import is_torch_file, open_torch_file
from services.models.biggan import PUBLISHED, BigGAN, BigGANConfig, read_config

WHAT: Final = "BigGAN-deep's pytorch_model.bin of Hugging Face"
LICENCE: Final = "MIT (pytorch-pretrained-BigGAN), converted from DeepMind's (Apache-2.0)"
MODEL, CONFIG = "pytorch_model.bin", "config.json"
MOST_CONFIG_BYTES: Final = 1 << 20


def recognises(path: Path) -> bool:
    """Whether it is a file of torch.save with BigGAN's first layer."""
    return is_torch_file(path) and "generator.gen_z.weight_orig" in open_torch_file(path)


def read(path: Path, bar_rows: int) -> list[Imported]:
    """The generator.

    Raises:
        OSError: a file cannot be read.
        ValueError: it is damaged, refused, or does not fit its configuration.
    """
    if bar_rows:
        raise RefusedError("BigGAN's pictures have no bars")
    tensors = {name: value for name, value in open_torch_file(path).items() if _kept(name, value)}
    for config in _configs(path):
        if _shapes(config) == {name: tuple(tensor.shape) for name, tensor in tensors.items()}:
            config_json = dataclasses.asdict(config)
            return [Imported("generator", "biggan-deep-generator", config_json, tensors)]
    raise RefusedError(f"its tensors are not those of the {CONFIG} beside it, or of any release")


def _kept(name: str, value: object) -> bool:
    if not isinstance(value, Tensor):
        raise RefusedError(f"{name} is no tensor")
    return True


def _configs(path: Path) -> Iterator[BigGANConfig]:
    """What the file beside says, or else what was released."""
    for beside in (path.with_name(path.name.replace(MODEL, CONFIG)), path.with_name(CONFIG)):
        if beside != path and beside.is_file():
            yield read_config(read_object(beside))
            return
    yield from PUBLISHED.values()


def read_object(path: Path) -> dict[str, object]:
    """A JSON object in a file beside a model.

    Raises:
        OSError: the file cannot be read.
        RefusedError: it is too large, or no JSON object.
    """
    if path.stat().st_size > MOST_CONFIG_BYTES:
        raise RefusedError(f"{path.name} beside it has more than {MOST_CONFIG_BYTES >> 20} MiB")
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise RefusedError(f"{path.name} beside it is no JSON") from error
    if not isinstance(found, dict):
        raise RefusedError(f"{path.name} beside it holds no JSON object")
    return found


def _shapes(config: BigGANConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = BigGAN(config).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
