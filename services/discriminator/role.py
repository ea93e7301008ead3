"""The discriminator role: how real each picture looks to the network that trained the generator.

An architecture is one module here with `load(checkpoint, device) -> DiscriminatorModel`.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from protocol.errors import BadRequestError
from protocol.messages import DiscriminatorInfo, Method, Result, Score, Scores, ServiceInfo
from protocol.tensors import Array, TensorWriter
from services.runtime.images import check_images
from services.runtime.role import Options, ReadTensor, Role, Rows


class DiscriminatorModel(Protocol):
    """What an architecture must offer.

    Attributes:
        height: of a picture, in pixels.
        width: of a picture, in pixels.
    """

    height: int
    width: int

    def score(self, pictures: Tensor) -> Tensor:
        """(n, 3, height, width) float32 in [-1, 1] -> (n,) logits, each picture judged alone."""


class DiscriminatorRole(Role):
    """Serves one discriminator."""

    def __init__(self, model: DiscriminatorModel, info: ServiceInfo, device: torch.device) -> None:
        self.info = info
        self._model = model
        self._device = device

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """Pictures of the discriminator's own size."""
        if not isinstance(call, Score):
            raise BadRequestError(f"a discriminator cannot {call.__struct_config__.tag}")
        images = check_images(read(call.images), self._model.height, self._model.width)
        return Rows("score", images)

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Logits, (rows,) float32."""
        del options
        images = torch.from_numpy(values).to(self._device)
        with torch.inference_mode():
            pictures = images.permute(0, 3, 1, 2).float() / 127.5 - 1
            return (self._model.score(pictures).float().cpu().numpy(),)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """The logits."""
        del options
        return Scores(logits=writer.add(outputs[0]))

    def warm_up(self) -> None:
        """One batch of black pictures."""
        shape = (self.info.batch_rows, self._model.height, self._model.width, 3)
        self.compute("score", np.zeros(shape, np.uint8))


def discriminator_info(model: DiscriminatorModel) -> DiscriminatorInfo:
    """What a client is told of a discriminator."""
    return DiscriminatorInfo(height=model.height, width=model.width)
