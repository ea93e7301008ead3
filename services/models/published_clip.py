"""CLIPs that others published: open_clip's networks, tokenizers and preprocessing.

Promises: embeddings are float32 rows of unit length, equal to open_clip's own; a row depends on
its own text or picture alone; nothing is fetched. The checkpoint's config holds open_clip's
`model_cfg` and `preprocess_cfg`, and a tokenizer that is no part of open_clip lies among the
tensors as bytes.
"""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import torch
from msgspec import UNSET
from torch import Tensor, nn
from torch.nn import functional

from protocol.messages import Resizing
from services.models.checkpoints import Json, fit_tensors
from services.models.torchvision_ops import ensure_torchvision

ensure_torchvision()
import open_clip  # noqa: E402 - imports torchvision, which may need its cure first

ARCHITECTURE: Final = "published-clip"
TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")


class PublishedClip:
    """A CLIP of open_clip's, ready to embed texts and pictures.

    Attributes:
        image_size: side of the square pictures that it takes.
        embed_dim: length of an embedding.
        context_length: tokens in a text.
        resizing: how pictures of other sizes are made ready, as `ClipInfo` says.
    """

    def __init__(self, config: Json, tensors: dict[str, Tensor]) -> None:
        """Build from a checkpoint.

        Raises:
            ValueError: an entry of the config is missing or the tensors do not fit it.
        """
        weights = {name: t for name, t in tensors.items() if name not in TOKENIZER_FILES}
        self.network = build_network(config)
        fit_tensors(self.network, weights, "this CLIP")
        self.network.eval().requires_grad_(requires_grad=False)
        preprocess = config["preprocess_cfg"]
        model_cfg = config["model_cfg"]
        self.image_size = _square(self.network)
        self.embed_dim = int(model_cfg["embed_dim"])
        self.context_length = int(model_cfg["text_cfg"].get("context_length", 77))
        self.resizing = _resizing(preprocess)
        self._dtype = torch.float32
        self._tokenizer = _tokenizer(config, tensors)
        self._mean = torch.tensor(preprocess["mean"]).reshape(1, 3, 1, 1)
        self._std = torch.tensor(preprocess["std"]).reshape(1, 3, 1, 1)

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> "PublishedClip":
        """Move to a device, the network in `dtype`; returns itself."""
        self.network.to(device, dtype)
        self._dtype = dtype
        self._mean, self._std = self._mean.to(device), self._std.to(device)
        return self

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """(n, context_length) int64; what does not fit is cut off."""
        return cast("Tensor", self._tokenizer(list(texts)))

    def too_long(self, texts: Sequence[str]) -> list[bool]:
        """Which of the texts have more tokens than are seen."""
        return [self._tokens(text) > self.context_length for text in texts]

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """(n, context_length) int64 -> (n, embed_dim) float32 of length 1."""
        return functional.normalize(self.network.encode_text(tokens).float(), dim=1)  # type: ignore[operator] # open_clip's method

    def _tokens(self, text: str) -> int:
        """How many tokens a text has, start and end included."""
        if isinstance(self._tokenizer, open_clip.SimpleTokenizer):
            return len(self._tokenizer.encode(text)) + 2
        inner = self._tokenizer
        return len(inner.tokenizer(inner.clean_fn(text)).input_ids)

    def embed_levels(self, levels: Tensor, *, normalised: bool = True) -> Tensor:
        """(n, image_size, image_size, 3), 0 to 255 -> (n, embed_dim) float32 of length 1."""
        pixels = levels.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        if normalised:
            pixels = (pixels - self._mean) / self._std
        embedded = self.network.encode_image(pixels.to(self._dtype))  # type: ignore[operator] # open_clip's method
        return functional.normalize(embedded.float(), dim=1)


def build_network(config: Json) -> nn.Module:
    """open_clip's network of a config, with fresh weights and nothing fetched.

    Raises:
        ValueError: the config is not one of open_clip's.
    """
    with _folder_of(config, {}) as folder, _quiet():
        try:
            network = open_clip.create_model(
                f"local-dir:{folder}", load_weights=False, pretrained_text=False
            )
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"open_clip cannot build this CLIP: {error}") from error
    return cast("nn.Module", network)


def _tokenizer(config: Json, tensors: dict[str, Tensor]) -> Any:
    with _folder_of(config, tensors) as folder, _quiet():
        return open_clip.get_tokenizer(f"local-dir:{folder}")


def _resizing(preprocess: Json) -> Resizing:
    name = f"{preprocess['resize_mode']}-{preprocess['interpolation']}"
    if name == "shortest-bicubic":
        return UNSET
    try:
        return cast("Resizing", msgspec.convert(name, Resizing))
    except msgspec.ValidationError as error:
        raise ValueError(f"its pictures are resized by '{name}', which is not served") from error


def _square(network: nn.Module) -> int:
    size = cast("tuple[int, int] | int", network.visual.image_size)  # type: ignore[union-attr] # open_clip's
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise ValueError(f"it takes pictures of {height}x{width}, but only square ones are served")
    return int(height)


@contextmanager
def _folder_of(config: Json, tensors: dict[str, Tensor]) -> Iterator[Path]:
    """A folder as open_clip reads it: its config, and a tokenizer if there is one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        for file in TOKENIZER_FILES:
            if file in tensors:
                (folder / file).write_bytes(tensors[file].numpy().tobytes())
        yield folder


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip warns at the root logger that a network was built without weights."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
