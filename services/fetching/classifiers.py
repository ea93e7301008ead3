"""Classifiers of others on this machine: torchvision's by name, transformers' by hub repository.

torchvision's weights are pickled state dicts: read once, with `weights_only`, and kept as a
checkpoint. The hub's are safetensors already, and stay as they are.
"""

import pickle
import re
import shutil
from pathlib import Path
from typing import Any, Final

import torch

from protocol.errors import BadRequestError, StorageError, WeightsError
from services.catalogue import HUB, TORCHVISION, Model
from services.classifier.hugging_face_classifier import CONFIG, PREPROCESSOR, WEIGHTS
from services.fetching.download import Address, download
from services.fetching.folder import downloads_folder
from services.fetching.hub import fetch, fetch_optional
from services.models.checkpoints import save_checkpoint
from services.models.torchvision_ops import ensure_torchvision

NAMED: Final = re.compile(r"-([0-9a-f]{8,64})\.pth$")


def fetch_classifier(model: Model) -> Path:
    """Fetch the files of a classifier to its place.

    Raises:
        BadRequestError: torchvision has no such classifier, or is not installed.
        WeightsError: they cannot be had.
        StorageError: they cannot be kept.
    """
    if model.source == TORCHVISION:
        return _of_torchvision(model)
    repository = model.source.removeprefix(HUB)
    fetch_optional(repository, PREPROCESSOR, model.place)  # timm's have none
    fetch(repository, (WEIGHTS, CONFIG), model.place)
    return model.place


def _of_torchvision(model: Model) -> Path:
    try:
        ensure_torchvision()
        from torchvision import models
    except (ImportError, RuntimeError) as error:
        raise BadRequestError(
            "torchvision is not installed, or does not work; install it with: "
            "pip install torchvision"
        ) from error
    name = model.name.removeprefix(f"{TORCHVISION}:")
    try:
        published: Any = models.get_model_weights(name).DEFAULT
    except ValueError as error:
        raise BadRequestError(f"torchvision has no model '{name}'") from error
    if "categories" not in published.meta or not hasattr(published.transforms(), "crop_size"):
        raise BadRequestError(f"torchvision's '{name}' is no image classifier")
    folder = downloads_folder() / model.name
    tensors = _tensors(download(Address(published.url, _digest(published.url)), folder))
    config = {"model": name, "weights": published.name}
    card = {"name": model.name, "source": "torchvision", "metrics": published.meta["_metrics"]}
    try:
        save_checkpoint(model.place, "torchvision-classifier", config, tensors, card)
    except OSError as error:
        raise StorageError(
            f"{model.place} cannot be written: {error.strerror}; make room, or choose another "
            "place with GLASSHOUSE_MODELS"
        ) from error
    shutil.rmtree(folder, ignore_errors=True)
    return model.place


def _digest(url: str) -> str:
    """What torchvision's file names say of the content: how its SHA-256 begins."""
    found = NAMED.search(url)
    return found[1] if found else ""


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{file.name} holds no plain state dict, as torchvision's files do: {error}"
        ) from error
    return tensors
