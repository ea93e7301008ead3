"""CLIPs built by open_clip from a configuration in our checkpoint (Radford et al. 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from services.models.checkpoints import Checkpoint
from services.models.clip import ClipModel


class OpenClip:
    """An open_clip model behind the clip role."""

    def __init__(self, model: ClipModel) -> None:
        self._model = model
        self.image_size = model.image_size
        self.embed_dim = model.embed_dim
        self.context_length = model.context_length

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """(n, context_length) int64; what does not fit is cut off, as CLIP does."""
        return self._model.tokenizer(texts)

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """(n, context_length) int64 -> (n, embed_dim) float32 of length 1."""
        return functional.normalize(self._model.network.encode_text(tokens).float(), dim=1)

    def embed_images(self, images: Tensor) -> Tensor:
        """(n, image_size, image_size, 3) uint8 -> (n, embed_dim) float32 of length 1."""
        return self._model.embed_images(images)


def load(checkpoint: Checkpoint, device: torch.device) -> OpenClip:
    """The CLIP in a checkpoint.

    Raises:
        ValueError: its configuration or tensors do not fit.
    """
    return OpenClip(ClipModel(checkpoint.config, checkpoint.tensors, checkpoint.digest).to(device))
