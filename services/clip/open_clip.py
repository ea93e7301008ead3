"""CLIPs built by open_clip from a configuration in our checkpoint (Radford et al. 2021)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from msgspec import UNSET
from torch import Tensor
from torch.nn import functional

from services.models.checkpoints import Checkpoint
from services.models.clip import ClipModel
from services.options import DTYPES, Precision

if TYPE_CHECKING:
    from protocol.messages import Resizing


class OpenClip:
    """An open_clip model behind the clip role."""

    def __init__(self, model: ClipModel) -> None:
        self._model = model
        self.image_size = model.image_size
        self.embed_dim = model.embed_dim
        self.context_length = model.context_length
        self.resizing: Resizing = UNSET

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """(n, context_length) int64; what does not fit is cut off, as CLIP does."""
        return self._model.tokenizer(texts)

    def too_long(self, texts: Sequence[str]) -> list[bool]:
        """Which of the texts have more tokens than are seen."""
        most = self.context_length - 2  # its start and its end
        return [len(self._model.tokenizer.encode(text)) > most for text in texts]

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """(n, context_length) int64 -> (n, embed_dim) float32 of length 1."""
        return functional.normalize(self._model.network.encode_text(tokens).float(), dim=1)

    def embed_levels(self, levels: Tensor, *, normalised: bool = True) -> Tensor:
        """(n, image_size, image_size, 3), 0 to 255 -> (n, embed_dim) float32 of length 1."""
        return self._model.embed_levels(levels, normalised=normalised)


def load(
    checkpoint: Checkpoint, device: torch.device, *, precision: Precision = "float32"
) -> OpenClip:
    """The CLIP in a checkpoint; `precision` is of all of it but the embeddings.

    Raises:
        ValueError: its configuration or tensors do not fit.
    """
    model = ClipModel(checkpoint.config, checkpoint.tensors, checkpoint.digest)
    return OpenClip(model.to(device, DTYPES[precision]))
