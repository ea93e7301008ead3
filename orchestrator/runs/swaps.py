"""How another process asks a living run for another model: small files in its folder, `swaps/`.

`TOKEN.wish` is one JSON object, written whole by whoever asks; the run looks between generations,
and writes `TOKEN.answer` when the wish is granted or refused. Whoever asked removes the answer. A
wish is data: a role, a model and a flag. What is damaged is removed and refused.
"""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from orchestrator.runs.folder import RunFolder
from orchestrator.runs.storage import storing, to_json, write_whole
from protocol.errors import BadRequestError, ServiceError
from protocol.messages import Name, Role

FOLDER = "swaps"
MAX_BYTES = 4096
LOOK_S = 0.1
PATIENT_S = 600.0
"""How long to wait for an answer: a model may load for minutes, between long generations."""
T = TypeVar("T")


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for.

    Attributes:
        role: whose model is to change.
        model: catalogue name, absolute path or endpoint.
        reseed: begin afresh where the latent space is another.
    """

    role: Role
    model: Name
    reseed: bool = False


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of it, in one sentence."""

    granted: bool
    message: str


def ask(folder: RunFolder, wish: Wish) -> str:
    """Ask the process that grows this run, and wait until it has answered.

    Returns:
        What it said.

    Raises:
        BadRequestError: nobody grows the run, or the wish was refused.
        ServiceError: the run ended before it answered, or does not answer.
    """
    _check_alive(folder)
    place = folder.path / FOLDER
    with storing("make a folder", place):
        place.mkdir(exist_ok=True)
    token = secrets.token_hex(6)
    wished, answered = place / f"{token}.wish", place / f"{token}.answer"
    write_whole(wished, to_json(wish))
    until = time.monotonic() + PATIENT_S
    try:
        while (found := _read(answered, Answer)) is None:
            if not folder.alive and not answered.exists():
                raise ServiceError(f"{folder.path} ended before it could swap; resume it first")
            if time.monotonic() > until:
                raise ServiceError(
                    f"{folder.path} has not answered for {PATIENT_S / 60:.0f} minutes, so the wish "
                    "is taken back; see whether it is stopped, and ask again"
                )
            time.sleep(LOOK_S)
    finally:
        for path in (wished, answered):
            path.unlink(missing_ok=True)
    if not found.granted:
        raise BadRequestError(found.message)
    return found.message


def wishes(folder: RunFolder) -> Iterator[tuple[str, Wish | None]]:
    """Every wish that waits, with its token; None for one that cannot be read."""
    for path in sorted((folder.path / FOLDER).glob("*.wish")):
        yield path.stem, _read(path, Wish)


def waits(folder: RunFolder, token: str) -> bool:
    """Whether whoever wished still does."""
    return (folder.path / FOLDER / f"{token}.wish").exists()


def answer(folder: RunFolder, token: str, said: Answer) -> None:
    """Say what became of a wish; one that was taken back gets no answer."""
    wished = folder.path / FOLDER / f"{token}.wish"
    if wished.exists():
        write_whole(wished.with_suffix(".answer"), to_json(said))
        wished.unlink(missing_ok=True)


def _check_alive(folder: RunFolder) -> None:
    if not folder.alive:
        raise BadRequestError(
            f"nobody grows {folder.path} now, so nothing can be swapped; go on with other models: "
            f"orchestrator fork {folder.path}"
        )


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_BYTES), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
