"""One run as its user sees it: services, search, display, pictures, and how it ends.

    start services -> greet them -> embed the prompt -> ask, evaluate, write down, tell, show, keep

Whatever ends a run early (a signal, a lost service, a full disk), what was grown so far is kept in
its folder where that is possible, and no service of its own is left behind.
"""

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.attending import Attendant
from orchestrator.baseline import Baseline, sigmas
from orchestrator.captions import CaptionKeeper, caption_results
from orchestrator.course import Course, Origin
from orchestrator.evaluation.setup import set_up
from orchestrator.fleet.assemble import Finder, assemble
from orchestrator.fleet.launcher import LocalLauncher
from orchestrator.gallery import Individual
from orchestrator.interrupts import Interrupts, StoppedError
from orchestrator.keeping import Keeper, command, ranked
from orchestrator.profiles import find_profile
from orchestrator.runs import RunFolder, Status
from orchestrator.runs.history import Plan
from orchestrator.runs.journal import NAME
from orchestrator.search import check_choice
from orchestrator.settings import RunSettings
from orchestrator.swap import Swapped, Swapper
from orchestrator.terminal import Display, Snapshot
from protocol.client import Client
from protocol.errors import ConfigError, GlasshouseError, StorageError
from protocol.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.fleet.replicas import Replicas
    from protocol.messages import Role

