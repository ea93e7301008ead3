"""The services of a run, started for a measurement and stopped after it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from orchestrator.fleet.assemble import Finder, assemble
from orchestrator.fleet.ensemble import Ensemble
from orchestrator.fleet.launcher import LocalLauncher
from orchestrator.settings import RunSettings
from protocol.client import Client


@contextmanager
def running_ensemble(settings: RunSettings) -> Iterator[tuple[Client, Ensemble]]:
    """A client and the services that `settings` name, ready."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalLauncher(Path(folder)) as launcher,
        Client("benchmark") as client,
    ):
        finder = Finder(launcher, client, replace(settings, prompt="benchmark"))
        yield client, assemble(finder.find_all(), lambda: None)
