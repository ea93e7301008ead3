"""The contract between the runtime and a model: rows in, rows out.

A role turns a request into rows of one array, computes a batch of rows of fixed shape, and turns
the rows that belong to a request into its result. It never sees requests side by side: what shares
a batch is the scheduler's business, and a row's answer must not depend on it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from protocol.messages import Method, Result, ServiceInfo
from protocol.tensors import Array, TensorRef, TensorWriter

QUEUE_BATCHES = 64  # as many batches of one client's rows may wait
Options = Hashable
ReadTensor = Callable[[TensorRef], Array]


@dataclass(frozen=True)
class Rows:
    """What one request asks to be computed.

    Attributes:
        options: all that must be equal for rows to share a batch.
        values: (rows, ...) array; rows of equal options have equal shape and dtype.
    """

    options: Options
    values: Array


class Room(Protocol):
    """Gives memory for an output."""

    def __call__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """An array of that shape, C order, with whatever was in the memory before."""


class Role(ABC):
    """One model behind one service.

    Attributes:
        room: where `compute` may write its outputs. What lies there need not be copied before other
            processes read it; an array of any other origin will do as well.
    """

    info: ServiceInfo
    room: Room = staticmethod(np.empty)

    @property
    def slot_bytes(self) -> int:
        """Bytes of the largest output tensor worth a shared-memory slot; 0 for none."""
        return 0

    @abstractmethod
    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """The rows of a request. Runs in the I/O thread, so it must be quick.

        Raises:
            BadRequestError: a method, shape or value that this model cannot take.
        """

    @abstractmethod
    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Compute `info.batch_rows` rows; every output has as many. Compute thread.

        Once the device ran out of memory there are fewer rows in every batch. `values` may be
        read-only, because it may lie in another process's memory.
        """

    @abstractmethod
    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """The result of one request from the output rows that are its own."""

    @abstractmethod
    def warm_up(self) -> None:
        """Compute one batch of each kind, so that the first request is not the slow one."""
