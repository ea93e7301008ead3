"""Converting a file in a process that can do nothing else.

A model's file is read by code that looks at every byte with suspicion, and it is read here all the
same: in a process of its own, whose memory, time and files are limited, that cannot reach the
network, start a program, or write outside its output folder (Landlock and a network namespace,
where the kernel has them). What it made is moved to its place only when all of it is whole.
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import BadRequestError, GlasshouseError, StorageError, WeightsError
from services.models.shards import size_bytes

Say = Callable[[str], None]

MEMORY_BYTES: Final = 12 << 30  # of address space: importing torch takes much that is never touched
MEMORY_TIMES_SOURCE: Final = 6
CPU_S: Final = 900
TIMEOUT_S: Final = 1800.0
OUTPUT_TIMES_SOURCE: Final = 8
OUTPUT_LEAST_BYTES: Final = 64 << 20
LARGEST_SOURCE_BYTES: Final = 24 << 30

OUT_OF_MEMORY: Final = ("MemoryError", "failed to map segment", "Cannot allocate memory")
"""How Python, the loader of libraries and the C library say it."""

CLONE_NEWUSER_NEWNET: Final = 0x1000_0000 | 0x4000_0000
PR_SET_PDEATHSIG: Final = 1
PR_SET_NO_NEW_PRIVS: Final = 38
LANDLOCK_CREATE, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT = 444, 445, 446  # on every architecture
LANDLOCK_EXECUTE: Final = 1 << 0
LANDLOCK_WRITE: Final = 1 << 1 | sum(1 << bit for bit in range(4, 13))  # write, remove and make
LANDLOCK_TRUNCATE: Final = 1 << 14
LANDLOCK_VERSION: Final = 1  # the flag that asks for it
VERSION_WITH_TRUNCATE: Final = 3

STAGING: Final = ".converting-"
LOCK: Final = "lock"


@dataclass(frozen=True)
class Known:
    """What a file does not say of itself.

    Attributes:
        open_clip: of a CLIP, MODEL or MODEL:TAG; empty for anything else.
        bar_rows: black rows above and below every picture of a generator.
    """

    open_clip: str = ""
    bar_rows: int = 0


def convert(source: Path, folder: Path, name: str, known: Known, say: Say) -> list[Path]:
    """Convert `source` once; the checkpoints `NAME*.safetensors` in `folder`.

    Args:
        source: a file; what belongs to it lies beside it.
        folder: where they go.
        name: what they are called.
        known: what it does not say of itself.
        say: told what its reader warns of.

    Raises:
        BadRequestError: nothing can be called so.
        WeightsError: it is no model that can be read, or needs more than there is.
        StorageError: the folder cannot be written.
    """
    check_name(name)
    if not source.is_file():
        raise WeightsError(f"there is no file {source}; check the path")
    if size_bytes(source) > LARGEST_SOURCE_BYTES:
        raise WeightsError(f"{source} is larger than any model that is known")
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            staging = stack.enter_context(_staging(folder, name))
        except OSError as error:
            raise StorageError(f"{folder} cannot be written: {error.strerror}") from error
        _run(source, staging, name, known, say)
        made = [_placed(path, folder) for path in sorted(staging.glob("*.safetensors"))]
    if not made:
        raise WeightsError(f"{source} holds no network that can be kept")
    return made


def check_name(name: str) -> None:
    """Refuse what cannot name a model: it is part of a file's name, and options follow a comma.

    Raises:
        BadRequestError: it is such a name.
    """
    if not name or name.startswith(".") or name.endswith(".safetensors") or set(name) & {"/", ","}:
        raise BadRequestError(
            f"'{name}' cannot name a model; leave out slashes, commas and endings"
        )


def sweep(folder: Path) -> None:
    """Remove what conversions that were killed have left in a folder."""
    for lock in folder.glob(f"{STAGING}*/{LOCK}"):
        with contextlib.suppress(OSError), lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its process lives
            shutil.rmtree(lock.parent, ignore_errors=True)


@contextlib.contextmanager
def _staging(folder: Path, name: str) -> Iterator[Path]:
    """A folder for what is not whole yet, locked as long as this process lives."""
    staging = Path(tempfile.mkdtemp(dir=folder, prefix=f"{STAGING}{name}-"))
    try:
        with (staging / "unlocked").open("w") as file:
            with contextlib.suppress(OSError):  # without locks it is never swept
                fcntl.flock(file, fcntl.LOCK_EX)
                (staging / "unlocked").rename(staging / LOCK)
            yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _run(source: Path, staging: Path, name: str, known: Known, say: Say) -> None:
    words = [str(source.absolute()), str(staging.absolute()), name]
    words += [known.open_clip, str(known.bar_rows)]
    command = [sys.executable, "-P", "-m", "services.fetching.convert", *words]
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(  # noqa: S603 # our own command, no shell
                command,
                cwd=empty,
                env=_environment(staging),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WeightsError(f"{source} was not converted within {TIMEOUT_S:.0f} s") from error
    lines = done.stderr.splitlines()
    for line in lines:
        if line.startswith("warning: "):
            say(line.removeprefix("warning: "))
    if done.returncode:
        raise _failure(source, done.returncode, lines)


def _environment(staging: Path) -> dict[str, str]:
    """Ours, with this package found from anywhere, and no token of a hub."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    root = str(Path(__file__).parents[2])
    return {**kept, "PYTHONPATH": root, "HF_HUB_OFFLINE": "1", "TMPDIR": str(staging.absolute())}


