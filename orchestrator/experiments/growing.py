"""Growing an experiment: its cells side by side over one fleet, each an ordinary run.

    experiments/ga-against-de/
        results.sqlite      the experiment as it was run, and what was found, cell by cell
        cells/NAME/0001-…/  the run of a cell

A cell that is done is not grown again. One that was interrupted, however rudely, goes on from its
journal as any run does. One that fails is noted with its reason, does not stop the others, and is
tried again when the experiment is run again.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from orchestrator.begin import new_run, resume_run
from orchestrator.experiments.collecting import collect
from orchestrator.experiments.results import NAME, Results
from orchestrator.many import grow_each
from orchestrator.runs import RunFolder
from orchestrator.runs.journal import NAME as JOURNAL
from orchestrator.runs.storage import storing
from orchestrator.terminal.board import Chalk
from protocol.errors import GlasshouseError

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.experiments.grid import Cell, Experiment
    from orchestrator.interrupts import Interrupts
    from orchestrator.many import Outcome
    from orchestrator.run import Run
    from orchestrator.settings import RunSettings
    from orchestrator.terminal import Display
    from orchestrator.terminal.board import LiveBoard
    from orchestrator.terminal.plain import QuietDisplay

CELLS: Final = "cells"


@dataclass(frozen=True)
class Tally:
    """How an experiment stands.

    Attributes:
        cells: planned.
        done: with results.
        failed: why, by cell.
    """

    cells: int
    done: int
    failed: dict[str, str]

    def sentence(self) -> str:
        """For people."""
        left = self.cells - self.done - len(self.failed)
        parts = [f"{self.done} of {self.cells} cells done"]
        parts += [f"{len(self.failed)} failed"] * bool(self.failed)
        parts += [f"{left} left"] * bool(left)
        return ", ".join(parts)


def grow(
    experiment: Experiment,
    folder: Path,
    jobs: int,
    interrupts: Interrupts,
    display: LiveBoard | QuietDisplay,
) -> Tally:
    """Grow what is left of an experiment, and keep its results.

    Args:
        experiment: laid out.
        folder: of the experiment; made when missing.
        jobs: runs at a time.
        interrupts: told to stop or not; the runs of now finish their generation.
        display: shows all runs.

    Raises:
        GlasshouseError: the folder is in use or cannot be written.
        KeyboardInterrupt: a second Ctrl-C, as `grow_each` says.
    """
    with storing("make a folder", folder):
        (folder / CELLS).mkdir(parents=True, exist_ok=True)
    with RunFolder(folder).lock(), Results(folder / NAME) as results:
        results.plan(experiment)
        done = results.done()
        left = []
        for cell in experiment.cells:
            if cell.name in done:
                continue
            if (found := finished(folder / CELLS / cell.name)) is None:
                left.append(cell)
            else:  # it was killed before its results were kept
                _keep(results, cell, found, experiment)
        if left and not interrupts.stop:
            _grow(experiment, folder, left, jobs, interrupts, display)
        return tally(results)


def tally(results: Results) -> Tally:
    """How the experiment of these results stands."""
    return Tally(results.planned(), len(results.units()), results.failed())


def _grow(
    experiment: Experiment,
    folder: Path,
    left: list[Cell],
    jobs: int,
    interrupts: Interrupts,
    display: LiveBoard | QuietDisplay,
) -> None:
    searches = [replace(cell.settings, runs=folder / CELLS / cell.name) for cell in left]
    generations = round(statistics.mean(settings.steps for settings in searches))
    chalk = Chalk([cell.title for cell in left], generations, display)

    def ended(number: int, outcome: Outcome) -> None:
        cell = left[number]
        with Results(folder / NAME) as results:  # this thread's own
            if outcome.why:
                results.fail(cell, outcome.why)
            elif (found := finished(searches[number].runs)) is not None:
                _keep(results, cell, found, experiment)

    display.start()
    try:
        grow_each(searches, jobs, chalk, interrupts, take_up, ended)
    except GlasshouseError as error:  # of all that are left none can begin
        with Results(folder / NAME) as results:
            for cell in left:
                results.fail(cell, error.message)
    finally:
        display.stop()


def _keep(results: Results, cell: Cell, found: Path, experiment: Experiment) -> None:
    """What a run came to; a run that cannot be read is a cell that failed."""
    sheets = experiment.document.sheets
    try:
        collected = collect(found, every_genome=cell.reference, sheets=sheets)
    except GlasshouseError as error:
        results.fail(cell, error.message)
    else:
        results.keep(cell, collected)


def take_up(settings: RunSettings, display: Display, interrupts: Interrupts) -> Run:
    """The run of one cell: the one that was interrupted, or a new one.

    Raises:
        GlasshouseError: settings that cannot be grown, or a run that does not go on here.
    """
    for journal in sorted(settings.runs.glob(f"*/{JOURNAL}")):
        return resume_run(journal.parent, {"runs": settings.runs}, display, interrupts)
    if settings.runs.is_dir():  # it ended before its first generation
        with storing("clear a folder", settings.runs):
            shutil.rmtree(settings.runs)
    return new_run(settings, display, interrupts)


def finished(runs: Path) -> Path | None:
    """The run in a cell's folder that has grown all its generations."""
    for path in sorted(runs.glob("*/run.json")):
        if path.parent.is_symlink():
            continue
        with contextlib.suppress(GlasshouseError):
            if RunFolder(path.parent).read_run().get("status") == "done":
                return path.parent
    return None
