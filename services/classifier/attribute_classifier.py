"""Our own attribute classifiers behind the role, those of the miniatures among them.

Pictures of other sizes are made 64x64 as CLIP's preprocessing would (bicubic, antialiased, centre).
"""

from collections.abc import Mapping, Sequence

import torch
from msgspec import UNSET
from torch import Tensor

from protocol.tensors import Array
from protocol.views import clip_view
from services.models.attribute_classifier import (
    FEATURES,
    SIDE,
    Classifier,
    classifier_of,
    pixels_of,
)
from services.models.checkpoints import Checkpoint, Json


class AttributeClassifier:
    """One of our classifiers."""

    image_size = SIDE
    feature_size = FEATURES

    def __init__(self, network: Classifier, labels: Mapping[str, Sequence[str]]) -> None:
        self._network = network
        self.labels = labels

    def prepare(self, pictures: Array) -> Tensor:
        """(n, height, width, 3) uint8 -> (n, 3, 64, 64) float32, -1 to 1."""
        if pictures.shape[1:3] != (SIDE, SIDE):
            pictures = clip_view(pictures, SIDE, UNSET)
        return pixels_of(torch.from_numpy(pictures))

    def classify(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, 64, 64) float32 -> logits of all heads side by side, and features."""
        features = self._network.features(pixels)
        heads = [self._network.outputs[name](features) for name in self.labels]
        return torch.cat(heads, dim=1), features


def load(checkpoint: Checkpoint, device: torch.device) -> AttributeClassifier:
    """The classifier in a checkpoint.

    Raises:
        ValueError: it holds none.
    """
    network = classifier_of(checkpoint).to(device)
    return AttributeClassifier(network, _labels(network, checkpoint.config))


def _labels(network: Classifier, config: Json) -> dict[str, list[str]]:
    """Head -> each value with the other words that prompts have for it."""
    names = config.get("names", {})
    return {
        head: [", ".join(names.get(head, {}).get(value, [value])) for value in values]
        for head, values in network.heads.items()
    }
