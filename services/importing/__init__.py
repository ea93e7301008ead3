"""Foreign files of networks, each read once and kept as safetensors that services load.

`import_file` is the one entry. A format is one module here with `WHAT` and `LICENCE`, `recognises`
and `read`, and a place in `READERS`. No reader runs anything that a file contains; they build
tensors, plain containers and records, and refuse the rest by name. Still, call this in a process of
its own with limits, as `orchestrator models import` does: files come from anywhere.
"""

import hashlib
import logging
from pathlib import Path
from typing import Any, Final, Protocol

from protocol.errors import WeightsError
from services.importing import (
    biggan,
    clip_glass,
    glasshouse,
    language_model,
    nvidia_tensorflow,
    nvidia_torch,
    rosinality,
)
from services.importing.memory import available_bytes
from services.importing.networks import Imported
from services.importing.refusal import RefusedError
from services.models.checkpoints import save_checkpoint
from services.models.shards import size_bytes

__all__ = ["READERS", "Reader", "import_file"]

LARGEST_FILE_BYTES: Final = 4 << 30  # ten times the largest that the formats have
MEMORY_TIMES: Final = 4  # of the file's size: the pickle, the tensors, what is written
log = logging.getLogger("importing")


class Reader(Protocol):
    """One format.

    Attributes:
        WHAT: the format, as it stands in a message.
        LICENCE: one line for people.
    """

    WHAT: str
    LICENCE: str

    def recognises(self, path: Path) -> bool:
        """Whether the file is of this format, by a look that is quick and harmless."""

    def read(self, path: Path, bar_rows: int) -> list[Imported]:
        """The networks in it; raise ValueError with half a sentence if it cannot be."""


READERS: Final[tuple[Any, ...]] = (
    nvidia_tensorflow,
    nvidia_torch,
    rosinality,
    clip_glass,
    biggan,
    glasshouse,
    language_model,
)


def import_file(source: Path, folder: Path, name: str, bar_rows: int = 0) -> list[Path]:
    """Write the networks of a file as safetensors, each whole or not at all.

    Args:
        source: the foreign file.
        folder: where to write; made if it is not there.
        name: the generator becomes NAME.safetensors, the discriminator
            NAME-discriminator.safetensors. Files of these names are replaced.
        bar_rows: black rows above and below every picture, which services leave out: 64 for
            NVIDIA's LSUN car, whose 384x512 pictures lie within 512x512.

    Returns:
        The files written, the generator's first.

    Raises:
        WeightsError: no such file, none of these formats, damaged, refused, too large, or the
            machine's memory or disk is too small; one sentence.
    """
    try:
        reader, found = _read(source, bar_rows)
        card = {
            "source_format": reader.WHAT,
            "source_file": source.name,
            "source_sha256": _sha256(source),
            "licence": reader.LICENCE,
        }
        return _write(found, card, folder, name)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise WeightsError(f"{source} cannot be imported: {told}") from error
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, MemoryError) or "allocate memory" in str(error)  # torch's words
        told = "this process has not enough memory" if full else f"it is damaged ({error})"
        raise WeightsError(f"{source} cannot be imported: {told}") from error


def _read(source: Path, bar_rows: int) -> tuple[Reader, list[Imported]]:
    if not source.is_file():
        raise RefusedError("there is no such file; check the path")
    size = size_bytes(source)
    if size > LARGEST_FILE_BYTES:
        raise RefusedError(
            f"it has {size / 1e9:.1f} GB, but the largest that is read has "
            f"{LARGEST_FILE_BYTES / 1e9:.1f} GB"
        )
    reader = next((each for each in READERS if each.recognises(source)), None)
    if reader is None:
        known = "; ".join(each.WHAT for each in READERS)
        raise RefusedError(f"it is none of: {known}")
    if (free := available_bytes()) < MEMORY_TIMES * size:
        raise RefusedError(
            f"that needs about {MEMORY_TIMES * size / 1e9:.1f} GB of memory, "
            f"but only {free / 1e9:.1f} GB are free"
        )
    return reader, reader.read(source, bar_rows)


def _write(found: list[Imported], card: dict[str, Any], folder: Path, name: str) -> list[Path]:
    written: list[Path] = []
    try:
        for each in found:
            for note in each.notes:
                log.warning("%s: %s", name, note)
            suffix = "-discriminator" if each.role == "discriminator" else ""
            path = folder / f"{name}{suffix}.safetensors"
            own = {**card, "notes": list(each.notes), **each.card, "name": path.stem}
            save_checkpoint(path, each.architecture, each.config, each.tensors, own)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
