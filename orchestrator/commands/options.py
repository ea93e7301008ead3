"""Options and checks that several commands share."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from protocol.errors import ConfigError

RunFolderArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


def say(text: str) -> None:
    """Print lines; on a terminal those that are too long are cut and not wrapped."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        cut = (line if len(line) <= width else f"{line[: width - 1]}…" for line in text.split("\n"))
        text = "\n".join(cut)
    print(text)


def say_json(value: object) -> None:
    """Print a value as indented JSON, for other programs."""
    from orchestrator.runs.storage import to_json

    print(to_json(value, indent=2).decode())


def one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that an option does not know.

    Raises:
        ConfigError: it is not among `known`.
    """
    if value not in known:
        raise ConfigError(f"{option} is one of {', '.join(known)}, not '{value}'")
