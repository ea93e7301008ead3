"""Published classifiers of one head: a network, and the input of its last layer as features."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from protocol.tensors import Array

HEAD: Final = "class"


class OneHead:
    """A network that tells classes apart, behind the classifier role.

    Args:
        network: (n, 3, h, w) -> (n, classes) logits, or an object with these as `logits`.
        transform: (n, height, width, 3) uint8 -> (n, 3, h, w) float32, each picture by itself.
        labels: what its classes are called.
        image_size: side of the squares that the transform makes.

    Raises:
        ValueError: it decides by no linear layer, whose input would be the features.
    """

    def __init__(
        self,
        network: nn.Module,
        transform: Callable[[Array], Tensor],
        labels: Sequence[str],
        image_size: int,
    ) -> None:
        self._network = network.eval().requires_grad_(requires_grad=False)
        self._transform = transform
        self.labels: Mapping[str, Sequence[str]] = {HEAD: tuple(labels)}
        self.image_size = image_size
        layers = [one for one in network.modules() if isinstance(one, nn.Linear)]
        heads = [one for one in layers if one.out_features == len(labels)]
        self._seen: list[Tensor] = []
        for head in heads:
            head.register_forward_pre_hook(lambda _, inputs: self._seen.append(inputs[0]))
        if not heads:
            raise ValueError(
                f"it has no linear layer of {len(labels)} outputs, whose input would be the "
                "features; choose another network"
            )
        self.feature_size = heads[-1].in_features

    def prepare(self, pictures: Array) -> Tensor:
        """(n, height, width, 3) uint8 -> (n, 3, h, w) float32."""
        return self._transform(pictures)

    def classify(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) float32 -> (n, classes) logits, and (n, feature_size) features."""
        self._seen.clear()
        found: Any = self._network(pixels)
        logits = found if isinstance(found, torch.Tensor) else found.logits
        features = self._seen[-1].flatten(1)
        self._seen.clear()
        return logits, features