THUMBNAILS = 16
PAUSE_LOOK_S = 0.1


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
        patience: how long it waits for services.
        lent: endpoints of services that were started for this run and others, by role and model.
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
        keeper = CaptionKeeper if settings.caption else Keeper
        self._keeper = keeper(folder, settings, self._course)
        self._attendant = Attendant(display, interrupts, self._course, self._keeper, folder)
        self.folder = folder
        self.best: Individual | None = None
        self.patience = PATIENCE
        self.lent: Mapping[tuple[Role, str], str] = {}
        self._measuring = settings.baseline
        self._told = max((event.get("generation", 0) for event in folder.events()), default=0)
        self._roles: list[Replicas] = []
        self._snapshot = Snapshot(
            target=settings.target,
            generator=settings.generator,
            algorithm=settings.algorithm,
            seed=settings.seed,
            population=settings.population,
            folder=str(folder.path),
            generations=settings.steps,
            second_name="realism",
        )

    @property
    def baseline(self) -> Baseline | None:
        """How random latents score; None while unknown."""
        return self._snapshot.baseline

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
            with (
                LocalLauncher(self.folder.logs) as launcher,
                Client(self.folder.path.name[:100], self.patience) as client,
            ):
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
        except MemoryError as error:
            raise GlasshouseError(
                "the orchestrator ran out of memory; make room, then go on with: "
                f"orchestrator resume {self.folder.path}"
            ) from error
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
        finder = Finder(launcher, client, self._settings, self._waiting, self.lent)
        self._roles = finder.find_all()
        self._course.repeat()  # while the services load their models
        ensemble = assemble(self._roles, self._waiting)
        setup = set_up(client, ensemble, self._settings)
        self._record_services()
        self._course.take_up(setup, self._settings, self.folder.path / NAME)
        self._take_up_display()
        self._tell_baseline(self._course.chance.known())
        self._began = time.monotonic()
        swapper = Swapper(self.folder, finder, self._roles, self._course, self._keeper)
        try:
            self._generations(swapper, client)
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
        self._tell_news()
        self._show(elapsed_s=time.monotonic() - self._began)

    def _tell_news(self) -> None:
        """Say what happened to the services."""
        news = [line for replicas in self._roles for line in replicas.news()]
        for line in news:
            generation = self._course.history.generation
            self.folder.append_event(
                {"event": "service", "generation": generation, "message": line}
            )
        if news:
            self._show(log=(*self._snapshot.log, *news)[-20:])

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

    def _generations(self, swapper: Swapper, client: Client) -> None:
        while (done := self._course.history.generation) < self._settings.steps:
            self._interrupts.check()
            self._tend(swapper)
            self._heed()
            while self._attendant.paused and not self._interrupts.stop:
                self._rest(swapper, client)
            self._interrupts.check()
            refining = done >= self._settings.generations
            if refining and not self._course.history.refining:
                self._keeper.now()  # evolution ends here, and with it an archive
            self._course.advance("refinement" if refining else "generation")
            self._tell_news()
            self._report()
            self._keeper.generation()
            self._measure_chance()
        while self._measuring and not self._interrupts.stop:
            self._measure_chance()

    def _measure_chance(self) -> None:
        """Look at as many random latents as a generation has; a run never fails by that."""
        if not self._measuring:
            return
        try:
            self._tell_baseline(self._course.chance.measure(self._settings.population))
        except GlasshouseError as error:
            self._measuring = False
            self._show(log=(*self._snapshot.log, f"no baseline: {error.message}")[-20:])

    def _tell_baseline(self, found: Baseline | None) -> None:
        """Say everywhere what chance scores."""
        if found is None or not self._measuring:
            return
        self._measuring = False
        self._keeper.baseline = found
        self.folder.update(baseline=found)
        said = f"{found.rows} random latents score {found.mean:.3f} ± {found.deviation:.3f}"
        self._show(baseline=found, log=(*self._snapshot.log, said)[-20:])

    def _tend(self, swapper: Swapper) -> None:
        if self._course.history.refining:  # another model's scores have another gradient
            return
        swapped = swapper.tend(self._settings)
        if swapped is not None:
            self._go_on_with(swapped)

    def _heed(self) -> None:
        """Do what the user asked for by keys."""
        said = self._attendant.heed()
        if said:
            self._show(log=(*self._snapshot.log, *said)[-20:])
            if self._course.history.scored:
                self._report()

    def _rest(self, swapper: Swapper, client: Client) -> None:
        """One moment of a pause, which does not count as time of the search."""
        before = time.monotonic()
        self._show(phase="paused", elapsed_s=before - self._began)
        client.pump(PAUSE_LOOK_S)
        self._tend(swapper)
        self._heed()
        self._began += time.monotonic() - before
        if not self._attendant.paused:
            self._show(phase="searching")

    def _go_on_with(self, swapped: Swapped) -> None:
        """Say everywhere that a model was changed."""
        self._settings = self._keeper.settings = swapped.settings
        self._record_services()
        self._measuring, self._keeper.baseline = self._settings.baseline, None
        self.folder.update(baseline=None)
        self._show(baseline=None)
        self._tell_baseline(self._course.chance.known())
        info, history = swapped.replicas.info, self._course.history
        self.folder.append_event(
            {
                "event": "swap",
                "generation": history.generation,
                "role": info.role,
                "model": info.model,
                "digest": info.digest,
            }
        )
        self._show(
            generator=self._settings.generator,
            log=(*self._snapshot.log, swapped.message)[-20:],
        )
        if history.scored:
            self._report()

    def _report(self) -> None:
        """Show the newest generation, and write its line of `events.jsonl` if it has none."""
        history = self._course.history
        self.best = self._course.champion()
        survivors = ranked(self._course.individuals())
        shown = survivors[:THUMBNAILS]
        self._show(
            phase="paused" if self._attendant.paused else "searching",
            generation=history.generation,
            evaluations=self._course.evaluations,
            elapsed_s=time.monotonic() - self._began,
            best=tuple(history.best),
            mean=tuple(history.mean),
            second=tuple(history.second),
            points=self._points(survivors),
            scored=tuple(history.judged),
            failed=history.algorithm.failed,
            diversity=self._course.diversity(),
            first_diversity=history.first_diversity,
            thumbnails=None if self._settings.caption else np.stack([one.image for one in shown]),
            captions=tuple(one.text for one in shown) if self._settings.caption else (),
            scores=tuple(one.score.similarity for one in survivors),
            genomes=tuple(one.genome.tobytes() for one in shown),
            favourites=self._attendant.favourites,
            banned=history.banned,
            swaps=tuple(history.changes),
        )
        rescored = history.generation in history.changes  # scores that no curve has
        if self._told < history.generation and not rescored:
            self._told = history.generation
            self.folder.append_event(self._snapshot.event())

    def _points(self, survivors: list[Individual]) -> tuple[tuple[float, float], ...]:
        """Both objectives of each survivor, where the search trades one for the other."""
        if self._course.history.plan.objectives < 2:
            return ()
        scores = [one.score for one in survivors]
        return tuple((one.similarity, one.realism) for one in scores if one.realism is not None)

    def _show(self, **changes: object) -> None:
        services = tuple(status for replicas in self._roles for status in replicas.statuses())
        self._snapshot = replace(self._snapshot, services=services, **changes)  # type: ignore[arg-type] # its own fields
        self._display.update(self._snapshot)

    def _save_end(self) -> None:
        if self._course.history.scored:
            self._show(phase="saving")
            self._keeper.end()
            self._show(phase="done")

    def _services(self) -> list[dict[str, str]]:
        return [
            {"role": info.role, "model": info.model, "digest": info.digest}
            for info in (replicas.info for replicas in self._roles)
        ]


