"""A real service process whose little model can be told to fail in the middle of a batch.

Started like any other (`service_command` of the harness), it loads in a fraction of a second, since
it needs no torch. A file `ROLE.FAULT` in `$GLASSHOUSE_FAULTS` is an order to whichever process of
that role finds it first; `slow` stays and holds for all of them.
"""

import argparse
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).parents[2]))

from protocol.errors import BadRequestError
from protocol.messages import (
    ClipInfo,
    DiscriminatorInfo,
    Embeddings,
    EmbedImages,
    EmbedTexts,
    Method,
    Result,
    Score,
    Scores,
    ServiceInfo,
)
from protocol.tensors import Array, TensorWriter
from services.runtime import process
from services.runtime.role import Options, ReadTensor, Role, Rows
from tests.services.runtime.roles import DRAWN, DrawRole

BATCH_S = 0.005


class See(Role):
    """Embeds a picture as its mean colour of length 1, a text as red."""

    info = ServiceInfo("see", "blake2b:see", "cpu", 4, 64, ClipInfo(DRAWN // 2, 3, 8))

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        if isinstance(call, EmbedTexts):
            return Rows("texts", np.tile(np.array([1, 0, 0], np.float32), (len(call.texts), 1)))
        if isinstance(call, EmbedImages):
            return Rows("images", read(call.images))
        raise BadRequestError("only embeds here")

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        if options == "texts":
            return (values,)
        colours = values.reshape(len(values), -1, 3).mean(1).astype(np.float32) + 1
        return (colours / np.linalg.norm(colours, axis=1, keepdims=True),)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        return Embeddings(embeddings=writer.add(outputs[0]))

    def warm_up(self) -> None:
        pass


class Judge(Role):
    """Scores a picture with the mean of its pixels."""

    info = ServiceInfo("judge", "blake2b:judge", "cpu", 4, 64, DiscriminatorInfo(DRAWN, DRAWN))

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        if not isinstance(call, Score):
            raise BadRequestError("only scores here")
        return Rows("score", read(call.images))

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        return (values.reshape(len(values), -1).mean(1).astype(np.float32) / 64,)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        return Scores(logits=writer.add(outputs[0]))

    def warm_up(self) -> None:
        pass


ROLES = {"generator": DrawRole, "clip": See, "discriminator": Judge}


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def hold_interpreter_lock() -> None:
    ctypes.PyDLL(None).sleep(600)  # a PyDLL keeps the lock while it calls


def hang() -> None:
    time.sleep(600)


def run_out_of_memory() -> None:
    raise MemoryError


def leave() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def fill_shared_memory() -> None:
    """From now on no file of this process can grow: what a full tmpfs does to a pool."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


FAULTS = {
    "kill": kill,
    "stop": stop,
    "lock": hold_interpreter_lock,
    "hang": hang,
    "memory": run_out_of_memory,
    "drain": leave,
    "shm": fill_shared_memory,
}


class Faulty(Role):
    """Another role, and what it was told to do wrong."""

    def __init__(self, role: Role, name: str, batch_rows: int = 0) -> None:
        self._role = role
        self._name = name
        self._orders = Path(os.environ["GLASSHOUSE_FAULTS"])
        role.info = replace(role.info, batch_rows=batch_rows or role.info.batch_rows)
        self.info = role.info

    @property
    def slot_bytes(self) -> int:
        return self._role.slot_bytes

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        return self._role.prepare(call, read)

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        time.sleep(BATCH_S * (10 if (self._orders / f"{self._name}.slow").exists() else 1))
        for fault, act in FAULTS.items():
            try:
                (self._orders / f"{self._name}.{fault}").unlink()
            except FileNotFoundError:
                continue
            act()
        self._role.room = self.room
        return self._role.compute(options, values)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        return self._role.result(options, outputs, writer)

    def warm_up(self) -> None:
        self._role.warm_up()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--bind", default="")
    parser.add_argument("--owned", action="store_true")
    parser.add_argument("--rows", type=int, default=0)
    given = parser.parse_args()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    process._load = lambda options: Faulty(ROLES[options.role](), options.role, given.rows)  # type: ignore[assignment, abstract] # this is the model
    process.serve(process.ServeOptions(given.role, given.role, given.bind, owned=given.owned))


if __name__ == "__main__":
    main()
