"""What a report tells of one run, read from its folder alone.

The folder may be somebody else's: whatever cannot be read is left out, and never stops the rest.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.runs import RunFolder
from orchestrator.runs.history import GROWING
from orchestrator.runs.journal import NAME, Journal, Step
from orchestrator.runs.listing import Summary, summary_of
from orchestrator.runs.pictures import Pixels, read_grid, read_recipe
from protocol.errors import GlasshouseError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

HIDDEN = {"genome", "models", "command"}
"""Parts of a recipe that are too long for a line, or told elsewhere."""


@dataclass(frozen=True)
class Story:
    """One run.

    Attributes:
        summary: status, prompt, generations, best similarity.
        settings: as the run was started, `command` among them.
        services: role, model and digest of each.
        generations: the lines of `events.jsonl`, one a generation.
        swaps: the same of swaps.
        seconds: that the search took, over all its sittings.
        last: the newest generation in the journal; None without a readable journal.
        evaluations: genomes that were scored; a choice scores none anew.
        grids: kept grids by generation, oldest first.
        population: the pictures of the newest grid, best first.
        pictures: PNGs and what they say of themselves, best first.
    """

    summary: Summary
    settings: dict[str, Any]
    services: list[dict[str, Any]]
    generations: list[dict[str, Any]]
    swaps: list[dict[str, Any]]
    seconds: float
    last: Step | None
    evaluations: int
    grids: dict[int, Path] = field(default_factory=dict)
    population: Pixels | None = None
    pictures: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """One value of every generation, NaN where it is missing."""
        found = (event.get(name) for event in self.generations)
        numbers = [value if isinstance(value, int | float) else np.nan for value in found]
        return np.array(numbers, np.float64)

    def numbers(self) -> list[int]:
        """The number of every generation."""
        return [int(event.get("generation") or 0) for event in self.generations]

    def timings(self) -> dict[str, dict[int, float]]:
        """Median milliseconds of a batch, by role and generation; of replicas their mean."""
        found: dict[str, dict[int, float]] = {}
        for number, event in zip(self.numbers(), self.generations, strict=True):
            told: dict[str, list[float]] = {}
            for service in event.get("services") or ():
                if service.get("batch_ms"):
                    told.setdefault(str(service.get("role")), []).append(service["batch_ms"])
            for role, values in told.items():
                found.setdefault(role, {})[number] = sum(values) / len(values)
        return found


def read_story(path: Path) -> Story:
    """The run in `path`.

    Raises:
        GlasshouseError: it is no run, or its `run.json` is damaged.
    """
    folder = RunFolder.open(path)
    run, events = folder.read_run(), folder.events()
    told = {
        int(event.get("generation") or 0): event for event in events if _is(event, "generation")
    }
    generations = [told[number] for number in sorted(told)]
    last, evaluations = _journal(folder.path)
    return Story(
        summary=summary_of(folder, run, events),
        settings=run.get("settings") or {},
        services=run.get("services") or [],
        generations=generations,
        swaps=[{"role": "", "model": "", **event} for event in events if _is(event, "swap")],
        seconds=_seconds(generations),
        last=last,
        evaluations=evaluations,
        grids=_grids(folder.path),
        population=_population(folder.path, generations),
        pictures=list(_pictures(folder.path)),
    )


def _is(event: dict[str, Any], name: str) -> bool:
    return event.get("event") == name


def _journal(folder: Path) -> tuple[Step | None, int]:
    last, rows = None, 0
    with contextlib.suppress(GlasshouseError), Journal.open(folder / NAME) as journal:
        for step in journal.steps():
            rows += len(step.genomes) if step.kind in {*GROWING, "rescore"} else 0
            last = step if step.kind == "generation" else last
    return last, rows


def _seconds(generations: list[dict[str, Any]]) -> float:
    """Every sitting counts from nothing again: the sum of where each one stopped."""
    clock = [float(event.get("elapsed_s") or 0.0) for event in generations]
    ends = [now for now, later in itertools.pairwise([*clock, -1.0]) if later < now]
    return sum(ends)


def _grids(folder: Path) -> dict[int, Path]:
    """The kept grids, but no `000010 (copy).webp`."""
    found = sorted((folder / "grids").glob("*.webp"))
    return {int(one.stem): one for one in found if one.stem.isdecimal()}


def _population(folder: Path, generations: list[dict[str, Any]]) -> Pixels | None:
    scores = generations[-1].get("scores") if generations else None
    with contextlib.suppress(GlasshouseError):
        return read_grid(folder / "latest.webp", len(scores)) if scores else None
    return None


def _pictures(folder: Path) -> Iterable[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.glob("*.png"), key=lambda one: (one.stem != "best", one.stem)):
        with contextlib.suppress(GlasshouseError):
            yield path, read_recipe(path)
