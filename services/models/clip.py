"""Small CLIPs of our own: open_clip's networks, built from the config in one of our checkpoints.

Promises: embeddings are float32 rows of unit length, a row depends on its own text or picture
alone, and the text of an embedding may hold any characters.

Config: `embed_dim`, `vision_cfg` and `text_cfg` as open_clip's `CLIP` takes them, `words` for the
tokenizer, `mean` and `std` (three numbers each) of the pictures it was trained on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from services.models.checkpoints import Json, fit_tensors, load_checkpoint
from services.models.tokenizer import WordTokenizer
from services.models.torchvision_ops import ensure_torchvision

ensure_torchvision()
from open_clip.model import CLIP  # noqa: E402 - imports torchvision, which may need its cure first

ARCHITECTURE: Final = "open-clip"


class ClipModel:
    """A CLIP ready to embed texts and pictures."""

    def __init__(
        self, config: Json, tensors: dict[str, Tensor] | None = None, digest: str = ""
    ) -> None:
        """Build from a config; without `tensors` the weights are fresh.

        Raises:
            ValueError: an entry of the config is missing or the tensors do not fit it.
        """
        self.config = config
        self.digest = digest
        self.network = build_network(config)
        if tensors is not None:
            fit_tensors(self.network, tensors, "this CLIP")
        self.network.eval().requires_grad_(requires_grad=False)
        self.tokenizer = WordTokenizer(config["words"], self.context_length)
        self._dtype = torch.float32
        self._mean = torch.tensor(config["mean"]).reshape(1, 3, 1, 1)
        self._std = torch.tensor(config["std"]).reshape(1, 3, 1, 1)

    @property
    def embed_dim(self) -> int:
        """The length of an embedding."""
        return int(self.config["embed_dim"])

    @property
    def image_size(self) -> int:
        """The side of the pictures it takes."""
        return int(self.config["vision_cfg"]["image_size"])

    @property
    def context_length(self) -> int:
        """Tokens in a text."""
        return int(self.config["text_cfg"]["context_length"])

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean of each channel over the training pictures, of values from 0 to 1."""
        return _triple(self.config["mean"])

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of each channel."""
        return _triple(self.config["std"])

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._mean.device

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> "ClipModel":
        """Move to a device, the network in `dtype`; returns itself."""
        self.network.to(device, dtype)
        self._dtype = dtype
        self._mean, self._std = self._mean.to(device), self._std.to(device)
        return self

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts -> (n, embed_dim) float32, unit length."""
        if not texts:
            return torch.zeros(0, self.embed_dim, device=self.device)
        tokens = self.tokenizer(texts).to(self.device)
        return functional.normalize(self.network.encode_text(tokens).float(), dim=1)

    @torch.inference_mode()
    def embed_images(self, images: Tensor) -> Tensor:
        """(n, image_size, image_size, 3) uint8 -> (n, embed_dim) float32, unit length.

        Raises:
            ValueError: the images have another shape or dtype.
        """
        wanted = (images.shape[0] if images.ndim else 0, self.image_size, self.image_size, 3)
        if images.dtype != torch.uint8 or tuple(images.shape) != wanted:
            raise ValueError(
                f"images must be (n, {self.image_size}, {self.image_size}, 3) uint8, "
                f"got {tuple(images.shape)} {str(images.dtype).removeprefix('torch.')}"
            )
        if not len(images):
            return torch.zeros(0, self.embed_dim, device=self.device)
        return self.embed_levels(images.to(self.device))

    def embed_levels(self, levels: Tensor, *, normalised: bool = True) -> Tensor:
        """(n, image_size, image_size, 3), 0 to 255 -> (n, embed_dim) float32, unit length.

        Of float levels it can be differentiated. Mean and deviation are left out unless
        `normalised`, as CLIP-GLaSS did.
        """
        pixels = self.preprocessed(levels) if normalised else unit_range(levels)
        embedded = self.network.encode_image(pixels.to(self._dtype))
        return functional.normalize(embedded.float(), dim=1)

    def preprocessed(self, images: Tensor) -> Tensor:
        """(n, h, w, 3), 0 to 255 -> (n, 3, h, w) float32 on the device, normalised."""
        return (unit_range(images.to(self.device)) - self._mean) / self._std


def unit_range(levels: Tensor) -> Tensor:
    """(n, h, w, 3), 0 to 255 -> (n, 3, h, w) float32, 0 to 1."""
    return levels.permute(0, 3, 1, 2).to(torch.float32) / 255.0


def build_network(config: Json) -> CLIP:
    """open_clip's CLIP, with fresh weights.

    Raises:
        ValueError: an entry of the config is missing.
    """
    missing = {"embed_dim", "vision_cfg", "text_cfg", "words", "mean", "std"} - config.keys()
    if missing:
        raise ValueError(f"CLIP config lacks {', '.join(sorted(missing))}")
    return CLIP(config["embed_dim"], dict(config["vision_cfg"]), dict(config["text_cfg"]))


def load_clip(path: Path | str) -> ClipModel:
    """Read a CLIP of ours.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not hold one.
    """
    checkpoint = load_checkpoint(path).expect(ARCHITECTURE)
    return ClipModel(checkpoint.config, checkpoint.tensors, checkpoint.digest)


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
