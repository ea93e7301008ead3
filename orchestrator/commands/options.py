"""Options and checks that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from protocol.errors import ConfigError

RunFolderArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


def one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that an option does not know.

    Raises:
        ConfigError: it is not among `known`.
    """
    if value not in known:
        raise ConfigError(f"{option} is one of {', '.join(known)}, not '{value}'")
