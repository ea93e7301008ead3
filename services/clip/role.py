"""The clip role: embeds texts and pictures.

An architecture is one module here with `load(checkpoint, device) -> ClipModel`.
"""

from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
import torch
from msgspec import UNSET, Meta
from torch import Tensor
from torch.nn import functional

from protocol.errors import BadRequestError
from protocol.messages import (
    ClipInfo,
    Embeddings,
    EmbedImages,
    EmbedTexts,
    Gradients,
    Method,
    Resizing,
    Result,
    ServiceInfo,
    SimilarityGradient,
)
from protocol.tensors import Array, TensorWriter
from services.runtime.images import check_any_size, check_images
from services.runtime.role import Options, ReadTensor, Role, Rows
from services.runtime.views import crops, random_corners

MOST_CROPS = 256


class ClipModel(Protocol):
    """What an architecture must offer.

    Attributes:
        image_size: side of the square pictures that it takes.
        embed_dim: length of a vector.
        context_length: most tokens of a text; the rest of longer ones is not seen.
        resizing: how it wants pictures made ready, as `ClipInfo` says.
    """

    image_size: int
    embed_dim: int
    context_length: int
    resizing: Resizing

    def tokenize(self, texts: list[str]) -> Tensor:
        """(n, context_length) int64, whatever the texts are."""

    def too_long(self, texts: list[str]) -> list[bool]:
        """Which of the texts have more tokens than are seen."""

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """(n, context_length) int64 -> (n, embed_dim) float32 of length 1."""

    def embed_levels(self, levels: Tensor, *, normalised: bool = True) -> Tensor:
        """(n, image_size, image_size, 3), 0 to 255 -> (n, embed_dim) float32 of length 1.

        Of float levels it must be differentiable. With `normalised`, mean and deviation of the
        pictures that it was trained on are applied.
        """


@dataclass(frozen=True)
class Looking:
    """What rows must share to be looked at in one batch.

    Attributes:
        shape: of one picture, (height, width, 3).
        legacy: squashed to CLIP's size, without mean and deviation.
        target: bytes of the embedding to follow with a gradient; empty to embed.
    """

    shape: tuple[int, ...]
    legacy: bool = False
    target: bytes = b""


class ClipRole(Role):
    """Serves one CLIP.

    Args:
        model: the network.
        info: what clients are told.
        device: where it computes.
        augment: how many random crops of each picture to embed and average; 0 for the picture
            itself. A picture that only looks right pixel by pixel does not survive them (AugCLIP,
            Liu et al. 2021, arXiv 2112.01573).
    """

    def __init__(
        self,
        model: ClipModel,
        info: ServiceInfo,
        device: torch.device,
        *,
        augment: Annotated[int, Meta(ge=0, le=MOST_CROPS)] = 0,
    ) -> None:
        self.info = info
        self._model = model
        self._device = device
        self._corners = random_corners(augment, model.image_size)

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """Token rows or pictures; the two never share a batch."""
        if isinstance(call, EmbedTexts):
            texts = list(call.texts)
            cut = np.array(self._model.too_long(texts), np.int64)
            return Rows("texts", np.column_stack([cut, self._model.tokenize(texts).numpy()]))
        if not isinstance(call, EmbedImages | SimilarityGradient):
            raise BadRequestError(f"a clip service cannot {call.__struct_config__.tag}")
        images, legacy = read(call.images), call.preprocessing == "legacy"
        size = self._model.image_size
        check_any_size(images) if legacy else check_images(images, size, size)
        target = self._target(read(call.target)) if isinstance(call, SimilarityGradient) else b""
        return Rows(Looking(images.shape[1:], legacy, target), images)

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Embeddings, (rows, embed_dim) float32; or gradients by level, shaped as the pictures."""
        rows = torch.from_numpy(values).to(self._device)
        if isinstance(options, Looking) and options.target:
            return (self._gradients(rows, options),)
        with torch.inference_mode():
            if isinstance(options, Looking):
                return (self._look(rows, options).float().cpu().numpy(),)
            return (self._model.embed_tokens(rows[:, 1:]).float().cpu().numpy(), values[:, 0])

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """The embeddings or gradients."""
        if isinstance(options, Looking) and options.target:
            return Gradients(gradients=writer.add(outputs[0]))
        embeddings = writer.add(outputs[0])
        cut = tuple(np.flatnonzero(outputs[1]).tolist()) if options == "texts" else ()
        return Embeddings(embeddings=embeddings, cut=cut or UNSET)

    def warm_up(self) -> None:
        """One batch of each kind."""
        rows, size = self.info.batch_rows, self._model.image_size
        self.compute(Looking((size, size, 3)), np.zeros((rows, size, size, 3), np.uint8))
        self.compute("texts", np.zeros((rows, 1 + self._model.context_length), np.int64))

    def _target(self, target: Array) -> bytes:
        """Its bytes, if it is an embedding of this model's."""
        wanted = (self._model.embed_dim,)
        if target.dtype != np.float32 or target.shape != wanted or not np.isfinite(target).all():
            raise BadRequestError(
                f"wanted a finite target of shape {wanted} float32, "
                f"got {target.shape} {target.dtype}"
            )
        return target.tobytes()

    def _look(self, levels: Tensor, looking: Looking) -> Tensor:
        """Embeddings of (rows, height, width, 3) uint8 or float levels."""
        if looking.legacy:
            levels = squashed(levels, self._model.image_size)
        views = crops(levels, self._corners) if len(self._corners) else [levels]
        embedded = [self._model.embed_levels(view, normalised=not looking.legacy) for view in views]
        if len(embedded) == 1:
            return embedded[0]
        return functional.normalize(torch.stack(embedded).mean(0), dim=1)

    def _gradients(self, images: Tensor, looking: Looking) -> Array:
        """Of every picture's similarity, by its own levels."""
        target = torch.frombuffer(bytearray(looking.target), dtype=torch.float32)
        levels = images.to(torch.float32).requires_grad_()
        similarity = self._look(levels, looking) @ target.to(self._device)
        (gradients,) = torch.autograd.grad(similarity.sum(), levels)
        return gradients.cpu().numpy()


def squashed(levels: Tensor, size: int) -> Tensor:
    """(n, h, w, 3) levels -> (n, size, size, 3) float32 as CLIP-GLaSS resized them.

    Bilinear without antialiasing, both sides to `size` whatever the shape (kornia 0.4's default).
    """
    channels_first = levels.permute(0, 3, 1, 2).to(torch.float32)
    resized = functional.interpolate(
        channels_first, (size, size), mode="bilinear", align_corners=False
    )
    return resized.permute(0, 2, 3, 1)


def clip_info(model: ClipModel) -> ClipInfo:
    """What a client is told of a CLIP."""
    return ClipInfo(
        image_size=model.image_size,
        embedding_size=model.embed_dim,
        context_tokens=model.context_length,
        resizing=model.resizing,
    )
