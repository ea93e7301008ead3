"""Image classifiers of transformers, from a folder as the hub has them.

The folder holds `config.json`, `model.safetensors` and, but for timm's, `preprocessor_config.json`;
pictures are made ready as the last one says. Nothing is fetched and no code of the folder is run:
pickled weights and networks that are not transformers' own are refused.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from protocol.tensors import Array
from services.models.checkpoints import Checkpoint
from services.models.one_head import OneHead
from services.models.torchvision_ops import ensure_torchvision

ARCHITECTURE: Final = "hugging-face-classifier"
CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
PREPROCESSOR: Final = "preprocessor_config.json"
CHUNK_BYTES: Final = 1 << 20


def folder_checkpoint(folder: Path) -> Checkpoint:
    """A folder as a checkpoint, with nothing read but its digest.

    Raises:
        ValueError: one of its files is missing.
        OSError: one cannot be read.
    """
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"the folder holds no {' and no '.join(missing)}")
    digest = hashlib.blake2b(digest_size=16)
    for name in (CONFIG, PREPROCESSOR, WEIGHTS):
        if (folder / name).is_file():
            with (folder / name).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
    said = f"blake2b:{digest.hexdigest()}"
    return Checkpoint(ARCHITECTURE, {"folder": str(folder)}, {}, {}, said)


def load(checkpoint: Checkpoint, device: torch.device) -> OneHead:
    """The classifier in a folder.

    Raises:
        ValueError: transformers cannot make an image classifier of it.
    """
    ensure_torchvision()  # transformers imports it
    from transformers import AutoImageProcessor, AutoModelForImageClassification
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = str(checkpoint.config["folder"])
    ours: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        read_processor: Any = AutoImageProcessor.from_pretrained  # transformers leaves it untyped
        processor = read_processor(folder, **ours)
        network, found = AutoModelForImageClassification.from_pretrained(
            folder,
            **ours,
            use_safetensors=True,
            attn_implementation="eager",  # others can be fetched and run
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # whatever a wrong folder makes transformers say
        said = str(error).strip().splitlines()[:1]
        raise ValueError(
            f"transformers can make no image classifier of it: {''.join(said)}"
        ) from error
    if found["missing_keys"]:
        few = ", ".join(sorted(found["missing_keys"])[:3])
        raise ValueError(f"{len(found['missing_keys'])} of its tensors are missing: {few}")
    named = network.config.id2label

    def prepare(pictures: Array) -> Tensor:
        pixels: Tensor = processor(list(pictures), return_tensors="pt")["pixel_values"]
        return pixels

    sides = prepare(_black()).shape[2:]
    labels = [str(named[index]) for index in sorted(named)]
    return OneHead(network.to(device), prepare, labels, int(max(sides)))


def _black() -> Array:
    return torch.zeros(1, 64, 64, 3, dtype=torch.uint8).numpy()
