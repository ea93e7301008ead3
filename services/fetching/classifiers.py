"""Classifiers of others on this machine: torchvision's by name, transformers' by hub repository.

torchvision's weights are pickled state dicts: read once, with `weights_only`, and kept as a
checkpoint. The hub's are safetensors already, and stay as they are.
"""

from pathlib import Path
from typing import Any

from protocol.errors import BadRequestError, StorageError, WeightsError
from services.catalogue import HUB, TORCHVISION, Model
from services.classifier.hugging_face_classifier import CONFIG, PREPROCESSOR, WEIGHTS
from services.fetching.hub import fetch, fetch_optional
from services.models.checkpoints import save_checkpoint
from services.models.torchvision_ops import ensure_torchvision


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
    try:
        tensors = published.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"the weights of {model.name} cannot be had ({error}); run the same command again when "
            "there is a network"
        ) from error
    config = {"model": name, "weights": published.name}
    card = {"name": model.name, "source": "torchvision", "metrics": published.meta["_metrics"]}
    try:
        save_checkpoint(model.place, "torchvision-classifier", config, tensors, card)
    except OSError as error:
        raise StorageError(
            f"{model.place} cannot be written: {error.strerror}; make room, or choose another "
            "place with GLASSHOUSE_MODELS"
        ) from error
    return model.place
