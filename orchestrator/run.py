"""One run as its user sees it: services, search, display, pictures, and how it ends.

    start services -> greet them -> embed the prompt -> ask, evaluate, write down, tell, show, keep

Whatever ends a run early (a signal, a lost service, a full disk), what was grown so far is kept in
its folder where that is possible, and no service of its own is left behind.
"""

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.course import Course, Origin
from orchestrator.evaluation.setup import set_up
from orchestrator.fleet.assemble import Member, assemble, start_members
from orchestrator.fleet.launcher import LocalLauncher
from orchestrator.gallery import Individual
from orchestrator.interrupts import Interrupts, StoppedError
from orchestrator.keeping import Keeper, command, ranked
from orchestrator.runs import RunFolder, Status
from orchestrator.runs.history import Plan
from orchestrator.runs.journal import NAME
from orchestrator.search import check_choice
from orchestrator.settings import RunSettings
from orchestrator.swap import Swapped, Swapper
from orchestrator.terminal import Display, Snapshot
from protocol.client import Client
from protocol.errors import ConfigError, GlasshouseError, StorageError

THUMBNAILS = 16


class Run:
    """Grows one prompt; `begin.py` makes new, resumed and forked ones.

    Args:
        settings: what to do.
        folder: where everything is kept.
        display: where to show it.
        interrupts: told to stop or not.
        origin: what it goes on from; nothing for a new run.

    Attributes:
        folder: where everything is kept.
        best: the picture to offer at the end; None before the first generation.
    """

    def __init__(
        self,
        settings: RunSettings,
        folder: RunFolder,
        display: Display,
        interrupts: Interrupts,
        origin: Origin | None = None,
    ) -> None:
        self._settings = settings
        self._display = display
        self._interrupts = interrupts
        self._resumed = origin is not None and origin.fork is None
        self._course = Course(plan_of(settings), origin)
        self._keeper = Keeper(folder, settings, self._course)
        self.folder = folder
        self.best: Individual | None = None
        self._told = max((event.get("generation", 0) for event in folder.events()), default=0)
        self._members: list[Member] = []
        self._snapshot = Snapshot(
            target=settings.prompt,
            generator=settings.generator,
            algorithm=settings.algorithm,
            seed=settings.seed,
            population=settings.population,
            folder=str(folder.path),
            generations=settings.generations,
            second_name="realism",
        )

    def grow(self) -> int:
        """Run the search; returns the exit code, 0 or that of the signal that ended it.

        Raises:
            GlasshouseError: why there is nothing more to show; the folder says so too.
            KeyboardInterrupt: a second Ctrl-C; services are killed.
        """
        with self.folder.lock():
            return self._grow()

    def _grow(self) -> int:
        status: Status = "failed"
        code = 1
        self._display.start()
        try:
            with LocalLauncher(self.folder.logs) as launcher, Client() as client:
                self._search(launcher, client)
            status, code = ("stopped" if self._interrupts.stop else "done"), self._exit_code()
        except StoppedError:
            status, code = "stopped", self._exit_code()
        except KeyboardInterrupt:
            status, code = "stopped", 130
            raise
        except GlasshouseError as error:
            code = error.exit_code
            raise
        finally:
            self._display.stop()
            self._course.close()
            with contextlib.suppress(StorageError):  # the error that matters is on its way already
                self.folder.finish(status, code)
        return code

    def _exit_code(self) -> int:
        return self._interrupts.exit_code if self._interrupts.stop else 0

    def _search(self, launcher: LocalLauncher, client: Client) -> None:
        self._record()
        self._began = time.monotonic()
        self._members = start_members(self._settings, launcher)
        self._course.repeat()  # while the services load their models
        ensemble = assemble(self._members, launcher, client, self._waiting)
        setup = set_up(client, ensemble, self._settings)
        self._record_services()
        self._course.take_up(setup, self._settings, self.folder.path / NAME)
        self._take_up_display()
        self._began = time.monotonic()
        swapper = Swapper(self.folder, launcher, client, self._members, self._course, self._keeper)
        try:
            self._generations(swapper)
        finally:
            with contextlib.suppress(StorageError):  # what is grown matters more
                swapper.close()
            self._save_end()

    def _record(self) -> None:
        """Say in `run.json` what is about to be done."""
        if self._resumed:
            self.folder.resume()
        else:
            self.folder.write_settings(self._recorded())
        self.folder.update(settings=self._recorded(), lineage=self._course.lineage)

    def _record_services(self) -> None:
        self.folder.update(settings=self._recorded(), services=self._services())

    def _recorded(self) -> dict[str, Any]:
        said = command(self._settings, self._course.lineage)
        return {**self._settings.recorded(), "command": said}

    def _waiting(self) -> None:
        self._interrupts.check()
        self._show(elapsed_s=time.monotonic() - self._began)

    def _take_up_display(self) -> None:
        """Show where a resumed or forked run stands."""
        history = self._course.history
        self._snapshot = replace(
            self._snapshot,
            generation=history.generation,
            first_generation=history.generation,
            log=(self._course.note,) if self._course.note else (),
        )
        if history.scored:
            self._report()

    def _generations(self, swapper: Swapper) -> None:
        while self._course.history.generation < self._settings.generations:
            self._interrupts.check()
            swapped = swapper.tend(self._settings)
            if swapped is not None:
                self._go_on_with(swapped)
            self._course.advance()
            self._report()
            self._keeper.generation()

    def _go_on_with(self, swapped: Swapped) -> None:
        """Say everywhere that a model was changed."""
        self._settings = self._keeper.settings = swapped.settings
        self._record_services()
        status, history = swapped.member.status(), self._course.history
        self.folder.append_event(
            {
                "event": "swap",
                "generation": history.generation,
                "role": status.role,
                "model": status.model,
                "digest": status.digest,
            }
        )
        self._show(
            generator=self._settings.generator, log=(*self._snapshot.log, swapped.message)[-20:]
        )
        if history.scored:
            self._report()

    def _report(self) -> None:
        """Show the newest generation, and write its line of `events.jsonl` if it has none."""
        history = self._course.history
        self.best = self._course.champion()
        shown = ranked(self._course.individuals())[:THUMBNAILS]
        self._show(
            phase="searching",
            generation=history.generation,
            evaluations=self._course.evaluations,
            elapsed_s=time.monotonic() - self._began,
            best=tuple(history.best),
            mean=tuple(history.mean),
            second=tuple(history.second),
            diversity=self._course.diversity(),
            first_diversity=history.first_diversity,
            thumbnails=np.stack([one.image for one in shown]),
            scores=tuple(one.score.similarity for one in shown),
        )
        if self._told < history.generation:
            self._told = history.generation
            self.folder.append_event(self._snapshot.event())

    def _show(self, **changes: object) -> None:
        services = tuple(member.status() for member in self._members)
        self._snapshot = replace(self._snapshot, services=services, **changes)  # type: ignore[arg-type] # its own fields
        self._display.update(self._snapshot)

    def _save_end(self) -> None:
        if self._course.history.scored:
            self._show(phase="saving")
            self._keeper.end()
            self._show(phase="done")

    def _services(self) -> list[dict[str, str]]:
        return [
            {"role": status.role, "model": status.model, "digest": status.digest}
            for status in (member.status() for member in self._members)
        ]


def plan_of(settings: RunSettings) -> Plan:
    """What the search algorithm is made from.

    Raises:
        GlasshouseError: settings that cannot be grown.
    """
    settings.check()
    info = check_choice(
        settings.algorithm,
        population=settings.population,
        seed=settings.seed,
        parameters=settings.parameters,
    )
    objectives = 2 if info.objectives == "several" else 1
    if objectives == 2 and settings.discriminator == "none":
        raise ConfigError(
            f"{info.name} trades similarity against realism and needs a discriminator; "
            "name one with --discriminator, or choose another --algorithm"
        )
    return Plan(
        settings.algorithm, settings.population, objectives, settings.seed, settings.parameters
    )


def results(folder: Path, best: Individual | None) -> list[str]:
    """Lines that say where the pictures are."""
    if best is None:
        return [f"nothing was grown; the run's folder: {folder}"]
    return [
        f"best picture  {folder / 'best.png'}  (similarity {best.score.similarity:.3f})",
        f"population    {folder / 'latest.webp'}",
        f"run folder    {folder}",
    ]
