"""The bundled services, started for a measurement and stopped after it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from orchestrator.evaluation.evaluator import Ensemble
from orchestrator.fleet.assemble import assemble, start_members
from orchestrator.fleet.launcher import LocalLauncher
from orchestrator.settings import RunSettings
from protocol.client import Client


@contextmanager
def bundled_ensemble(settings: RunSettings) -> Iterator[tuple[Client, Ensemble]]:
    """A client and the services that `settings` name, ready."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalLauncher(Path(folder)) as launcher,
        Client("benchmark") as client,
    ):
        members = start_members(replace(settings, prompt="benchmark"), launcher)
        yield client, assemble(members, launcher, client, lambda: None)
