"""Our own safetensors: checked, and kept as they are, card and all."""

from pathlib import Path
from typing import Final

from services.importing.networks import Imported
from services.importing.refusal import RefusedError
from services.models.checkpoints import FORMAT, load_checkpoint

WHAT: Final = "a checkpoint of Glasshouse"
LICENCE: Final = "ask whoever made it"
HEADER_LENGTH_BYTES: Final = 8


def recognises(path: Path) -> bool:
    """Whether a header of ours follows the header's length."""
    with path.open("rb") as file:
        start = file.read(1 << 20)
    return start[HEADER_LENGTH_BYTES : HEADER_LENGTH_BYTES + 1] == b"{" and FORMAT.encode() in start


def read(path: Path, bar_rows: int) -> list[Imported]:
    """The one network in the file.

    Raises:
        OSError: the file cannot be read.
        RefusedError: it is damaged, or bars were asked for.
    """
    if bar_rows:
        raise RefusedError("its bars are fixed; import the original file to change them")
    found = load_checkpoint(path)
    role = "discriminator" if found.architecture.endswith("-discriminator") else "generator"
    return [Imported(role, found.architecture, found.config, found.tensors, card=found.card)]
