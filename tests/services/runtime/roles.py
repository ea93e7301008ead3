"""Real little roles without torch, one that answers, is slow, or breaks; and how to ask it."""

import threading
import time

import numpy as np

from benchmarks.roles import Drawing, Seeing
from protocol.client import Client, Service
from protocol.errors import BadRequestError
from protocol.messages import (
    DiscriminatorInfo,
    Method,
    Result,
    Score,
    Scores,
    ServiceInfo,
)
from protocol.session import Pending
from protocol.tensors import Array, TensorWriter
from services.runtime.role import Options, ReadTensor, Role, Rows

SIDE = 2
POISON = 13


class MeanRole(Role):
    """Scores a 2x2 picture with the mean of its pixels.

    Attributes:
        shapes: of every batch computed.
        filled: the values of the pixels of each batch.
        pause_s: how long a batch takes.
        memory_rows: more rows than this at a time are out of memory.
        gate: batches wait until it is set.
    """

    def __init__(self, batch_rows: int = 4, queue_rows: int = 64, pause_s: float = 0.0) -> None:
        self.info = ServiceInfo(
            "mean", "blake2b:mean", "cpu", batch_rows, queue_rows, DiscriminatorInfo(SIDE, SIDE)
        )
        self.shapes: list[tuple[int, ...]] = []
        self.filled: list[set[int]] = []
        self.pause_s = pause_s
        self.memory_rows = batch_rows
        self.gate = threading.Event()
        self.gate.set()

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        if not isinstance(call, Score):
            raise BadRequestError("only scores here")
        return Rows("score", read(call.images))

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        self.gate.wait(120)
        time.sleep(self.pause_s)
        self.shapes.append(values.shape)
        self.filled.append(set(np.unique(values).tolist()))
        if len(values) > self.memory_rows:
            raise MemoryError
        if (values == POISON).any():
            raise RuntimeError("these pixels break me")
        return (values.reshape(len(values), -1).mean(1).astype(np.float32),)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        return Scores(logits=writer.add(outputs[0]))

    def warm_up(self) -> None:
        pass


DRAWN = 32


class DrawRole(Drawing):
    """Draws a picture of one colour, the genome; the view for CLIP has half the size."""

    def __init__(self, batch_rows: int = 4) -> None:
        super().__init__(batch_rows, DRAWN)

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        full = self.room((len(values), DRAWN, DRAWN, 3), np.uint8)
        full[:] = values.astype(np.uint8)[:, None, None, :]
        return (full, full[:, ::2, ::2].copy()) if options else (full,)


class SeeRole(Seeing):
    """Embeds a 16x16 picture as its mean colour; keeps what it saw."""

    def __init__(self, batch_rows: int = 4) -> None:
        super().__init__(batch_rows, DRAWN // 2, size=3)
        self.gate = threading.Event()
        self.gate.set()
        self.shared: list[bool] = []

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        self.gate.wait(120)
        self.shared.append(not values.flags.writeable)
        return (values.reshape(len(values), -1, 3).mean(1).astype(np.float32),)


def pictures(values: list[int]) -> Array:
    """(n, 2, 2, 3) uint8, each of one value, which is then its score."""
    return np.repeat(np.array(values, np.uint8), SIDE * SIDE * 3).reshape(-1, SIDE, SIDE, 3)


def ask(client: Client, service: Service, values: list[int], ttl_s: float = 120.0) -> Pending:
    """Have pictures of these grey levels scored."""
    writer = TensorWriter()
    return client.submit(service, Score(images=writer.add(pictures(values))), writer.frames, ttl_s)


def scores(client: Client, pending: Pending) -> list[float]:
    """The logits that `ask` was answered with."""
    client.wait([pending])
    answer = pending.answer()
    assert isinstance(answer.reply.result, Scores)
    return list(answer.tensor(answer.reply.result.logits))
