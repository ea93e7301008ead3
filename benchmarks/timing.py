"""Measuring things in turn, and a table of their medians and ratios."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import zmq
from rich.console import Console
from rich.table import Table

ECHO = """
import sys, zmq
socket = zmq.Context().socket(zmq.REP)
socket.bind(sys.argv[1])
while True:
    socket.send(socket.recv())
"""


def in_turn(repeats: int, times: int, **actions: Callable[[], object]) -> dict[str, list[float]]:
    """Seconds of one call of each action, in each repeat the median of `times` calls.

    An action that measures for itself returns its seconds.
    The actions take turns within a repeat, so that a busy moment of the machine meets them all.
    """
    found: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()
    for _ in range(repeats):
        for name, action in actions.items():
            seconds = []
            for _ in range(times):
                started = time.perf_counter()
                measured = action()
                elapsed = time.perf_counter() - started
                seconds.append(measured if isinstance(measured, float) else elapsed)
            found[name].append(statistics.median(seconds))
    return found


def show(title: str, found: dict[str, list[float]], rival: str) -> None:
    """Print medians with least and most, and each repeat's ratio to the rival's."""
    table = Table(
        "", "median µs", "least to most", f"ratio to {rival}", "least to most", title=title
    )
    for name, values in found.items():
        ratios = [mine / its for mine, its in zip(values, found[rival], strict=True)]
        table.add_row(name.replace("_", " "), *spread(values, 1e6, 0), *spread(ratios, 1, 2))
    Console(width=110).print(table)


def spread(values: list[float], scale: float, digits: int) -> tuple[str, str]:
    """Median, and least to most."""
    low, middle, high = (
        f"{value * scale:.{digits}f}"
        for value in (min(values), statistics.median(values), max(values))
    )
    return middle, f"{low} to {high}"


@contextmanager
def ping_pong(endpoint: str, payload: bytes) -> Iterator[Callable[[], object]]:
    """The rival of every round trip: a blocking REQ against a REP in another process."""
    with (
        subprocess.Popen([sys.executable, "-c", ECHO, endpoint]) as process,  # noqa: S603 # ours
        zmq.Context() as context,
    ):
        with context.socket(zmq.REQ) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(endpoint)

            def once() -> None:
                socket.send(payload)
                socket.recv()

            yield once
        process.kill()
