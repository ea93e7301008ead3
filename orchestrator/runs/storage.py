"""Writing files whole or not at all, and saying in one sentence what went wrong.

A file appears under its name only when all of it is on the disk: it is written beside its final
place, flushed, and renamed. A failure leaves no temporary file and the old file untouched.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from protocol.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FULL = "free some space, or keep runs on another disk"
FORBIDDEN = "keep runs in a folder that you may write to"
IN_THE_WAY = "move what is in the way, or keep runs elsewhere"
ADVICE = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.EROFS: FORBIDDEN,
    errno.EACCES: FORBIDDEN,
    errno.EPERM: FORBIDDEN,
    errno.ENOTDIR: IN_THE_WAY,
    errno.EEXIST: IN_THE_WAY,
    errno.EISDIR: "name a file, or move the folder that is in the way",
    errno.ENOENT: "check the path",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}


@contextlib.contextmanager
def storing(wanted: str, where: Path) -> Iterator[None]:
    """Turn an OSError inside the block into a StorageError.

    Args:
        wanted: what was being done, to follow "could not".
        where: the file or folder that it was done to.

    Raises:
        StorageError: an OSError was raised inside the block.
    """
    try:
        yield
    except OSError as error:
        found = (os.strerror(error.errno) if error.errno else str(error)).lower()
        advice = ADVICE.get(error.errno or 0, "check the disk")
        raise StorageError(f"Could not {wanted} at {where}: {found}; {advice}.") from error


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path`, whole or not at all.

    Raises:
        StorageError: it could not be written; what was at `path` is still there.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with storing("write a file", path), _removed_on_failure(beside):
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)


def nearest(path: Path) -> Path:
    """`path` if it is there, else the nearest of its parents that is."""
    return next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())


def append_line(path: Path, line: bytes) -> None:
    """Add `line` and a newline to `path`, whole or not at all.

    Raises:
        StorageError: it could not be written; the file is as long as before.
    """
    with storing("append a line", path), path.open("ab", buffering=0) as file:
        before = file.tell()
        rest = memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except BaseException:
            file.truncate(before)
            raise


def link(path: Path, name: str) -> None:
    """Make `path` a symbolic link to `name`, replacing the link that is there.

    A file system without symbolic links gets none.

    Raises:
        StorageError: it could not be made.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with storing("make a link", path), _removed_on_failure(beside):
        try:
            beside.symlink_to(name)
        except OSError as error:
            if error.errno in {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}:
                return
            raise
        beside.replace(path)


def to_json(value: object, *, indent: int = 0) -> bytes:
    """`value` as JSON in UTF-8; arrays become lists, paths text, and what is no number null.

    Raises:
        TypeError: there is something in it that JSON cannot hold.
    """
    content = msgspec.json.encode(value, enc_hook=_plain)
    return msgspec.json.format(content, indent=indent) if indent else content


def _plain(value: Any) -> Any:
    """A numpy array or scalar as Python numbers, a path as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"JSON cannot hold a {type(value).__name__}")


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
