"""The generator role: checks genomes, draws pictures, makes the view that CLIP wants.

An architecture is one module here with `load(checkpoint, device) -> GeneratorModel`, or `TextModel`
for one that writes (`text_role`). To add yours:
write that module, save its weights with the module's name as their architecture, and add a row to
the catalogue.
"""

from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np
import torch
from msgspec import UNSET
from torch import Tensor

from protocol.errors import BadRequestError
from protocol.latent import LatentSpace
from protocol.messages import (
    Generate,
    GeneratorInfo,
    Gradients,
    LatentGradient,
    Method,
    Pictures,
    Resizing,
    Result,
    ServiceInfo,
)
from protocol.tensors import Array, TensorWriter
from protocol.views import clip_view
from services.runtime.role import Options, ReadTensor, Role, Rows
from services.runtime.views import differentiable_view

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

        The same genome must give the same picture, whatever else is in the batch. Where genes are
        real numbers, autograd can follow it (`LatentGradient`).
        """


@dataclass(frozen=True)
class Drawing:
    """What rows must share to be drawn in one batch.

    Attributes:
        space: name of the latent space.
        truncation_psi: as in `Generate`.
        clip_size: as in `Generate`.
        resizing: as in `Generate`.
        backward: each row holds a gradient by pixels too, which becomes one by genes.
    """

    space: str
    truncation_psi: float
    clip_size: int
    resizing: Resizing = UNSET
    backward: bool = False

    def differs(self, pictures: Tensor) -> bool:
        """Whether CLIP's view is wanted, and has another size than the pictures."""
        return self.clip_size > 0 and pictures.shape[2:] != (self.clip_size, self.clip_size)


class GeneratorRole(Role):
    """Serves one generator."""

    def __init__(self, model: GeneratorModel, info: ServiceInfo, device: torch.device) -> None:
        self.info = info
        self._model = model
        self._device = device

    @property
    def slot_bytes(self) -> int:
        """One batch of pictures, or of CLIP's views."""
        pixels = max(self._model.height * self._model.width, LARGEST_CLIP_SIDE**2)
        return self.info.batch_rows * pixels * 3

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """Genomes of one space, truncation and view; with a gradient by pixels behind each."""
        if not isinstance(call, Generate | LatentGradient):
            raise BadRequestError(f"a generator cannot {call.__struct_config__.tag}")
        genomes = check_genomes(self.info.model, self._model.spaces, call.space, read(call.genomes))
        options = Drawing(call.space, call.truncation_psi, call.clip_size, call.resizing)
        if isinstance(call, Generate):
            return Rows(options, genomes)
        side = (call.clip_size,) * 2 if call.clip_size else (self._model.height, self._model.width)
        gradients = read(call.gradients)
        wanted = (len(genomes), *side, 3)
        if gradients.dtype != np.float32 or gradients.shape != wanted:
            raise BadRequestError(
                f"wanted gradients of shape {wanted} float32, "
                f"got {gradients.shape} {gradients.dtype}"
            )
        rows = np.concatenate([genomes, gradients.reshape(len(genomes), -1)], axis=1)
        return Rows(replace(options, backward=True), rows)

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Pictures, and CLIP's view of them where it differs in size; or gradients by gene."""
        drawing = cast("Drawing", options)  # as prepare made it
        rows = torch.from_numpy(values).to(self._device)
        if drawing.backward:
            return (self._backward(drawing, rows),)
        with torch.inference_mode():
            pictures = self._model.draw(drawing.space, rows, drawing.truncation_psi)
            height, width = pictures.shape[2:]
            images = self.room((len(rows), height, width, 3), np.uint8)
            torch.from_numpy(images).copy_(to_uint8(pictures))
        if not drawing.differs(pictures):
            return (images,)
        views = self.room((len(rows), drawing.clip_size, drawing.clip_size, 3), np.uint8)
        return images, clip_view(images, drawing.clip_size, drawing.resizing, views)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """The pictures; `clip_images` is left out where it would be the same."""
        if cast("Drawing", options).backward:
            return Gradients(gradients=writer.add(outputs[0]))
        images = writer.add(outputs[0])
        return Pictures(
            images=images, clip_images=writer.add(outputs[1]) if len(outputs) > 1 else None
        )

    def warm_up(self) -> None:
        """One batch of average pictures."""
        space = self._model.spaces[0]
        genomes = average_genomes(space, self.info.batch_rows)
        self.compute(Drawing(space.name, 1.0, 0), genomes)

    def _backward(self, drawing: Drawing, rows: Tensor) -> Array:
        """Gradients by gene of rows that hold a genome and its gradient by level."""
        size = next(space.size for space in self._model.spaces if space.name == drawing.space)
        genomes = rows[:, :size].clone().requires_grad_()
        pictures = self._model.draw(drawing.space, genomes, drawing.truncation_psi)
        if drawing.differs(pictures):
            pictures = differentiable_view(pictures, drawing.clip_size, drawing.resizing)
        levels = to_levels(pictures).permute(0, 2, 3, 1).reshape(len(rows), -1)
        (gradients,) = torch.autograd.grad(levels, genomes, grad_outputs=rows[:, size:])
        return gradients.cpu().numpy()


def average_genomes(space: LatentSpace, rows: int) -> Array:
    """(rows, size of the space) float32: zeros, or the bound next to zero where that is outside."""
    genes = [np.full(s.size, min(max(s.low, 0), s.high), np.float32) for s in space.segments]
    return np.tile(np.concatenate(genes), (rows, 1))


def check_genomes(model: str, spaces: tuple[LatentSpace, ...], name: str, genomes: Array) -> Array:
    """Genomes of the named one of a model's spaces, (rows, size of the space) float32, finite.

    Raises:
        BadRequestError: they are not, or there is no such space.
    """
    space = next((space for space in spaces if space.name == name), None)
    if space is None:
        known = ", ".join(space.name for space in spaces)
        raise BadRequestError(f"{model} has no latent space '{name}'; it has {known}")
    if genomes.dtype != np.float32 or genomes.ndim != 2 or genomes.shape[1] != space.size:
        raise BadRequestError(
            f"wanted genomes of shape (rows, {space.size}) float32, "
            f"got {genomes.shape} {genomes.dtype}"
        )
    if not np.isfinite(genomes).all():
        raise BadRequestError("wanted finite genomes, but some genes are NaN or infinite")
    return genomes


def generator_info(model: GeneratorModel) -> GeneratorInfo:
    """What a client is told of a generator."""
    return GeneratorInfo(spaces=model.spaces, height=model.height, width=model.width)


def to_uint8(pictures: Tensor) -> Tensor:
    """(n, 3, h, w) float in [-1, 1] -> (n, h, w, 3) uint8, `round((x + 1) * 127.5)`."""
    return to_levels(pictures).round().to(torch.uint8).permute(0, 2, 3, 1)


def to_levels(pictures: Tensor) -> Tensor:
    """Floats in [-1, 1] -> float levels, 0 to 255, before they are rounded."""
    return ((pictures.float() + 1) * 127.5).clamp(0, 255)
