"""Services without models for measuring the messaging layer, each a process of its own."""

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from protocol import slots
from protocol.client import Client, Service
from protocol.errors import BadRequestError, UnreachableError
from protocol.latent import LatentSpace, Segment
from protocol.messages import (
    ClipInfo,
    Embeddings,
    EmbedImages,
    Generate,
    GeneratorInfo,
    Method,
    Pictures,
    Result,
    RoleInfo,
    ServiceInfo,
)
from protocol.messages import Role as RoleName
from protocol.tensors import Array, TensorWriter
from services.runtime.role import Options, ReadTensor, Role, Rows
from services.runtime.server import Server

SPACE = LatentSpace("z", (Segment("z", "real", 3, 0.0, 255.0, "uniform"),))


class Drawing(Role):
    """A generator whose pictures are ready made."""

    def __init__(self, rows: int, side: int) -> None:
        self.info = info(rows, GeneratorInfo((SPACE,), side, side))
        self._pictures = np.full((rows, side, side, 3), 7, np.uint8)

    @property
    def slot_bytes(self) -> int:
        """One batch."""
        return self._pictures.nbytes

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """Genomes, and the size of CLIP's view."""
        if not isinstance(call, Generate):
            raise BadRequestError("this generator only draws")
        return Rows(call.clip_size, read(call.genomes))

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """The same pictures every time, written anew where the runtime wants them."""
        del options, values
        pictures = self.room(self._pictures.shape, np.uint8)
        np.copyto(pictures, self._pictures)
        return (pictures,)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """Pictures, and CLIP's view if there is one."""
        del options
        return Pictures(*(writer.add(output) for output in outputs))

    def warm_up(self) -> None:
        """Nothing to warm."""


class Seeing(Role):
    """A clip that takes `batch_ms` for a batch and embeds a picture as its first pixels."""

    def __init__(self, rows: int, side: int, batch_ms: float = 0.0, size: int = 8) -> None:
        self.info = info(rows, ClipInfo(side, size, 8))
        self._batch_s = batch_ms / 1000

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """Pictures."""
        if not isinstance(call, EmbedImages):
            raise BadRequestError("this clip only looks at pictures")
        return Rows("see", read(call.images))

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Eight numbers a picture, after a while."""
        del options
        if self._batch_s:
            time.sleep(self._batch_s)
        return (values.reshape(len(values), -1)[:, :8].astype(np.float32),)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """Embeddings."""
        del options
        return Embeddings(embeddings=writer.add(outputs[0]))

    def warm_up(self) -> None:
        """Nothing to warm."""


def info(rows: int, about: RoleInfo) -> ServiceInfo:
    """What a service of this module says of itself."""
    return ServiceInfo("benchmark", "blake2b:benchmark", "cpu", rows, 64 * rows, about)


def _serve(role: Role, endpoint: str) -> None:
    Server(role, endpoint).run()


@contextmanager
def serving(**roles: Role) -> Iterator[dict[str, str]]:
    """Endpoints of these roles, each in a process that ends with the block."""
    spawn = multiprocessing.get_context("spawn")
    processes = []
    with tempfile.TemporaryDirectory() as folder:
        endpoints = {name: f"ipc://{Path(folder, name)}.sock" for name in roles}
        for name, role in roles.items():
            processes.append(spawn.Process(target=_serve, args=(role, endpoints[name])))
            processes[-1].start()
        try:
            yield endpoints
        finally:
            for process in processes:
                process.kill()
                process.join()
            slots.sweep()


def connect(client: Client, endpoint: str, role: RoleName) -> Service:
    """Greet a service that may still be starting."""
    for attempt in range(60):
        try:
            return client.connect(endpoint, role, timeout_s=1.0)
        except UnreachableError:
            if attempt == 59:
                raise
    raise AssertionError
