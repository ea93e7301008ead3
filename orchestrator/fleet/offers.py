"""Which models there are, and which generators a living run could be swapped to."""

import subprocess
import sys

import msgspec

from orchestrator.terminal.controls import Offer
from protocol.registry import registered

LIST_TIMEOUT_S = 20.0


class Listed(msgspec.Struct):
    """What `service models --json` says of one model; more than this is passed over."""

    name: str
    role: str
    about: str
    source: str
    here: bool
    place: str


def generators() -> list[Offer]:
    """Living generators first, then the models of the catalogue that are on this machine.

    Where the catalogue cannot be read, the living ones are all there is.
    """
    living = [one.registration for one in registered() if not one.registration.owned]
    found = {
        one.model: Offer(one.model, f"running on {one.device}")
        for one in living
        if one.role == "generator"
    }
    try:
        rows = catalogue()
    except (OSError, ValueError, subprocess.SubprocessError):
        rows = []
    for row in rows:
        if row.role == "generator" and row.here:
            found.setdefault(row.name, Offer(row.name, row.about))
    return list(found.values())


def catalogue() -> list[Listed]:
    """Every model of the catalogue, from a process of its own: it belongs to the services.

    Raises:
        OSError, ValueError, subprocess.SubprocessError: the process failed, or said something else.
    """
    command = [sys.executable, "-m", "services", "models", "--json"]
    done = subprocess.run(  # noqa: S603 # our own program
        command, capture_output=True, timeout=LIST_TIMEOUT_S, check=True
    )
    return msgspec.json.decode(done.stdout, type=list[Listed])
