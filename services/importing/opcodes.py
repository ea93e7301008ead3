"""A pickle's opcodes, followed symbolically: nothing is imported, called or given attributes.

What a pickle would build becomes inert nodes: scalars, tuples and lists as they are, `Dict`, `Set`,
and `Global`, `Call` and `Persistent` for what unpickling would have looked up or run. What may be
made of them is decided in `values`. A restricted `pickle.Unpickler` would not do: its BUILD opcode
sets attributes on whatever `find_class` returned, the reader's own classes among them.

Refused, with ValueError: protocols but 2 to 5, opcodes that torch, numpy and NVIDIA's code never
write, more than a million of them, items over 256 MiB, attributes for anything but the result of a
call. Nothing is ever hashed or compared, so nested nodes cannot make the reader slow.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any, BinaryIO, Final, cast

from services.importing.refusal import RefusedError

MOST_OPCODES: Final = 1_000_000
LARGEST_ITEM_BYTES: Final = 256 << 20
LONGEST_LINE_BYTES: Final = 1024

Node = Any  # None, bool, int, float, str, bytes, tuple, list, or one of the classes below


@dataclass(frozen=True, eq=False)
class Global:
    """The name of a class or function."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Dict:
    """A dict, as pairs in the order of writing."""

    pairs: list[tuple[Node, Node]] = field(default_factory=list)


@dataclass(eq=False)
class Set:
    """A set, as elements in the order of writing."""

    elements: list[Node] = field(default_factory=list)


@dataclass(eq=False)
class Call:
    """What would have come of calling `function`, and what would have been put into it."""

    function: Node
    arguments: Node
    state: Node = None
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    elements: list[Node] = field(default_factory=list)


@dataclass(eq=False)
class Persistent:
    """A reference to something outside the pickle, such as a storage of torch."""

    id: Node


def interpret(file: BinaryIO, references: list[Persistent] | None = None) -> Node:
    """The node of the pickle that starts here; leaves the file behind its end.

    Args:
        file: at the pickle's first byte.
        references: gets every reference to something outside the pickle, in order.

    Raises:
        RefusedError: it is no pickle, damaged, or of a kind that is refused.
    """
    machine = _Machine([] if references is None else references)
    opcodes = pickletools.genops(cast("IO[bytes]", _Bounded(file)))
    try:
        for opcode, argument, _ in opcodes:
            machine.step(opcode.name, argument)
    except RefusedError:
        raise
    except (ValueError, LookupError) as error:
        raise RefusedError(f"its pickle is damaged or cut off ({error})") from error
    return machine.result


class _Bounded:
    """A file for `genops` in which nothing is longer than the limits."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        if size > LARGEST_ITEM_BYTES:
            raise RefusedError(f"it has an item of {size} bytes; the limit is {LARGEST_ITEM_BYTES}")
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(LONGEST_LINE_BYTES)
        if b"\\" in line:
            raise RefusedError("it has an escape in a name")
        return line


LITERALS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
SCALARS: Final = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("SHORT_BINSTRING", "BINSTRING", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
EMPTY: Final[dict[str, Callable[[], Node]]] = {
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": Dict,
    "EMPTY_SET": Set,
}
TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
CALLS: Final = {"REDUCE", "NEWOBJ"}


class _Machine:
    """A stack, the stacks below its marks, and the memo."""

    def __init__(self, references: list[Persistent]) -> None:
        self.result: Node = None
        self._references = references
        self._steps = 0
        self._stack: list[Node] = []
        self._below: list[list[Node]] = []
        self._memo: dict[int, Node] = {}

    def step(self, name: str, argument: Any) -> None:
        """Follow one opcode."""
        self._steps += 1
        if self._steps > MOST_OPCODES:
            raise RefusedError(f"it has more than {MOST_OPCODES} pickle opcodes")
        if name in SCALARS:
            self._stack.append(argument)
        elif name in LITERALS:
            self._stack.append(LITERALS[name])
        elif name in EMPTY:
            self._stack.append(EMPTY[name]())
        elif name in TUPLES:
            self._stack.append(tuple(self._pop() for _ in range(TUPLES[name]))[::-1])
        elif name in CALLS:
            arguments, function = self._pop(), self._pop()
            self._stack.append(Call(function, arguments))
        elif name in OTHERS:
            OTHERS[name](self, argument)
        else:
            raise RefusedError(f"its pickle uses the opcode {name}, which no model file needs")

    def _pop(self) -> Node:
        return self._stack.pop()

    def _to_mark(self) -> list[Node]:
        """What lies above the last mark, taken off the stack."""
        above, self._stack = self._stack, self._below.pop()
        return above

    def proto(self, version: int) -> None:
        if not 2 <= version <= 5:
            raise RefusedError(f"it is a pickle of protocol {version}; protocols 2 to 5 are read")

    def ignore(self, _: Any) -> None:
        """A frame's length: the file is read without frames."""

    def stop(self, _: Any) -> None:
        self.result = self._pop()

    def mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def marked_tuple(self, _: Any) -> None:
        values = tuple(self._to_mark())
        self._stack.append(values)

    def pop_one(self, _: Any) -> None:
        self._pop()

    def pop_mark(self, _: Any) -> None:
        self._to_mark()

    def put(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def global_name(self, names: str) -> None:
        module, _, name = names.partition(" ")
        self._stack.append(Global(module, name))

    def stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise RefusedError("its pickle names a class by something that is no text")
        self._stack.append(Global(module, name))

    def persistent(self, _: Any) -> None:
        reference = Persistent(self._pop())
        self._references.append(reference)
        self._stack.append(reference)

    def build(self, _: Any) -> None:
        state, target = self._pop(), self._stack[-1]
        if not isinstance(target, Call) or target.state is not None:
            raise RefusedError(f"its pickle gives attributes to {_named(target)}")
        target.state = state

    def append(self, _: Any) -> None:
        self._extend([self._pop()])

    def appends(self, _: Any) -> None:
        self._extend(self._to_mark())

    def _extend(self, values: list[Node]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Set | Call):
            target.elements.extend(values)
        else:
            raise RefusedError(f"its pickle appends to {_named(target)}")

    def set_item(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._update([key, value])

    def set_items(self, _: Any) -> None:
        self._update(self._to_mark())

    def _update(self, flat: list[Node]) -> None:
        target = self._stack[-1]
        if not isinstance(target, Dict | Call) or len(flat) % 2:
            raise RefusedError(f"its pickle puts items into {_named(target)}")
        target.pairs.extend(zip(flat[::2], flat[1::2], strict=True))


def _named(node: Node) -> str:
    return str(node) if isinstance(node, Global) else f"a {type(node).__name__.lower()}"


OTHERS: Final[dict[str, Callable[[_Machine, Any], None]]] = {
    "PROTO": _Machine.proto,
    "FRAME": _Machine.ignore,
    "STOP": _Machine.stop,
    "MARK": _Machine.mark,
    "TUPLE": _Machine.marked_tuple,
    "POP": _Machine.pop_one,
    "POP_MARK": _Machine.pop_mark,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.global_name,
    "STACK_GLOBAL": _Machine.stack_global,
    "BINPERSID": _Machine.persistent,
    "BUILD": _Machine.build,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
}
