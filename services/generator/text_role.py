"""The role of a generator that writes: checks genomes, writes one text a genome."""

from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from protocol.errors import BadRequestError
from protocol.latent import LatentSpace
from protocol.messages import GeneratorInfo, Method, Result, ServiceInfo, Texts, Write
from protocol.tensors import Array, TensorWriter
from protocol.texts import pack_texts
from services.generator.role import average_genomes, check_genomes
from services.runtime.role import Options, ReadTensor, Role, Rows


@runtime_checkable
class TextModel(Protocol):
    """What an architecture that writes must offer.

    Attributes:
        spaces: the latent spaces it accepts, its usual one first.
    """

    spaces: tuple[LatentSpace, ...]

    def write(self, space: str, genomes: Tensor, temperature: float, seed: int) -> list[str]:
        """(n, size) float32 -> n texts.

        The same genome and seed must give the same text, whatever else is in the batch.
        """


class TextRole(Role):
    """Serves one generator that writes."""

    def __init__(self, model: TextModel, info: ServiceInfo, device: torch.device) -> None:
        self.info = info
        self._model = model
        self._device = device

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """Genomes of one space, and how tokens are chosen."""
        if not isinstance(call, Write):
            raise BadRequestError(
                f"{self.info.model} writes texts, so it cannot {call.__struct_config__.tag}"
            )
        genomes = check_genomes(self.info.model, self._model.spaces, call.space, read(call.genomes))
        return Rows((call.space, call.temperature, call.seed), genomes)

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """The texts as rows of bytes."""
        space, temperature, seed = cast("tuple[str, float, int]", options)  # as prepare made them
        genomes = torch.tensor(values, device=self._device)
        with torch.inference_mode():
            return (pack_texts(self._model.write(space, genomes, temperature, seed)),)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """The texts."""
        del options
        return Texts(texts=writer.add(outputs[0]))

    def warm_up(self) -> None:
        """One batch of the average genome."""
        space = self._model.spaces[0]
        self.compute((space.name, 0.0, 0), average_genomes(space, self.info.batch_rows))


def text_info(model: TextModel) -> GeneratorInfo:
    """What a client is told of a generator that writes."""
    return GeneratorInfo(spaces=model.spaces, height=0, width=0, writes=True)
