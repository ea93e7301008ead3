"""The scorer role: any Python callable from pictures to numbers, as a service.

The callable takes (rows, height, width, 3) uint8 and returns one number a row, computed from that
row alone. It is named on the command line as `file.py:function` and runs with the user's rights;
nothing that comes over the wire chooses it. Docs: docs/scorer.md.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from protocol.errors import BadRequestError
from protocol.messages import Method, Result, Score, ScorerInfo, Scores, ServiceInfo
from protocol.tensors import Array, TensorWriter
from services.runtime.images import check_images
from services.runtime.role import QUEUE_BATCHES, Options, ReadTensor, Role, Rows


class ScorerRole(Role):
    """Serves one callable."""

    def __init__(self, score: Callable[[Array], Array], info: ServiceInfo) -> None:
        self.info = info
        self._score = score

    def prepare(self, call: Method, read: ReadTensor) -> Rows:
        """Pictures of the announced size."""
        about = self.info.about
        if not isinstance(call, Score) or not isinstance(about, ScorerInfo):
            raise BadRequestError(f"a scorer cannot {call.__struct_config__.tag}")
        return Rows("score", check_images(read(call.images), about.height, about.width))

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Numbers, (rows,) float32; ValueError if the callable gives something else.

        NaN says that a picture cannot be scored: a search ranks it last.
        """
        del options
        numbers = np.array(self._score(values), np.float32)
        if numbers.shape != (len(values),):
            raise ValueError(f"wanted {len(values)} numbers, got shape {numbers.shape}")
        return (numbers,)

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        """The numbers."""
        del options
        return Scores(logits=writer.add(outputs[0]))

    def warm_up(self) -> None:
        """One batch of black pictures, which also shows mistakes in the callable."""
        about = self.info.about
        if isinstance(about, ScorerInfo):
            self.compute(None, np.zeros((self.info.batch_rows, about.height, about.width, 3), "u1"))


def load_scorer(named: str, about: ScorerInfo, batch_rows: int = 16) -> ScorerRole:
    """The scorer that `file.py:function` names, tried once.

    Raises:
        BadRequestError: no such file or function, or it does not give one number a picture.
    """
    file, _, function = named.rpartition(":")
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise BadRequestError(f"wanted file.py:function with a Python file, got '{named}'")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(spec.name, module)  # where dataclasses look up their annotations
    digest = "blake2b:" + hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    queue_rows = batch_rows * QUEUE_BATCHES
    info = ServiceInfo(f"{path.stem}:{function}", digest, "cpu", batch_rows, queue_rows, about)
    try:
        spec.loader.exec_module(module)
        role = ScorerRole(getattr(module, function), info)
        role.warm_up()
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise BadRequestError(f"{named} does not work as a scorer: {error}") from error
    return role
