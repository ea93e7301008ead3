"""The three ways to begin: a new run, one that goes on, one that is forked from another."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from orchestrator.course import Origin
from orchestrator.interrupts import Interrupts
from orchestrator.run import Run, plan_of
from orchestrator.runs import RunFolder
from orchestrator.runs.history import check_versions
from orchestrator.runs.journal import NAME, Journal, Lineage
from orchestrator.settings import RunSettings, read_settings
from orchestrator.terminal import Display
from protocol.errors import BadRequestError


def new_run(settings: RunSettings, display: Display, interrupts: Interrupts) -> Run:
    """A run in a new folder.

    Raises:
        GlasshouseError: settings that cannot be grown; no folder is made.
    """
    settings = settled(settings)
    plan_of(settings)
    return Run(settings, RunFolder.create(settings.runs, settings.prompt), display, interrupts)


def resume_run(
    path: Path, changes: Mapping[str, object], display: Display, interrupts: Interrupts
) -> Run:
    """A run that goes on in its own folder as if it had never stopped.

    Args:
        path: its folder.
        changes: how many generations in all, and where the same models are now.
        display: where to show it.
        interrupts: told to stop or not.

    Raises:
        GlasshouseError: no run, nothing left to do, or it cannot be repeated here.
    """
    folder = RunFolder.open(path)
    with folder.lock():  # a living run's journal is left alone
        journal = Journal.open(folder.path / NAME)
    with ExitStack() as failing:
        failing.enter_context(journal)
        check_versions(journal.about)
        settings = changed(journal.about.settings, changes)
        done = journal.generation
        finished = folder.read_run().get("status") == "done"
        if settings.generations < done or (settings.generations == done and finished):
            raise BadRequestError(
                f"{folder.path} has grown all {done} generations already; "
                f"extend it with --generations {2 * done}"
            )
        run = Run(settings, folder, display, interrupts, Origin(journal))
        failing.pop_all()
    return run


def fork_run(
    path: Path,
    at: int | None,
    changes: Mapping[str, object],
    display: Display,
    interrupts: Interrupts,
) -> Run:
    """A new run that begins with the generations of another.

    Args:
        path: the other's folder.
        at: the last generation to take over; its newest by default.
        changes: settings that differ from the other's.
        display: where to show it.
        interrupts: told to stop or not.

    Raises:
        GlasshouseError: no run, no such generation, or nothing left to do.
    """
    parent = RunFolder.open(path)
    with ExitStack() as failing:
        journal = failing.enter_context(Journal.open(parent.path / NAME))
        at = journal.generation if at is None else at
        if not 1 <= at <= journal.generation:
            raise BadRequestError(
                f"{parent.path} has generations 1 to {journal.generation}, but not {at}; "
                "choose another --at"
            )
        beside = {"runs": parent.path.parent}
        settings = changed(journal.about.settings, {**beside, **changes})
        if settings.generations <= at:
            raise BadRequestError(
                f"after generation {at} nothing is left of {settings.generations}; "
                f"ask for more with --generations {2 * at}"
            )
        plan_of(settings)
        folder = RunFolder.create(settings.runs, settings.prompt)
        origin = Origin(journal, Lineage(str(parent.path), at))
        run = Run(settings, folder, display, interrupts, origin)
        failing.pop_all()
    return run


def changed(recorded: Mapping[str, object], changes: Mapping[str, object]) -> RunSettings:
    """The settings that a run recorded, with changes.

    Raises:
        ConfigError: they cannot be used.
    """
    settings = read_settings(recorded)
    return settled(replace(settings, **changes))  # type: ignore[arg-type] # its own fields


def settled(settings: RunSettings) -> RunSettings:
    """The same settings with every path absolute: a run may go on from another folder."""
    paths = {
        name: str(Path(where).absolute())
        for name in ("generator", "clip", "discriminator")
        if (where := getattr(settings, name)).endswith(".safetensors")
    }
    return replace(settings, **paths)  # type: ignore[arg-type] # names of fields
