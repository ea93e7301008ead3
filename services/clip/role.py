"""The clip role: embeds texts and pictures.

An architecture is one module here with `load(checkpoint, device) -> ClipModel`.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from protocol.errors import BadRequestError
from protocol.messages import (
    ClipInfo,
    Embeddings,
    EmbedImages,
    EmbedTexts,
    Method,
    Result,
    ServiceInfo,
)
from protocol.tensors import Array, TensorWriter
from services.models.checkpoints import Checkpoint
from services.runtime.images import check_images
from services.runtime.role import Options, ReadTensor, Role, Rows


class ClipModel(Protocol):
    """What an architecture must offer.

    Attributes:
        image_size: side of the square pictures that it takes.
        embed_dim: length of a vector.
        context_length: most tokens of a text; the rest of longer ones is not seen.
    """

    image_size: int
    embed_dim: int
    context_length: int

    def tokenize(self, texts: list[str]) -> Tensor:
        """(n, context_length) int64, whatever the texts are."""

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """(n, context_length) int64 -> (n, embed_dim) float32 of length 1."""

    def embed_images(self, images: Tensor) -> Tensor:
        """(n, image_size, image_size, 3) uint8 -> (n, embed_dim) float32 of length 1."""


class ClipLoader(Protocol):
    """The `load` of an architecture's module."""

    def __call__(self, checkpoint: Checkpoint, device: torch.device) -> ClipModel:
        """Build the model; raise ValueError if the checkpoint does not fit."""


class ClipRole(Role):
    """Serves one CLIP."""

    def __init__(self, model: ClipModel, info: ServiceInfo, device: torch.device) -> None:
        self.info = info
        self._model = model
        self._device = device

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """Token rows or pictures; the two never share a batch."""
        if isinstance(call, EmbedTexts):
            return Rows("texts", self._model.tokenize(list(call.texts)).numpy())
        if isinstance(call, EmbedImages):
            size = self._model.image_size
            return Rows("images", check_images(read(call.images), size, size))
        raise BadRequestError(f"a clip service cannot {call.__struct_config__.tag}")

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Embeddings, (rows, embed_dim) float32."""
        rows = torch.from_numpy(values).to(self._device)
        embed = self._model.embed_tokens if options == "texts" else self._model.embed_images
        with torch.inference_mode():
            return (embed(rows).float().cpu().numpy(),)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """The embeddings."""
        del options
        return Embeddings(embeddings=writer.add(outputs[0]))

    def warm_up(self) -> None:
        """One batch of each kind."""
        rows, size = self.info.batch_rows, self._model.image_size
        self.compute("images", np.zeros((rows, size, size, 3), np.uint8))
        self.compute("texts", np.zeros((rows, self._model.context_length), np.int64))


def clip_info(model: ClipModel) -> ClipInfo:
    """What a client is told of a CLIP."""
    return ClipInfo(
        image_size=model.image_size,
        embedding_size=model.embed_dim,
        context_tokens=model.context_length,
    )
