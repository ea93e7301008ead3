"""How a training shows that it lives: a bar on a terminal, a line every so often elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Report(Protocol):
    """What a training calls after each step."""

    def __call__(self, step: int, **figures: float) -> None:
        """`step` steps are done; `figures` are shown."""


@contextmanager
def progress(name: str, first: int, last: int, every: int = 50) -> Iterator[Report]:
    """Report on steps `first` to `last` of the training `name`."""
    if sys.stdout.isatty():
        yield from _bar(name, first, last)
    else:
        yield from _lines(name, first, last, every)


def _bar(name: str, first: int, last: int) -> Iterator[Report]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[figures]}")) as bar:
        task = bar.add_task(name, total=last, completed=first, figures="")

        def report(step: int, **figures: float) -> None:
            bar.update(task, completed=step, figures=_shown(figures))

        yield report


def _lines(name: str, first: int, last: int, every: int) -> Iterator[Report]:
    start = time.monotonic()

    def report(step: int, **figures: float) -> None:
        if step % every == 0 or step == last:
            pace = (time.monotonic() - start) / max(1, step - first)
            left = pace * (last - step) / 60
            line = (
                f"{name} {step}/{last}  {_shown(figures)}  {pace:.2f} s/step  {left:.1f} min left"
            )
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    yield report


def _shown(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
