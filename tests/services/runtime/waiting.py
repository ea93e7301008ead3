"""Waiting for a state and not for a time: a loaded machine must not change a verdict."""

import time
from collections.abc import Callable
from dataclasses import replace

from protocol.client import Client, Service
from protocol.patience import PATIENCE

PATIENT = replace(PATIENCE, greet_s=120.0, quiet_s=60.0, silence_s=120.0)


def until(client: Client, condition: Callable[[], object]) -> None:
    """Keep talking until it holds; the test's own timeout ends it otherwise."""
    while not _holds(condition):
        client.pump(0.02)


def held(client: Client, service: Service) -> int:
    """How many requests of this client the service holds, after all that was said to it before."""
    service.session.ping(time.monotonic())
    nonce = service.session._nonce
    until(client, lambda: service.pong is not None and service.pong.nonce >= nonce)
    assert service.pong is not None
    return service.pong.held


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except RuntimeError:  # it looks into a service whose thread changes a dictionary just now
        return False
