"""Classifiers of torchvision, ResNet-50 and the like, with the transforms of their own weights.

Config: `model` and `weights`, torchvision's own names, such as "resnet50" and "IMAGENET1K_V2".
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from protocol.tensors import Array
from services.models.checkpoints import Checkpoint
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
        network = _network(name, weights, checkpoint.tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        why = " ".join("".join(str(error).splitlines()[:2]).split())  # of hundreds of lines
        raise ValueError(f"torchvision cannot make '{name}' of it: {why:.300}") from error
    transform = weights.transforms()

    def prepare(pictures: Array) -> Tensor:
        pixels: Tensor = transform(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        return pixels

    labels = weights.meta["categories"]
    return OneHead(network.to(device), prepare, labels, int(transform.crop_size[0]))


def _network(name: str, weights: Any, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The network as torchvision builds it for these weights of its own, without fetching them.

    What it builds depends on them: how Inception and GoogLeNet shift their input, the side of a
    ViT's pictures, the names of DenseNet's tensors.
    """
    from torchvision import models

    weights.get_state_dict = lambda **_: dict(tensors)
    try:
        return cast("nn.Module", models.get_model(name, weights=weights))
    finally:
        del weights.get_state_dict
