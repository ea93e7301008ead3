"""What may be made of a pickle's nodes: tensors, plain containers and records. Nothing else.

`Values.build` knows the few constructors that model files need and refuses every other by name. A
`Record` (a module of NVIDIA's, a TensorFlow network) keeps its class's name and its attributes,
which are built when they are looked up: what nobody asks for may be of any kind and stays inert.
Source code inside a file is kept as its sha256 only.

Tensors are checked against their storage before memory is touched, are never larger than it, and
all together not larger than twice the file.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from services.importing.opcodes import Call, Dict, Global, Node, Persistent, Set
from services.importing.refusal import RefusedError

DEEPEST: Final = 200
MOST_DIMENSIONS: Final = 8
SCALARS: Final = (type(None), bool, int, float, str, bytes, bytearray)

STORAGES: Final = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
Array = np.ndarray[Any, Any]
NUMPY_TYPES: Final = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


@dataclass(frozen=True, eq=False)
class Storage:
    """The memory behind tensors: `content` holds `numel` items of `dtype`."""

    dtype: torch.dtype
    numel: int
    content: bytes


@dataclass(frozen=True, eq=False)
class Record:
    """An object that was not made: its class's name, its attributes, its source code's sha256."""

    class_name: str
    attributes: "Fields"
    source_sha256: str


class Fields(Mapping[str, Any]):
    """Named values that are built when they are looked up."""

    def __init__(self, values: "Values", pairs: list[tuple[Node, Node]]) -> None:
        self._values = values
        self._nodes = {key: node for key, node in pairs if isinstance(key, str)}

    def __getitem__(self, name: str) -> Any:
        return self._values.build(self._nodes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def fields(self, name: str) -> "Fields":
        """The dict under `name`, itself built when looked up; empty if there is none.

        Raises:
            RefusedError: it is no dict.
        """
        return self._values.fields(self._nodes.get(name, Dict()))


class Values:
    """Builds the values of one file.

    Args:
        budget_bytes: how large all tensors may be together.
        find_storage: the storage that a persistent id names; None where there can be none.
        load_storage: the storage in the bytes that torch pickled by themselves.
    """

    def __init__(
        self,
        budget_bytes: int,
        find_storage: Callable[[Node], Storage] | None = None,
        load_storage: Callable[[bytes], Storage] | None = None,
    ) -> None:
        self._budget = budget_bytes
        self._find_storage = find_storage
        self._load_storage = load_storage
        self._built: dict[int, Any] = {}
        self._kept: list[Node] = []  # so that no id in `_built` is used again
        self._depth = 0

    def build(self, node: Node) -> Any:
        """The value of a node, the same one each time.

        Raises:
            RefusedError: it holds something that is refused; the sentence names it.
        """
        if isinstance(node, SCALARS):
            return node
        if id(node) in self._built:
            return self._built[id(node)]
        if self._depth == DEEPEST:
            raise RefusedError(f"its values are nested more than {DEEPEST} deep")
        self._depth += 1
        try:
            value = self._made(node)
        finally:
            self._depth -= 1
        self._built[id(node)] = value
        self._kept.append(node)
        return value

    def fields(self, node: Node) -> Fields:
        """A dict's values by name, built when they are looked up.

        Raises:
            RefusedError: the node is no dict.
        """
        if isinstance(node, Dict) or (isinstance(node, Call) and str(node.function) in DICTS):
            return Fields(self, node.pairs)
        raise RefusedError(f"where named values were expected it has {_told(node)}")

    def _made(self, node: Node) -> Any:
        if isinstance(node, list):
            return [self.build(value) for value in node]
        if isinstance(node, tuple):
            return tuple(self.build(value) for value in node)
        if isinstance(node, Dict):
            return self._dict(node.pairs)
        if isinstance(node, Set):
            return {_key(value) for value in node.elements}
        if isinstance(node, Persistent) and self._find_storage is not None:
            return self._find_storage(node.id)
        if isinstance(node, Call) and isinstance(node.function, Global):
            make = CONSTRUCTORS.get(str(node.function))
            if make is not None:
                return make(self, node)
        raise RefusedError(f"it asks for {_told(node)}, which no model file needs")

    def _dict(self, pairs: list[tuple[Node, Node]]) -> dict[Any, Any]:
        return {_key(key): self.build(value) for key, value in pairs}

    def ordered_dict(self, call: Call) -> dict[Any, Any]:
        """`OrderedDict` and `EasyDict`."""
        return self._dict(call.pairs)

    def plain_set(self, call: Call) -> set[Any]:
        """`set(list)` of protocols 2 and 3."""
        (elements,) = arguments(call, 1)
        if not isinstance(elements, list):
            raise RefusedError("it makes a set of something that is no list")
        return {_key(value) for value in elements}

    def encoded(self, call: Call) -> bytes:
        """`_codecs.encode(text, "latin1")`, which is how protocol 2 writes bytes."""
        text, codec = arguments(call, 2)
        if not isinstance(text, str) or codec != "latin1":
            raise RefusedError("it encodes text in another way than bytes need")
        return text.encode("latin-1")

    def tensor(self, call: Call) -> Tensor:
        """`torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)`."""
        storage, offset, size, stride = (self.build(node) for node in arguments(call, 4))
        if not isinstance(storage, Storage):
            raise RefusedError("it has a tensor without a storage")
        if not (_sizes(size) and _sizes(stride) and _sizes((offset,)) and len(size) == len(stride)):
            raise RefusedError("it has a tensor whose size or stride makes no sense")
        numel = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if numel and (numel > storage.numel or last >= storage.numel):
            raise RefusedError(
                f"it has a tensor of size {size}, stride {stride} and offset {offset} in a storage "
                f"of only {storage.numel} items"
            )
        if not numel:
            return torch.zeros(size, dtype=storage.dtype)
        self._spend(numel * storage.dtype.itemsize)
        items = torch.frombuffer(bytearray(storage.content), dtype=storage.dtype)
        return items.as_strided(size, stride, offset).clone(memory_format=torch.contiguous_format)

    def parameter(self, call: Call) -> Any:
        """`torch._utils._rebuild_parameter(tensor, ...)`."""
        return self.build(arguments(call, 1)[0])

    def storage(self, call: Call) -> Storage:
        """`torch.storage._load_from_bytes(content)`, by our own parser of the nested stream."""
        content = self.build(arguments(call, 1)[0])
        if self._load_storage is None or not isinstance(content, bytes):
            raise RefusedError("it has a storage that is no bytes")
        return self._load_storage(content)

    def numpy_type(self, call: Call) -> "np.dtype[Any]":
        """`numpy.dtype("f4", ...)` of plain numbers; its state says the byte order."""
        (name,) = arguments(call, 1)
        state = self.build(call.state)
        big = isinstance(state, tuple) and len(state) > 1 and state[1] == ">"
        if not isinstance(name, str) or name not in NUMPY_TYPES:
            raise RefusedError(f"it has an array of type {name!s:.40}; only plain numbers are read")
        return np.dtype(name).newbyteorder(">" if big else "<")

    def numpy_scalar(self, call: Call) -> float | int | bool:
        """`numpy.core.multiarray.scalar(dtype, bytes)`."""
        kind, content = (self.build(node) for node in arguments(call, 2))
        value = self._array(kind, (), content)
        found: float | int | bool = value.item()
        return found

    def numpy_array(self, call: Call) -> Array:
        """`numpy.core.multiarray._reconstruct`, whose state is the array."""
        state = self.build(call.state)
        if not isinstance(state, tuple) or len(state) != 5:
            raise RefusedError("it has an array without content")
        _, shape, kind, fortran, content = state
        return self._array(kind, shape, content, "F" if fortran is True else "C")

    def numpy_buffer(self, call: Call) -> Array:
        """`numpy.core.numeric._frombuffer(bytes, dtype, shape, order)` of protocol 5."""
        content, kind, shape, order = (self.build(node) for node in arguments(call, 4))
        return self._array(kind, shape, content, order)

    def _array(self, kind: Any, shape: Any, content: Any, order: Any = "C") -> Array:
        if isinstance(content, str):
            content = content.encode("latin-1")  # Python 2 had one type for both
        if not isinstance(kind, np.dtype) or not isinstance(content, bytes | bytearray):
            raise RefusedError("it has an array of no numbers")
        wrong = not _sizes(shape) or math.prod(shape) * kind.itemsize != len(content)
        if wrong or order not in {"C", "F"}:
            raise RefusedError(f"it has an array of {len(content)} bytes that do not fit its shape")
        self._spend(len(content))
        found: Array = np.frombuffer(content, kind).reshape(shape, order=order)
        return found

    def persistent(self, call: Call) -> Record:
        """`torch_utils.persistence._reconstruct_persistent_obj(meta)`, not executed."""
        meta = self.fields(arguments(call, 1)[0])
        name, source = meta.get("class_name"), meta.get("module_src")
        if not isinstance(name, str) or not isinstance(source, str):
            raise RefusedError("it has a module without a class name or source")
        return Record(name, meta.fields("state"), _sha256(source))

    def network(self, call: Call) -> Record:
        """`dnnlib.tflib.network.Network`, which would start TensorFlow and run its source."""
        attributes = self.fields(call.state)
        name, source = attributes.get("build_func_name"), attributes.get("build_module_src")
        if not isinstance(name, str) or not isinstance(source, str):
            raise RefusedError("it has a network without a function name or source")
        return Record(name, attributes, _sha256(source))

    def _spend(self, size_bytes: int) -> None:
        self._budget -= size_bytes
        if self._budget < 0:
            raise RefusedError("its tensors are larger than the file")


Constructor = Callable[[Values, Call], Any]
DICTS: Final = {"collections.OrderedDict", "dnnlib.util.EasyDict"}
CONSTRUCTORS: Final[dict[str, Constructor]] = {
    **dict.fromkeys(DICTS, Values.ordered_dict),
    "builtins.set": Values.plain_set,
    "__builtin__.set": Values.plain_set,
    "_codecs.encode": Values.encoded,
    "torch._utils._rebuild_tensor_v2": Values.tensor,
    "torch._utils._rebuild_parameter": Values.parameter,
    "torch.storage._load_from_bytes": Values.storage,
    "numpy.dtype": Values.numpy_type,
    "torch_utils.persistence._reconstruct_persistent_obj": Values.persistent,
    "dnnlib.tflib.network.Network": Values.network,
}
for _package in ("numpy.core", "numpy._core"):
    CONSTRUCTORS[f"{_package}.multiarray.scalar"] = Values.numpy_scalar
    CONSTRUCTORS[f"{_package}.multiarray._reconstruct"] = Values.numpy_array
    CONSTRUCTORS[f"{_package}.numeric._frombuffer"] = Values.numpy_buffer


def arguments(call: Call, wanted: int) -> tuple[Node, ...]:
    """The first arguments of a call.

    Raises:
        RefusedError: there are fewer.
    """
    if not isinstance(call.arguments, tuple) or len(call.arguments) < wanted:
        raise RefusedError(f"it calls {call.function} with too few arguments")
    return call.arguments[:wanted]


def _key(node: Node) -> Any:
    if not isinstance(node, SCALARS) or isinstance(node, bytearray):
        raise RefusedError("it has a dict or set whose keys are not plain")
    return node


def _sizes(values: Any) -> bool:
    if not isinstance(values, tuple) or len(values) > MOST_DIMENSIONS:
        return False
    return all(type(value) is int and 0 <= value < 1 << 40 for value in values)


def _sha256(source: str) -> str:
    return hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()


def _told(node: Node) -> str:
    if isinstance(node, Call):
        return _told(node.function)
    return f"{node!s:.100}" if isinstance(node, Global) else f"a {type(node).__name__.lower()}"
