"""The user's folder of models: one safetensors file each, named as the model is.

`$GLASSHOUSE_MODELS`, else `$XDG_DATA_HOME/glasshouse/models`, else
`~/.local/share/glasshouse/models`. Files appear in it whole or not at all; what is on its way is in
`downloads` beside it.
"""

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # it would bring numpy
    from protocol.messages import Role

ROLES: "Final[tuple[Role, ...]]" = ("generator", "clip", "discriminator", "classifier")
LENGTH_BYTES: Final = 8
HEADER_LIMIT_BYTES: Final = 16 << 20


def models_folder() -> Path:
    """Where the user's models are; it need not exist yet."""
    if chosen := os.environ.get("GLASSHOUSE_MODELS"):
        return Path(chosen)
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "glasshouse" / "models"


def downloads_folder() -> Path:
    """Where files are that are not whole, or not verified, or not converted yet."""
    return models_folder().with_name("downloads")


def added_models() -> "list[tuple[Path, Role]]":
    """Every checkpoint in the folder with its role, by name; other files are passed over."""
    found = []
    for path in sorted(models_folder().glob("*.safetensors")):
        role = role_of(str(metadata_of(path).get("architecture", "")))
        if role is not None:
            found.append((path, role))
    return found


def metadata_of(path: Path) -> dict[str, Any]:
    """The metadata of a safetensors file, without its tensors; empty if it is none."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            header = json.loads(file.read(length)) if length <= HEADER_LIMIT_BYTES else {}
    except (OSError, ValueError):
        return {}
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else {}


def role_of(architecture: str) -> "Role | None":
    """The role in whose folder a module of this architecture is."""
    module = f"{architecture.replace('-', '_')}.py"
    services = files("services")
    return next((role for role in ROLES if (services / role / module).is_file()), None)
