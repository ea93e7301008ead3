"""The generator role: checks genomes, draws pictures, makes the view that CLIP wants.

An architecture is one module here with `load(checkpoint, device) -> GeneratorModel`. To add yours:
write that module, save its weights with the module's name as their architecture, and add a row to
the catalogue.
"""

from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from protocol.errors import BadRequestError
from protocol.latent import LatentSpace
from protocol.messages import Generate, GeneratorInfo, Method, Pictures, Result, ServiceInfo
from protocol.tensors import Array, TensorWriter
from services.models.checkpoints import Checkpoint
from services.runtime.role import Options, ReadTensor, Role, Rows

LARGEST_CLIP_SIDE = 384  # of the published CLIPs; a larger view travels as a frame


class GeneratorModel(Protocol):
    """What an architecture must offer.

    Attributes:
        spaces: the latent spaces it accepts, its usual one first.
        height: of a picture, in pixels.
        width: of a picture, in pixels.
    """

    spaces: tuple[LatentSpace, ...]
    height: int
    width: int

    def draw(self, space: str, genomes: Tensor, truncation_psi: float) -> Tensor:
        """(n, size) float32 -> (n, 3, height, width) float32, about -1 to 1.

        The same genome must give the same picture, whatever else is in the batch.
        """


class GeneratorLoader(Protocol):
    """The `load` of an architecture's module."""

    def __call__(self, checkpoint: Checkpoint, device: torch.device) -> GeneratorModel:
        """Build the model; raise ValueError if the checkpoint does not fit."""


class GeneratorRole(Role):
    """Serves one generator."""

    def __init__(self, model: GeneratorModel, info: ServiceInfo, device: torch.device) -> None:
        self.info = info
        self._model = model
        self._device = device
        self._spaces = {space.name: space for space in model.spaces}

    @property
    def slot_bytes(self) -> int:
        """One batch of pictures, or of CLIP's views."""
        pixels = max(self._model.height * self._model.width, LARGEST_CLIP_SIDE**2)
        return self.info.batch_rows * pixels * 3

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """Genomes of one space, truncation and view."""
        if not isinstance(call, Generate):
            raise BadRequestError(f"a generator cannot {call.__struct_config__.tag}")
        space = self._spaces.get(call.space)
        if space is None:
            raise BadRequestError(
                f"{self.info.model} has no latent space '{call.space}'; "
                f"it has {', '.join(self._spaces)}"
            )
        genomes = read(call.genomes)
        if genomes.dtype != np.float32 or genomes.ndim != 2 or genomes.shape[1] != space.size:
            raise BadRequestError(
                f"wanted genomes of shape (rows, {space.size}) float32, "
                f"got {genomes.shape} {genomes.dtype}"
            )
        if not np.isfinite(genomes).all():
            raise BadRequestError("wanted finite genomes, but some genes are NaN or infinite")
        return Rows((call.space, call.truncation_psi, call.clip_size), genomes)

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Pictures, and CLIP's view of them where it differs in size."""
        space, psi, clip_size = cast("tuple[str, float, int]", options)  # as prepare made them
        genomes = torch.from_numpy(values).to(self._device)
        with torch.inference_mode():
            pictures = self._model.draw(space, genomes, psi)
            outputs = [to_uint8(pictures)]
            if clip_size and (clip_size, clip_size) != pictures.shape[2:]:
                outputs.append(to_uint8(resized(pictures, clip_size)))
        return tuple(output.cpu().numpy() for output in outputs)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """The pictures; `clip_images` is left out where it would be the same."""
        del options
        images = writer.add(outputs[0])
        return Pictures(
            images=images, clip_images=writer.add(outputs[1]) if len(outputs) > 1 else None
        )

    def warm_up(self) -> None:
        """One batch of average pictures."""
        space = self._model.spaces[0]
        self.compute((space.name, 1.0, 0), np.zeros((self.info.batch_rows, space.size), np.float32))


def generator_info(model: GeneratorModel) -> GeneratorInfo:
    """What a client is told of a generator."""
    return GeneratorInfo(spaces=model.spaces, height=model.height, width=model.width)


def to_uint8(pictures: Tensor) -> Tensor:
    """(n, 3, h, w) float in [-1, 1] -> (n, h, w, 3) uint8, `round((x + 1) * 127.5)`."""
    levels = ((pictures.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous()


def resized(pictures: Tensor, size: int) -> Tensor:
    """Pictures as CLIP's own preprocessing sees them: shortest side to `size`, centre crop.

    Antialiased bicubic, (n, 3, h, w) -> (n, 3, size, size).
    """
    height, width = pictures.shape[2:]
    scale = size / min(height, width)
    inner = (max(size, round(height * scale)), max(size, round(width * scale)))
    scaled = functional.interpolate(pictures, inner, mode="bicubic", antialias=True)
    top, left = (inner[0] - size) // 2, (inner[1] - size) // 2
    return scaled[:, :, top : top + size, left : left + size]
