"""A run seen from another terminal: read from its folder alone, so it works over ssh and NFS.

Nothing is written and nobody is asked: `run.json`, `events.jsonl` and `latest.webp` make a
snapshot, and the display draws it as the run's own would. A run that is not grown any more is
shown once.
"""

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.baseline import read_baseline
from orchestrator.runs import RunFolder
from orchestrator.runs.listing import summary_of
from orchestrator.runs.pictures import Pixels, read_grid
from orchestrator.terminal import Display, Phase, ServiceStatus, Snapshot
from protocol.errors import GlasshouseError

LOOK_S = 0.5
MOST = 16
"""Pictures to show, at most."""
PHASES: dict[str, Phase] = {"running": "searching"}


class Watcher:
    """Shows one run.

    Args:
        folder: of the run.
        display: where to show it.
    """

    def __init__(self, folder: RunFolder, display: Display) -> None:
        self._folder = folder
        self._display = display
        self._seen: tuple[int, int] = (0, 0)
        self._thumbnails: Pixels | None = None

    def watch(self, *, once: bool = False) -> None:
        """Follow the run until it ends or the user leaves, or just look `once`.

        Raises:
            GlasshouseError: it is no run, or damaged.
        """
        self._display.start()
        try:
            while True:
                snapshot = self.snapshot()
                self._display.update(snapshot)
                asked = any(one.action == "finish" for one in self._display.requests())
                if once or asked or snapshot.phase == "done":
                    return
                time.sleep(LOOK_S)
        finally:
            self._display.stop()

    def snapshot(self) -> Snapshot:
        """The run as its folder tells of it now."""
        run, told = self._folder.read_run(), self._folder.events()
        one = summary_of(self._folder, run, told)
        settings = run.get("settings") or {}
        generations = [event for event in told if event.get("event") == "generation"]
        last = generations[-1] if generations else {}
        scores = _numbers(last.get("scores") or ())
        return Snapshot(
            target=one.prompt,
            generator=one.generator,
            algorithm=one.algorithm,
            seed=int(settings.get("seed") or 0),
            population=int(settings.get("population") or 0),
            folder=one.folder,
            phase=PHASES.get(one.status, "done"),
            generation=one.generation,
            generations=one.generations,
            evaluations=int(last.get("evaluations") or 0),
            elapsed_s=float(last.get("elapsed_s") or 0.0),
            first_generation=_before_sitting(generations),
            best=_curve(generations, "best"),
            mean=_curve(generations, "mean"),
            second=_curve(generations, "realism"),
            second_name="realism",
            points=_points(last),
            scored=_curve(generations, "scorer"),
            failed=int(last.get("failed") or 0),
            diversity=last.get("diversity"),
            first_diversity=generations[0].get("diversity") if generations else None,
            thumbnails=self._pictures(len(scores)),
            captions=tuple(str(text) for text in last.get("captions") or ()),
            scores=scores,
            baseline=read_baseline(run.get("baseline")),
            swaps=_swaps(told),
            services=_services(last),
            log=(f"watching; this run is {one.status}",),
        )

    def _pictures(self, count: int) -> Pixels | None:
        """The best of the newest grid, the same array until the file changes."""
        path = self._folder.path / "latest.webp"
        try:
            now = path.stat()
            seen = (now.st_mtime_ns, now.st_size)
            if count and seen != self._seen:
                self._thumbnails = read_grid(path, count)[:MOST]
                self._seen = seen
        except (OSError, GlasshouseError):
            return None
        return self._thumbnails


def _numbers(found: Iterable[float | None]) -> tuple[float, ...]:
    """One for each, NaN where it is missing; none where all are."""
    numbers = tuple(math.nan if value is None else value for value in found)
    return () if all(map(math.isnan, numbers)) else numbers


def _curve(generations: list[dict[str, Any]], name: str) -> tuple[float, ...]:
    """One value of every generation from 1; a fork tells of none before its own."""
    told = {event.get("generation", 0): event.get(name) for event in generations}
    return _numbers(told.get(number) for number in range(1, max(told, default=0) + 1))


def _before_sitting(generations: list[dict[str, Any]]) -> int:
    """The generation from which the process that now grows the run took it up."""
    first, before = 0, None
    for event in generations:
        counted = event.get("evaluations", 0), event.get("elapsed_s", 0.0)
        if before is None or counted[0] < before[0] or counted[1] < before[1]:
            first = event.get("generation", 1) - 1
        before = counted
    return max(0, first)


def _swaps(told: Iterable[dict[str, Any]]) -> tuple[int, ...]:
    """After which generations a model was swapped."""
    found = (event.get("generation") for event in told if event.get("event") == "swap")
    return tuple(generation for generation in found if isinstance(generation, int))


def _points(event: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    try:
        return msgspec.convert(event.get("points") or [], tuple[tuple[float, float], ...])
    except msgspec.ValidationError:
        return ()


def _services(event: dict[str, Any]) -> tuple[ServiceStatus, ...]:
    try:
        return msgspec.convert(event.get("services") or [], tuple[ServiceStatus, ...])
    except msgspec.ValidationError:
        return ()


def watch(path: Path, display: Display, *, once: bool = False) -> None:
    """Show the run in `path` until it ends.

    Raises:
        GlasshouseError: it is no run, or damaged.
    """
    Watcher(RunFolder.open(path), display).watch(once=once)
