"""Runs as a user has them: the command line, and living services that all of them share."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

TIMEOUT_S: Final = 1800


@dataclass(frozen=True)
class Ensemble:
    """Living services, apart from the user's own."""

    models: tuple[str, ...]
    """Options of `orchestrator run` and `up` that name them."""
    runtime: str
    """Folder of their sockets."""

    def grow(self, runs: Path, result: str, *words: str) -> Path:
        """The only run of a folder, grown unless it has its result already; returns its folder."""
        folder = runs / "latest"
        if not (folder / result).exists():
            self.orchestrator("run", *words, *self.models, "--runs", str(runs), "--ui", "quiet")
        return folder

    def orchestrator(self, *words: str) -> None:
        """The command, as a user types it."""
        subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "orchestrator", *words],
            env={**os.environ, "XDG_RUNTIME_DIR": self.runtime},
            check=True,
            timeout=TIMEOUT_S,
            stdout=subprocess.DEVNULL,
        )


@contextmanager
def ensemble(models: Mapping[str, Path]) -> Iterator[Ensemble]:
    """Services of these models (role -> weights) while the block runs."""
    options = [
        word for role, path in models.items() for word in (f"--{role}", str(path.absolute()))
    ]
    with TemporaryDirectory() as runtime:  # a short path, as sockets want it
        services = Ensemble(tuple(options), runtime)
        services.orchestrator("up", *options)
        try:
            yield services
        finally:
            services.orchestrator("down")


def missing(paths: Sequence[Path]) -> str:
    """Says which files are missing; empty if none is."""
    names = [path.name for path in paths if not path.is_file()]
    return f"not measured: {', '.join(names)} missing" if names else ""