def _failure(source: Path, code: int, lines: list[str]) -> GlasshouseError:
    if code == StorageError.exit_code and lines:
        return StorageError(lines[-1])
    if code == WeightsError.exit_code and lines:
        return WeightsError(lines[-1])
    if code == -signal.SIGXCPU:
        return WeightsError(f"{source} took more than {CPU_S} s to convert, and was given up")
    if code == -signal.SIGKILL or any(word in line for line in lines for word in OUT_OF_MEMORY):
        return WeightsError(
            f"there is not enough memory to convert {source}; use a machine with more, and copy "
            "the safetensors file here"
        )
    said = lines[-1] if lines else f"exit code {code}"
    return WeightsError(f"{source} could not be converted: {said}")


def _placed(path: Path, folder: Path) -> Path:
    place = folder / path.name
    path.chmod(0o644)
    path.replace(place)
    return place


def shut_in(folder: Path, source_bytes: int) -> None:
    """Give this process up to what reading `source_bytes` and writing to `folder` needs."""
    memory = MEMORY_BYTES + MEMORY_TIMES_SOURCE * source_bytes
    output = OUTPUT_LEAST_BYTES + OUTPUT_TIMES_SOURCE * source_bytes
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_CPU, CPU_S)
    _limit(resource.RLIMIT_FSIZE, output)
    _limit(resource.RLIMIT_CORE, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.unshare(CLONE_NEWUSER_NEWNET)  # refused in some containers: then the rest must do
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # nobody waits for what it makes then
    with contextlib.suppress(OSError):
        _landlock(libc, folder)


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _landlock(libc: ctypes.CDLL, folder: Path) -> None:
    """Start no program, and write nowhere but in `folder` (Linux's documentation, landlock(7))."""
    version = libc.syscall(LANDLOCK_CREATE, None, 0, LANDLOCK_VERSION)
    write = LANDLOCK_WRITE | (LANDLOCK_TRUNCATE if version >= VERSION_WITH_TRUNCATE else 0)
    handled = ctypes.c_uint64(LANDLOCK_EXECUTE | write)
    rules = libc.syscall(LANDLOCK_CREATE, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    if rules < 0:
        return
    where = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        allowed = write.to_bytes(8, sys.byteorder) + where.to_bytes(4, sys.byteorder)
        libc.syscall(LANDLOCK_ADD_RULE, rules, 1, allowed, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.syscall(LANDLOCK_RESTRICT, rules, 0)
    finally:
        os.close(where)
        os.close(rules)
