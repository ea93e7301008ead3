"""Generators of users' own packages: one class with three methods, found by an entry point.

A package names its class in the entry point group `glasshouse.generators`; the entry point's name
is what its users type. docs/generator.md has a complete example. The class runs with the user's
rights; nothing that comes over the wire chooses it.
"""

import hashlib
import inspect
from abc import ABC, abstractmethod
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar

import msgspec
import torch
from torch import Tensor

from protocol.errors import BadRequestError, GlasshouseError, WeightsError
from protocol.latent import LatentSpace
from protocol.messages import ServiceInfo
from services.catalogue import GENERATORS
from services.generator.role import GeneratorRole, average_genomes, generator_info
from services.runtime.role import QUEUE_BATCHES


class Generator(ABC):
    """What a generator of your own must be; its constructor takes no arguments.

    Attributes:
        batch_rows: fixed number of rows in which it computes; a batch is filled up to it.
    """

    batch_rows: ClassVar[int] = 4

    @abstractmethod
    def latent_space(self) -> LatentSpace:
        """What it draws from; may depend on what was loaded."""

    @abstractmethod
    def load(self, device: torch.device) -> str:
        """Take up the weights.

        Returns:
            Something that changes when the weights do, such as their digest or version. Together
            with the class's source it is what runs know the generator by.
        """

    @abstractmethod
    def generate(self, genomes: Tensor) -> Tensor:
        """(n, size of the latent space) float32 -> (n, 3, height, width) float, -1 to 1.

        The same genome must give the same picture, whatever else is in the batch.
        """


class Drawn:
    """A generator of a user's own behind the generator role."""

    def __init__(self, generator: Generator, device: torch.device) -> None:
        self._generator = generator
        space, rows = _checked(generator.latent_space()), generator.batch_rows
        if rows < 1:
            raise ValueError(f"batch_rows must be at least 1, got {rows}")
        self.spaces: tuple[LatentSpace, ...] = (space,)
        genomes = torch.from_numpy(average_genomes(space, rows)).to(device)
        with torch.inference_mode():
            pictures = generator.generate(genomes)
        found: object = pictures.dtype if isinstance(pictures, Tensor) else type(pictures).__name__
        if not (isinstance(found, torch.dtype) and found.is_floating_point):
            raise TypeError(f"wanted pictures as a tensor of floats, -1 to 1, got {found}")
        shape = tuple(pictures.shape)
        if len(shape) != 4 or shape[:2] != (rows, 3):
            raise ValueError(f"wanted pictures of shape ({rows}, 3, h, w), got {shape}")
        self.height, self.width = shape[2:]

    def draw(self, space: str, genomes: Tensor, truncation_psi: float) -> Tensor:
        """(n, size) float32 -> (n, 3, height, width) float."""
        del space  # it has one
        if truncation_psi != 1.0:
            raise BadRequestError("this generator knows no truncation; leave --truncation at 1")
        return self._generator.generate(genomes)


def _checked(space: object) -> LatentSpace:
    """A latent space of a user's, if it can be announced.

    Raises:
        TypeError: it is none.
        BadRequestError: no search could use it.
        ValueError: a segment has an unknown kind, or a field of another type.
    """
    if not isinstance(space, LatentSpace):
        raise TypeError(f"latent_space must return a LatentSpace, got {type(space).__name__}")
    space.check()
    return msgspec.convert(msgspec.to_builtins(space), LatentSpace)


def own_generators() -> dict[str, EntryPoint]:
    """Entry points by name; of two packages with the same name the first counts."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GENERATORS):
        found.setdefault(point.name, point)
    return found


def load_own(name: str, device: torch.device) -> GeneratorRole:
    """The role of a user's generator, warm.

    Raises:
        WeightsError: its package does not work; says what it said.
    """
    point = own_generators()[name]
    try:
        generator = _made(point)
        loaded: object = generator.load(device)
        if not isinstance(loaded, str):
            raise TypeError(f"load must return a text, got {type(loaded).__name__}")  # noqa: TRY301 # said below
        digest = _digest(generator, loaded)
        model = Drawn(generator, device)
        rows, about = generator.batch_rows, generator_info(model)
        info = ServiceInfo(name, digest, str(device), rows, rows * QUEUE_BATCHES, about)
        role = GeneratorRole(model, info, device)
        role.warm_up()
    except GlasshouseError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise WeightsError(f"{name} of {point.value} does not work: {error}") from error
    return role


def _made(point: EntryPoint) -> Generator:
    cls = point.load()
    if not (inspect.isclass(cls) and issubclass(cls, Generator)):
        raise TypeError(f"{point.value} is no class derived from Generator")
    return cls()


def _digest(generator: Generator, loaded: str) -> str:
    cls = type(generator)
    content = inspect.getsource(inspect.getmodule(cls) or cls).encode() + b"\0" + loaded.encode()
    return "blake2b:" + hashlib.blake2b(content, digest_size=16).hexdigest()
