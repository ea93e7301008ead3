"""Many targets at once over one fleet: a search each, in a thread each, a few at a time.

The searches share the services that live already, and else those that are started here for all of
them. One that fails is reported and does not stop the others. The first Ctrl-C finishes every
search that runs and begins no other.
"""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from orchestrator.begin import new_run
from orchestrator.fleet.assemble import ROLES, share_of_cores
from orchestrator.fleet.lasting import living
from orchestrator.fleet.launcher import LocalLauncher, ServiceSpec
from orchestrator.interrupts import StoppedError
from orchestrator.terminal.board import Chalk, Feed
from protocol.errors import BadRequestError, GlasshouseError, StorageError
from protocol.naming import is_endpoint, model_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.interrupts import Interrupts
    from orchestrator.run import Run
    from orchestrator.settings import RunSettings
    from orchestrator.terminal import Display
    from protocol.messages import Role

    Begin = Callable[[RunSettings, Display, Interrupts], Run]

MOST_TARGETS = 10_000
LOOK_S = 0.2


@dataclass(frozen=True)
class Outcome:
    """How one search ended.

    Attributes:
        target: what it looked for.
        folder: its run folder; None if it never began.
        similarity: of its best picture; None without one.
        code: exit code that a run alone would have had.
        why: it failed; empty if it did not.
    """

    target: str
    folder: Path | None = None
    similarity: float | None = None
    code: int = 0
    why: str = ""


