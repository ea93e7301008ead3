"""Classifiers of torchvision, ResNet-50 and the like, with the transforms of their own weights.

Config: `model` and `weights`, torchvision's own names, such as "resnet50" and "IMAGENET1K_V2".
"""

from typing import Any

import torch
from torch import Tensor

from protocol.tensors import Array
from services.models.checkpoints import Checkpoint, fit_tensors
from services.models.one_head import OneHead
from services.models.torchvision_ops import ensure_torchvision


def load(checkpoint: Checkpoint, device: torch.device) -> OneHead:
    """The classifier in a checkpoint.

    Raises:
        ValueError: torchvision is not installed, does not know it, or the tensors do not fit.
    """
    try:
        ensure_torchvision()
        from torchvision import models
    except (ImportError, RuntimeError) as error:
        raise ValueError(f"torchvision is not installed, or does not work: {error}") from error
    name = str(checkpoint.config.get("model"))
    try:
        weights: Any = models.get_model_weights(name)[str(checkpoint.config.get("weights"))]
        network = models.get_model(name, weights=None)
        fit_tensors(network, checkpoint.tensors, f"torchvision's {name}")
    except (KeyError, ValueError, RuntimeError) as error:
        raise ValueError(f"torchvision cannot make '{name}' of it: {error}") from error
    transform = weights.transforms()

    def prepare(pictures: Array) -> Tensor:
        pixels: Tensor = transform(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        return pixels

    labels = weights.meta["categories"]
    return OneHead(network.to(device), prepare, labels, int(transform.crop_size[0]))
