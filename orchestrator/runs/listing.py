"""What runs there are and how they went, read from their folders alone.

Everything is read as data that somebody else may have written: a damaged folder is listed as such,
and a command from a picture is taken apart and quoted again before it is shown.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.baseline import Baseline, read_baseline, sigmas
from orchestrator.runs.folder import RunFolder
from orchestrator.runs.pictures import read_recipe
from orchestrator.runs.storage import storing
from orchestrator.settings import target_of
from orchestrator.terminal.columns import aligned
from orchestrator.terminal.snapshot import printable
from protocol.errors import BadRequestError, GlasshouseError

if TYPE_CHECKING:
    from pathlib import Path

HEADINGS = ("RUN", "STATUS", "GENERATION", "BEST", "ALGORITHM", "TARGET")
MOST_NAME = 48


@dataclass(frozen=True)
class Summary:
    """One run in one line.

    Attributes:
        name: of its folder.
        folder: its path.
        status: running, done, stopped, failed; `killed` when it says running but nobody grows it;
            `damaged` when it cannot be read.
        prompt: what it looks for, pictures to resemble among it.
        algorithm: how.
        generator: with which model.
        generation: the newest that it told of.
        generations: how many it is to grow, refinement included.
        best: highest similarity so far, since the last swap; None before the first generation.
        baseline: how random latents score; None where the run did not look at any.
        started: when, ISO 8601.
        parent: folder of the run that it was forked from.
    """

    name: str
    folder: str
    status: str
    prompt: str = ""
    algorithm: str = ""
    generator: str = ""
    generation: int = 0
    generations: int = 0
    best: float | None = None
    baseline: Baseline | None = None
    started: str = ""
    parent: str = ""

    @property
    def over_random(self) -> str:
        """The best in standard deviations over random latents, in words; empty where unknown."""
        return "" if self.best is None else sigmas(self.baseline, self.best)


def summaries(root: Path) -> list[Summary]:
    """Every run in a folder of run folders, oldest first.

    Raises:
        BadRequestError: there is no such folder.
        StorageError: it cannot be looked at.
    """
    with storing("look for runs", root):
        if not root.is_dir():
            raise BadRequestError(
                f"{root} is no folder of runs; name one, or start: orchestrator run"
            )
        paths = [path.parent for path in root.glob("*/run.json") if not path.parent.is_symlink()]
    return [summary(path) for path in sorted(paths)]


def summary(path: Path) -> Summary:
    """One run; never fails."""
    folder = RunFolder(path)
    try:
        run = folder.read_run()
    except GlasshouseError:
        return _damaged(folder)
    return summary_of(folder, run, folder.events())


def summary_of(folder: RunFolder, run: dict[str, Any], events: list[dict[str, Any]]) -> Summary:
    """One run whose `run.json` and events are read already; never fails."""
    try:
        return _summary(folder, run, events)
    except (GlasshouseError, AttributeError, TypeError, ValueError):
        return _damaged(folder)


def _damaged(folder: RunFolder) -> Summary:
    return Summary(folder.path.name, str(folder.path), "damaged")


def _summary(folder: RunFolder, run: dict[str, Any], events: list[dict[str, Any]]) -> Summary:
    settings = run.get("settings") or {}
    told = [event for event in events if event.get("event") == "generation"]
    status = str(run.get("status"))
    swaps = [index for index, event in enumerate(events) if event.get("event") == "swap"]
    since = events[swaps[-1] + 1 :] if swaps else events
    best = [event["best"] for event in since if isinstance(event.get("best"), float)]
    return Summary(
        name=folder.path.name,
        folder=str(folder.path),
        status="killed" if status == "running" and not folder.alive else status,
        prompt=target_of(str(settings.get("prompt", "")), settings.get("likes") or ()),
        algorithm=str(settings.get("algorithm", "")),
        generator=str(settings.get("generator", "")),
        generation=int(told[-1].get("generation", 0)) if told else 0,
        generations=_steps(settings),
        best=max(best) if best else None,
        baseline=read_baseline(run.get("baseline")),
        started=str(run.get("started") or ""),
        parent=str((run.get("lineage") or {}).get("parent", "")),
    )


def _steps(settings: dict[str, Any]) -> int:
    refine = int(settings.get("refine") or 0)
    return int(settings.get("generations", 0)) + (refine + 1 if refine else 0)


def table(found: list[Summary]) -> str:
    """For people, one line a run."""
    if not found:
        return "no run yet"
    return "\n".join(aligned([HEADINGS, *map(_cells, found)], right=(2, 3)))


def _cells(one: Summary) -> list[str]:
    best = "-" if one.best is None else f"{one.best:.3f}"
    steps = f"{one.generation}/{one.generations}"
    cells = (one.name[:MOST_NAME], one.status, steps, best, one.algorithm, one.prompt)
    return [printable(cell) for cell in cells]


def details(path: Path) -> list[str]:
    """All that `orchestrator show` says of one run.

    Raises:
        GlasshouseError: it is no run, or damaged.
    """
    folder = RunFolder.open(path)
    run, events = folder.read_run(), folder.events()
    one = summary_of(folder, run, events)
    best = "-" if one.best is None else f"{one.best:.3f} {one.over_random}".rstrip()
    steps = f"{one.generation} of {one.generations}"
    lines = [
        f"run           {one.folder}",
        f"prompt        {one.prompt}",
        f"status        {one.status}, generation {steps}, best {best}",
        f"started       {one.started}",
        f"command       {(run.get('settings') or {}).get('command', '')}",
    ]
    lines += [f"forked from   {one.parent}"] * bool(one.parent)
    for service in run.get("services") or []:
        role, model, digest = (str(service.get(key)) for key in ("role", "model", "digest"))
        lines.append(f"{role:13} {model}  {digest}")
    for event in events:
        if event.get("event") == "swap":
            said = [event.get(key) for key in ("role", "model", "generation")]
            lines.append("swapped       {} for {} after generation {}".format(*said))
    pictures = [*sorted(folder.path.glob("*.png")), folder.path / "latest.webp"]
    lines += [f"picture       {picture}" for picture in pictures if picture.exists()]
    return [printable(line) for line in lines]


def recall(picture: Path) -> tuple[str, dict[str, Any]]:
    """The command that grew a picture, safe to paste into a shell, and the whole recipe.

    Raises:
        BadRequestError: the picture carries no recipe, or one without such a command.
        StorageError: it cannot be read.
    """
    recipe = read_recipe(picture)
    try:
        words = shlex.split(str(recipe.get("command", "")))
    except ValueError:
        words = []
    if words[:2] not in (["orchestrator", "run"], ["orchestrator", "fork"]):
        raise BadRequestError(f"{picture} does not say which orchestrator command grew it")
    return shlex.join(printable(word) for word in words), recipe