def read_targets(path: Path) -> list[str]:
    """The targets in a file, one a line; empty lines and those that begin with # are left out.

    Raises:
        BadRequestError: it cannot be read as text, or names none or too many.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequestError(
            f"{path} cannot be read as a list of targets ({error}); wanted text, one target a line"
        ) from error
    found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not 0 < len(found) <= MOST_TARGETS:
        raise BadRequestError(
            f"{path} names {len(found)} targets; wanted 1 to {MOST_TARGETS}, one a line"
        )
    return found


def grow_many(
    settings: RunSettings, targets: Sequence[str], jobs: int, chalk: Chalk, interrupts: Interrupts
) -> list[Outcome]:
    """Grow every target with otherwise the same settings; one outcome a target, in order.

    Args:
        settings: of every search but for its prompt; search n has seed + n.
        targets: what to look for.
        jobs: searches at a time.
        chalk: shows how they stand.
        interrupts: told to stop or not.

    Raises:
        GlasshouseError: the services that all need cannot be started.
        KeyboardInterrupt: a second Ctrl-C; the searches must be left by ending the process.
    """
    searches = [
        replace(settings, prompt=target, seed=settings.seed + number)
        for number, target in enumerate(targets)
    ]
    return grow_each(searches, jobs, chalk, interrupts)


def grow_each(
    searches: Sequence[RunSettings],
    jobs: int,
    chalk: Chalk,
    interrupts: Interrupts,
    begin: Begin = new_run,
    ended: Callable[[int, Outcome], None] = lambda _number, _outcome: None,
) -> list[Outcome]:
    """Grow searches that may differ in everything; one outcome each, in order.

    Args:
        searches: what each is told to do.
        jobs: how many at a time.
        chalk: shows how they stand.
        interrupts: told to stop or not.
        begin: makes the run of one search.
        ended: told of each that is over, in its thread; what it raises counts as that search's
            failure.

    Raises:
        GlasshouseError: a service that searches need cannot be started.
        KeyboardInterrupt: a second Ctrl-C; the searches must be left by ending the process.
    """
    with TemporaryDirectory() as logs, LocalLauncher(Path(logs)) as launcher:
        services = Services()
        chalk.begin()
        with contextlib.suppress(StoppedError):  # then no search begins either
            services = _services(searches, launcher, interrupts)

        def grow(number: int) -> Outcome:
            settings = searches[number]
            if interrupts.stop:
                chalk.put(number, state="stopped")
                return Outcome(settings.target, code=interrupts.exit_code)
            display = Feed(chalk, number, sys.stderr)
            outcome = _grow(settings, services, begin, display, interrupts)
            try:
                ended(number, outcome)
            except GlasshouseError as error:
                outcome = replace(outcome, code=error.exit_code, why=error.message)
            state = "failed" if outcome.why else "stopped" if outcome.code else "done"
            chalk.put(number, state=state, note=outcome.why)
            return outcome

        pool = ThreadPoolExecutor(jobs, thread_name_prefix="search")
        try:
            growing = [pool.submit(grow, number) for number in range(len(searches))]
            _await(growing)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return [search.result() for search in growing]


def _await(searches: Sequence[Future[Outcome]]) -> None:
    """Wait for all, in steps in which a signal can come through."""
    waiting = set(searches)
    while waiting:
        waiting = wait(waiting, timeout=LOOK_S).not_done


@dataclass(frozen=True)
class Services:
    """What was started for all searches.

    Attributes:
        lent: endpoints by role and model.
        refused: why others could not be started.
    """

    lent: Mapping[tuple[Role, str], str] = field(default_factory=dict)
    refused: Mapping[tuple[Role, str], GlasshouseError] = field(default_factory=dict)

    def check(self, settings: RunSettings) -> None:
        """Raise why a service that one search needs could not be started."""
        for role in ROLES:
            if error := self.refused.get((role, model_key(getattr(settings, role)))):
                raise error


def _services(
    searches: Sequence[RunSettings], launcher: LocalLauncher, interrupts: Interrupts
) -> Services:
    """Start what no living service offers, side by side.

    Raises:
        GlasshouseError: why no search can begin.
    """
    wanted = {(role, model_key(getattr(one, role))): one for one in searches for role in ROLES}
    ours = {key: one for key, one in wanted.items() if key[1] != "none" and not is_endpoint(key[1])}
    share, started = share_of_cores(len(ours)), {}
    for (role, model), settings in ours.items():
        spec = ServiceSpec(role, model, settings.device, settings.threads or share)
        if settings.own or not living(spec):
            started[role, model] = launcher.start(spec)
    lent, refused = {}, {}
    for key, service in started.items():
        try:
            launcher.wait_ready([service], interrupts.check)
            lent[key] = service.endpoint
        except GlasshouseError as error:
            refused[key] = error
    services = Services(lent, refused)
    for settings in searches:
        try:
            services.check(settings)
        except GlasshouseError as error:
            why = error
        else:
            return services
    raise why


def _grow(
    settings: RunSettings,
    services: Services,
    begin: Begin,
    display: Feed,
    interrupts: Interrupts,
) -> Outcome:
    """One search; never fails."""
    run: Run | None = None
    try:
        services.check(settings)
        run = begin(replace(settings, own=False), display, interrupts)
        run.lent = services.lent
        code, why = run.grow(), ""
    except GlasshouseError as error:
        code, why = error.exit_code, error.message
    except Exception as error:  # noqa: BLE001 # whatever it is, the other searches go on
        code, why = 1, f"{type(error).__name__}: {error}"
    if run is None:
        return Outcome(settings.target, code=code, why=why)
    best = run.best.score.similarity if run.best is not None else None
    return Outcome(settings.target, run.folder.path, best, code, why)


def sheet(outcomes: Sequence[Outcome], path: Path) -> Path | None:
    """All best pictures as one, in the order of the targets; None where there is none.

    Raises:
        StorageError: it cannot be written.
    """
    import numpy as np
    from PIL import Image

    from orchestrator.runs.pictures import grid, webp
    from orchestrator.runs.storage import write_whole

    found = []
    for outcome in outcomes:
        best = outcome.folder / "best.png" if outcome.folder is not None else None
        if best is not None and best.is_file():
            try:
                with Image.open(best) as image:
                    found.append(np.asarray(image.convert("RGB")))
            except OSError as error:
                raise StorageError(f"{best} cannot be read: {error}") from error
    if not found or len({image.shape for image in found}) > 1:
        return None
    write_whole(path, webp(grid(np.stack(found))))
    return path
