"""Files of `torch.save`, both kinds, read without torch's unpickler.

The newer is a zip archive: `NAME/data.pkl` and one member a storage, uncompressed. The older, and
the bytes that `torch.storage._load_from_bytes` stands for, is a sequence of pickles (magic number,
protocol, system, the object, the keys of storages) and then each storage's count and bytes. A
storage is read when a tensor needs it.
"""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import torch

from services.importing.opcodes import LARGEST_ITEM_BYTES, Global, Node, Persistent, interpret
from services.importing.refusal import RefusedError
from services.importing.values import STORAGES, Fields, Storage, Values

MAGIC_NUMBER: Final = 0x1950A86A20F9469CFC6C
LEGACY_START: Final = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
ZIP_START: Final = b"PK\x03\x04"
PROTOCOL: Final = 1001
COUNT_BYTES: Final = 8
MOST_MEMBERS: Final = 20_000
ZIP_ERRORS: Final = (zipfile.BadZipFile, EOFError, LookupError, RuntimeError, ValueError)

ReadStorage = Callable[["_Reference"], bytes]
"""What a persistent id says of a storage -> the storage's bytes."""


def is_torch_file(path: Path) -> bool:
    """Whether the file looks like one that `torch.save` wrote."""
    with path.open("rb") as file:
        start = file.read(len(LEGACY_START))
    return start == LEGACY_START or start.startswith(ZIP_START)


def open_torch_file(path: Path) -> Fields:
    """The dict in a file of `torch.save`; its values are read when they are looked up.

    Raises:
        OSError: the file cannot be read.
        RefusedError: it is damaged, or holds something that is refused.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(ZIP_START))
        file.seek(0)
        if start == ZIP_START:
            root, read = _open_archive(path)
        else:
            root, read = _open_legacy(file, path)
    values = Values(2 * size, lambda node: _storage(node, read))
    return values.fields(root)


def load_storage(content: bytes) -> Storage:
    """The storage in the bytes that `torch.storage._load_from_bytes` would unpickle.

    Raises:
        RefusedError: they hold anything else.
    """
    file = io.BytesIO(content)
    root, offsets = _read_legacy(file)
    if not isinstance(root, Persistent):
        raise RefusedError("where a storage was expected it nests another pickle")
    return _storage(root.id, lambda reference: _content_at(file, offsets, reference))


@dataclass(frozen=True)
class _Reference:
    """What a persistent id says of a storage."""

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def size_bytes(self) -> int:
        return self.numel * self.dtype.itemsize


def _reference(node: Node) -> _Reference:
    """What ("storage", type, key, location, items, ...) says."""
    if not isinstance(node, tuple) or len(node) < 5 or node[0] != "storage":
        raise RefusedError("it refers to something outside that is no storage")
    kind, key, numel = node[1], node[2], node[4]
    if not isinstance(kind, Global) or kind.module != "torch" or kind.name not in STORAGES:
        raise RefusedError(f"it has a storage of type {kind!s:.100}, which is not read")
    views = [part for part in node[5:] if part is not None]
    if not isinstance(key, str) or type(numel) is not int or numel < 0 or views:
        raise RefusedError("it has a storage whose key or length makes no sense")
    found = _Reference(key, STORAGES[kind.name], numel)
    if found.size_bytes > LARGEST_ITEM_BYTES:
        raise RefusedError(f"it has a storage of {found.size_bytes} bytes; that is too large")
    return found


def _storage(node: Node, read: ReadStorage) -> Storage:
    reference = _reference(node)
    content = read(reference)
    if len(content) != reference.size_bytes:
        raise RefusedError(
            f"its storage '{reference.key:.40}' has {len(content)} bytes instead of "
            f"{reference.size_bytes}"
        )
    return Storage(reference.dtype, reference.numel, content)


def _open_archive(path: Path) -> tuple[Node, ReadStorage]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except ZIP_ERRORS as error:
        raise RefusedError(f"it is a damaged or cut off zip archive ({error})") from error
    _check_members(members, path.stat().st_size)
    pickles = [info.filename for info in members if info.filename.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise RefusedError("it is a zip archive, but not one of torch.save")
    folder = pickles[0].removesuffix("data.pkl")
    root = interpret(io.BytesIO(_member(path, pickles[0])))
    return root, lambda reference: _member(path, f"{folder}data/{reference.key}")


def _member(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except ZIP_ERRORS as error:
        raise RefusedError(f"its member '{name:.60}' is missing or damaged ({error})") from error


def _check_members(members: list[zipfile.ZipInfo], size_bytes: int) -> None:
    """Nothing is compressed by torch, so honest members are together smaller than the file."""
    odd = any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in members)
    total = sum(info.file_size for info in members)
    if odd or total > size_bytes or len(members) > MOST_MEMBERS:
        raise RefusedError(
            "it is a zip archive that is compressed, encrypted or overlapping, as torch writes none"
        )


def _open_legacy(file: BinaryIO, path: Path) -> tuple[Node, ReadStorage]:
    root, offsets = _read_legacy(file)

    def read(reference: _Reference) -> bytes:
        with path.open("rb") as again:
            return _content_at(again, offsets, reference)

    return root, read


def _read_legacy(file: BinaryIO) -> tuple[Node, dict[str, int]]:
    """The object, and where each storage's count begins."""
    if interpret(file) != MAGIC_NUMBER or interpret(file) != PROTOCOL:
        raise RefusedError("it is no file of torch.save")
    interpret(file)  # the system that wrote it
    references: list[Persistent] = []
    root = interpret(file, references)
    sizes = {found.key: found.size_bytes for found in (_reference(each.id) for each in references)}
    keys = interpret(file)
    position = file.tell()
    offsets: dict[str, int] = {}
    for key in keys if isinstance(keys, list) else [None]:
        if not isinstance(key, str) or key not in sizes:
            raise RefusedError("its list of storages is damaged")
        offsets[key] = position
        position += COUNT_BYTES + sizes[key]
    return root, offsets


def _content_at(file: BinaryIO, offsets: dict[str, int], reference: _Reference) -> bytes:
    if reference.key not in offsets:
        raise RefusedError(f"its storage '{reference.key:.40}' is missing")
    file.seek(offsets[reference.key])
    count = int.from_bytes(file.read(COUNT_BYTES), "little")
    if count != reference.numel:
        raise RefusedError(f"its storage '{reference.key:.40}' says that it has {count} items")
    return file.read(reference.size_bytes)
