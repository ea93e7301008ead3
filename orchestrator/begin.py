"""The three ways to begin: a new run, one that goes on, one that is forked from another."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from orchestrator.course import Origin
from orchestrator.evaluation.captioner import read_picture
from orchestrator.interrupts import Interrupts
from orchestrator.run import Run, plan_of
from orchestrator.runs import RunFolder
from orchestrator.runs.history import check_versions
from orchestrator.runs.journal import NAME, Journal, Lineage
from orchestrator.settings import RunSettings, read_settings, refuse_other_objectives
from orchestrator.targets import read_part
from orchestrator.terminal import Display
from protocol.errors import BadRequestError
from protocol.naming import model_key


def new_run(settings: RunSettings, display: Display, interrupts: Interrupts) -> Run:
    """A run in a new folder.

    Raises:
        GlasshouseError: settings that cannot be grown; no folder is made.
    """
    settings = settled(settings)
    plan_of(settings)
    return Run(settings, RunFolder.create(settings.runs, settings.target), display, interrupts)


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
        if done > journal.evolved != settings.generations:
            raise BadRequestError(
                f"{folder.path} was refined after generation {journal.evolved}, where its "
                f"evolution ended; go on from there with orchestrator fork --at {journal.evolved}"
            )
        if settings.steps < done or (settings.steps == done and finished):
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
        at = journal.evolved if at is None else at
        if not 1 <= at <= journal.evolved:
            raise BadRequestError(
                f"{parent.path} has generations 1 to {journal.evolved}, but not {at}; "
                "choose another --at"
            )
        beside = {"runs": parent.path.parent}
        settings = changed(journal.about.settings, {**beside, **changes})
        if settings.steps <= at:
            raise BadRequestError(
                f"after generation {at} nothing is left of {settings.generations}; "
                f"ask for more with --generations {2 * at}"
            )
        if plan_of(settings).objectives > 1:
            refuse_other_objectives(read_settings(journal.about.settings), settings)
        folder = RunFolder.create(settings.runs, settings.target)
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
    """The same settings with every path absolute: a run may go on from another folder.

    Raises:
        GlasshouseError: a picture to caption or to resemble cannot be read.
    """
    paths: dict[str, object] = {
        name: model_key(getattr(settings, name)) for name in ("generator", "clip", "discriminator")
    }
    if settings.caption:
        read_picture(Path(settings.caption))  # now, and not only when the services are ready
        paths["caption"] = str(Path(settings.caption).absolute())
    likes = [read_part(like) for like in settings.likes]
    for like in likes:
        read_picture(Path(like.text))
    whole = tuple(replace(like, text=str(Path(like.text).absolute())).typed for like in likes)
    paths["likes"] = whole
    return replace(settings, **paths)  # type: ignore[arg-type] # names of fields