def plan_of(settings: RunSettings) -> Plan:
    """What the search algorithm is made from.

    Raises:
        GlasshouseError: settings that cannot be grown.
    """
    settings.check()
    profile, measures = find_profile(settings.profile), len(settings.measures)
    info = check_choice(
        profile.algorithm(settings.algorithm),
        population=settings.population,
        seed=settings.seed,
        parameters=settings.parameters,
        measures=measures,
    )
    several = info.objectives == "several"
    objectives = len(settings.objectives) if several else 1
    if several and settings.caption:
        raise ConfigError(
            f"{info.name} trades similarity against realism, which captions have none of; "
            "choose another --algorithm"
        )
    if several and objectives == 1:
        raise ConfigError(
            f"{info.name} trades similarity against realism and needs a discriminator; "
            "name one with --discriminator, or choose another --algorithm"
        )
    if several and settings.weights:
        raise ConfigError(
            f"{info.name} keeps every trade-off and weighs none; leave --weight out, or choose an "
            "algorithm of one objective"
        )
    if not several and settings.scorer != "none" and "scorer" not in settings.weighing:
        raise ConfigError(
            f"{info.name} minimises one number, so say how much the scorer counts beside "
            "similarity, such as --weight scorer=0.3; or trade them off with --algorithm nsga2"
        )
    if not several and settings.diversity:
        raise ConfigError(
            f"{info.name} minimises one number, so say how much diversity counts beside "
            "similarity: --weight diversity=0.3 in place of --diversity; or trade them off with "
            "--algorithm nsga2"
        )
    if settings.refine and objectives > 1:
        raise ConfigError(
            f"--refine follows the gradient of similarity alone, but {info.name} trades it against "
            "realism; leave --refine out, or choose an algorithm of one objective"
        )
    if settings.refine and settings.weights:
        raise ConfigError(
            "--refine follows the gradient of similarity alone, not that of a weighted sum; "
            "leave --refine or --weight out"
        )
    return Plan(
        info.name,
        settings.population,
        objectives,
        settings.seed,
        settings.parameters,
        measures,
        profile.pick,
        weighted=bool(settings.weights),
    )


def results(folder: Path, best: Individual | None, baseline: Baseline | None = None) -> list[str]:
    """Lines that say where the pictures are."""
    if best is None:
        return [f"nothing was grown; the run's folder: {folder}"]
    similarity = best.score.similarity
    said = ", ".join(filter(None, [f"similarity {similarity:.3f}", sigmas(baseline, similarity)]))
    if best.text:
        return caption_results(folder, best, said)
    return [
        f"best picture  {folder / 'best.png'}  ({said})",
        f"population    {folder / 'latest.webp'}",
        f"run folder    {folder}",
    ]
