"""Waiting for a state and not for a time: a loaded machine must not change a verdict."""

from collections.abc import Callable

from protocol.client import Client


def until(client: Client, condition: Callable[[], object]) -> None:
    """Keep talking until it holds; the test's own timeout ends it otherwise."""
    while not condition():
        client.pump(0.02)
