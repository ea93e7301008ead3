"""The classifier role: what pictures show, and by which features it is told apart.

An architecture is one module here with `load(checkpoint, device) -> ClassifierModel`. Each makes
pictures ready by its own configuration, so a client sends them as they are, of any size.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from protocol.errors import BadRequestError
from protocol.messages import (
    Classes,
    ClassifierInfo,
    Classify,
    Head,
    Labels,
    Method,
    Result,
    ServiceInfo,
    Texts,
)
from protocol.tensors import Array, TensorWriter
from protocol.texts import pack_texts
from services.runtime.images import check_any_size
from services.runtime.role import Options, ReadTensor, Role, Rows

LABELS: Final = "labels"


class ClassifierModel(Protocol):
    """What an architecture must offer.

    Attributes:
        image_size: side of the squares that its preprocessing makes.
        labels: head -> what its classes are called, several names of one with ", " between.
        feature_size: length of the vector that its heads decide by.
    """

    image_size: int
    labels: Mapping[str, Sequence[str]]
    feature_size: int

    def prepare(self, pictures: Array) -> Tensor:
        """(n, height, width, 3) uint8 of any size -> (n, 3, h, w) float32, each by itself."""

    def classify(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """What `prepare` made -> (n, classes of all heads) logits, (n, feature_size) features."""


class ClassifierRole(Role):
    """Serves one classifier."""

    def __init__(self, model: ClassifierModel, info: ServiceInfo, device: torch.device) -> None:
        self.info = info
        self._model = model
        self._device = device
        self._labels = pack_texts([name for names in model.labels.values() for name in names])

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """Pictures of one size, or the names of all classes."""
        if isinstance(call, Labels):
            return Rows(LABELS, self._labels)
        if not isinstance(call, Classify):
            raise BadRequestError(f"a classifier cannot {call.__struct_config__.tag}")
        images = check_any_size(read(call.images))
        return Rows(images.shape[1:3], images)

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Logits and features, (rows, ...) float32; or the labels as they are."""
        if options == LABELS:
            return (values,)
        with torch.inference_mode():
            found = self._model.classify(self._model.prepare(values).to(self._device))
        logits, features = (part.float().cpu().numpy() for part in found)
        return logits, features

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """What the pictures show, or the labels."""
        if options == LABELS:
            return Texts(texts=writer.add(outputs[0]))
        return Classes(logits=writer.add(outputs[0]), features=writer.add(outputs[1]))

    def warm_up(self) -> None:
        """One batch of black pictures."""
        side = self._model.image_size
        self.compute((side, side), np.zeros((self.info.batch_rows, side, side, 3), np.uint8))


def classifier_info(model: ClassifierModel) -> ClassifierInfo:
    """What a client is told of a classifier."""
    return ClassifierInfo(
        image_size=model.image_size,
        heads=tuple(Head(name, len(labels)) for name, labels in model.labels.items()),
        feature_size=model.feature_size,
    )
