"""A run's folder: `runs/0007-a-yellow-car-in-the-city/`, numbered and never overwritten.

| file                    | holds                                                              |
|-------------------------|--------------------------------------------------------------------|
| `run.json`              | status, exit code, command line, versions, settings, services      |
| `events.jsonl`          | one line a generation, for `tail -f` and other programs            |
| `grids/000060.webp`     | the population of a generation as a picture, best top left         |
| `latest.webp`           | the newest of these, replaced in one step                          |
| `best.png`              | the best picture, with its recipe inside                           |
| `favourite-*.png`       | pictures that the user liked, with their recipes                   |
| `front-*.png`           | with two objectives: the front's knee and its two ends             |
| `evolution.webp`        | the kept grids one after the other, animated                       |
| `captions.txt`, `.json` | where captions are grown, these in place of pictures (`captions.py`)   |
| `populations/000060.npz`| genomes and objectives, for people's own notebooks                 |
| `logs/generator.log`    | what each service of the run's own said                            |
| `journal.sqlite`        | what resuming needs (`journal.py`)                                 |
| `lock`                  | held by the process that grows the run                             |
| `swaps/`                | wishes for other models, until they are answered (`swaps.py`)      |

Every file but the journal and `events.jsonl` appears whole or not at all. Whatever the disk refuses
becomes a StorageError of one sentence. Nothing is ever pickled.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import io
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from orchestrator.runs.slug import slug
from orchestrator.runs.storage import append_line, link, storing, to_json, write_whole
from protocol.errors import BadRequestError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np
    import numpy.typing as npt

Status = Literal["running", "done", "stopped", "failed"]


class _Settings(msgspec.Struct):
    """What is read of a run's settings beside what `read_settings` checks."""

    seed: int = 0
    population: int = 0
    generations: int = 0
    refine: int = 0


class _Run(msgspec.Struct):
    """The shape of `run.json`, as far as anything depends on it."""

    settings: _Settings | None = None
    services: list[dict[str, Any]] | None = None
    resumed: list[str] = []
    lineage: dict[str, Any] | None = None


Number = float | None
"""What is no number is null in JSON."""
MOST_GENERATIONS = 1_000_000
"""No run has so many; a damaged number must not make anybody count to it."""


class _Service(msgspec.Struct):
    """The shape of one service in a line of `events.jsonl`."""

    role: str = ""
    batch_ms: Number = None


class _Event(msgspec.Struct):
    """The shape of a line of `events.jsonl`, as far as anything depends on it."""

    event: str = ""
    generation: Annotated[int, msgspec.Meta(ge=0, le=MOST_GENERATIONS)] = 0
    evaluations: int = 0
    elapsed_s: float = 0.0
    best: Number = None
    mean: Number = None
    diversity: Number = None
    realism: Number = None
    scorer: Number = None
    failed: int = 0
    scores: list[Number] = []
    captions: list[str] = []
    services: list[_Service] = []
    role: str = ""
    model: str = ""


LATEST = "latest"
LOOK_S = 0.5
"""Who looks whether a run lives holds its lock for an instant; a run waits so long for that."""
REPLAY_DEPENDS_ON = ("glasshouse", "numpy", "pymoo", "cma", "ribs")
"""Distributions whose versions decide whether a replay gives the same genomes."""


class RunFolder:
    """One run's folder.

    Args:
        path: an existing folder; `create` makes a new one, `open` checks an old one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, root: Path, target: str) -> RunFolder:
        """Make the next folder in `root`, and point `root/latest` to it.

        Two processes that create at the same moment get two numbers: a number is claimed by making
        the folder `0007`, which only one can, and that folder is then renamed.

        Args:
            root: where runs are kept; made when missing.
            target: what the search looks for; the folder is named after it.

        Raises:
            StorageError: the folder cannot be made.
        """
        with storing("make a run folder", root):
            root.mkdir(parents=True, exist_ok=True)
            claim = _claim(root)
            path = claim.rename(root / f"{claim.name}-{slug(target)}")
        link(root / LATEST, path.name)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of an earlier run.

        Raises:
            BadRequestError: `path` is no run folder.
            StorageError: it cannot be looked at.
        """
        with storing("look for a run", path):
            found = (path / "run.json").is_file()
        if not found:
            raise BadRequestError(
                f"Wanted the folder of a run, but {path} holds no run.json: "
                "name one such as runs/latest."
            )
        return cls(path.resolve())

    def write_settings(
        self, settings: Mapping[str, Any], services: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        """Write `run.json` with the status `running`; calling it again replaces it.

        Args:
            settings: the resolved settings, as the run was started with.
            services: role, model and digest of every service of the run.

        Raises:
            StorageError: it cannot be written.
        """
        self._write_run(
            {
                "status": "running",
                "exit_code": None,
                "started": _now(),
                "finished": None,
                "argv": [argument.encode(errors="replace").decode() for argument in sys.argv],
                "versions": versions(),
                "commit": commit(),
                "settings": settings,
                "services": list(services),
            }
        )

    def read_run(self) -> dict[str, Any]:
        """What `run.json` says.

        Raises:
            BadRequestError: it is not what `write_settings` wrote.
            StorageError: it cannot be read.
        """
        path = self.path / "run.json"
        with storing("read a run", path):
            content = path.read_bytes()
        try:
            found = msgspec.json.decode(content, type=dict[str, Any])
            msgspec.convert(found, _Run)
        except msgspec.MsgspecError as error:
            raise BadRequestError(
                f"Wanted a run's settings, but {path} is damaged: {error}."
            ) from None
        return found

    def finish(self, status: Status, exit_code: int) -> None:
        """Record how the run ended.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            run = self.read_run()
        except (BadRequestError, StorageError):  # it ended before its settings were written
            run = {}
        self._write_run({**run, "status": status, "exit_code": exit_code, "finished": _now()})

    def resume(self) -> None:
        """Record that the run goes on: its status is `running` again.

        Raises:
            BadRequestError: `run.json` is damaged.
            StorageError: it cannot be read or written.
        """
        resumed = [*self.read_run().get("resumed", ()), _now()]
        self.update(status="running", exit_code=None, finished=None, resumed=resumed)

    def update(self, **changes: object) -> None:
        """Replace entries of `run.json`.

        Raises:
            BadRequestError: `run.json` is damaged.
            StorageError: it cannot be read or written.
        """
        self._write_run({**self.read_run(), **changes})

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that grows this run; the kernel lets go when the process ends.

        Raises:
            BadRequestError: another process grows it.
            StorageError: the lock cannot be made.
        """
        path = self.path / "lock"
        with storing("lock a run", path):
            file = path.open("ab")
        with file:
            until = time.monotonic() + LOOK_S
            while not (locked := _locked(file.fileno())) and time.monotonic() < until:
                time.sleep(LOOK_S / 10)
            if not locked:
                raise BadRequestError(
                    f"{self.path} is being grown by another process; wait for it, or stop it "
                    "with Ctrl-C in its terminal"
                )
            yield

    @property
    def alive(self) -> bool:
        """Whether a process grows this run now."""
        try:
            with (self.path / "lock").open("rb") as file:
                return not _locked(file.fileno())
        except OSError:
            return False

    def delete(self) -> None:
        """Remove the folder with all that is in it; `latest` then points to the newest other run.

        Raises:
            BadRequestError: a process grows it.
            StorageError: it cannot be removed.
        """
        with self.lock(), storing("delete a run", self.path):
            shutil.rmtree(self.path)
        latest = self.path.parent / LATEST
        if latest.is_symlink() and not latest.exists():
            others = sorted(one.parent.name for one in self.path.parent.glob("*/run.json"))
            with storing("point to the newest run", latest):
                latest.unlink()
            if others:
                link(latest, others[-1])

    def events(self) -> list[dict[str, Any]]:
        """The lines of `events.jsonl`; those that no run writes so are left out."""
        found = []
        with contextlib.suppress(OSError):
            for line in (self.path / "events.jsonl").read_bytes().splitlines():
                with contextlib.suppress(msgspec.MsgspecError):
                    event = msgspec.json.decode(line, type=dict[str, Any])
                    msgspec.convert(event, _Event)
                    found.append(event)
        return found

    def append_event(self, event: Mapping[str, Any]) -> None:
        """Add one line to `events.jsonl`, there for other programs at once.

        Raises:
            StorageError: it cannot be written; the line is left out whole.
        """
        append_line(self.path / "events.jsonl", to_json(event))

    @property
    def logs(self) -> Path:
        """The folder for the logs of services, made when missing.

        Raises:
            StorageError: it cannot be made.
        """
        return self._within("logs", "any.log").parent

    def save_grid(self, images: npt.NDArray[np.uint8], generation: int, *, keep: bool) -> None:
        """Show the population as a picture, `latest.webp`.

        Args:
            images: `(n, h, w, 3)` uint8, n at least 1, best first.
            generation: its number.
            keep: also keep it as `grids/000060.webp`.

        Raises:
            StorageError: it cannot be written.
            ValueError: the images have another shape or type.
        """
        from orchestrator.runs.pictures import grid, webp

        content = webp(grid(images))
        if keep:
            write_whole(self._within("grids", f"{generation:06d}.webp"), content)
        write_whole(self.path / "latest.webp", content)

    def save_film(self) -> None:
        """Make `evolution.webp` of the kept grids that can be read, where there are two or more.

        Raises:
            StorageError: it cannot be written.
        """
        from orchestrator.runs.pictures import film, readable

        grids = [path for path in sorted((self.path / "grids").glob("*.webp")) if readable(path)]
        if len(grids) > 1:
            write_whole(self.path / "evolution.webp", film(grids))

    def save_picture(
        self, name: str, image: npt.NDArray[np.uint8], recipe: Mapping[str, Any]
    ) -> Path:
        """Save one picture, `best.png`, with the recipe inside; `read_recipe` reads it back.

        Args:
            name: of the file, without its ending.
            image: `(h, w, 3)` uint8.
            recipe: all that is needed to make the picture again.

        Raises:
            StorageError: it cannot be written.
        """
        from orchestrator.runs.pictures import png

        path = self.path / f"{name}.png"
        write_whole(path, png(image, recipe))
        return path

    def save_population(
        self,
        generation: int,
        genomes: npt.NDArray[Any],
        objectives: npt.NDArray[Any],
        **more: npt.NDArray[Any],
    ) -> Path:
        """Save a population for people's own notebooks, `populations/000060.npz`.

        Args:
            generation: its number.
            genomes: `(population, latent_dim)` float.
            objectives: `(population, objectives)` float, to minimise.
            more: other arrays, each under its name.

        Raises:
            StorageError: it cannot be written.
        """
        import numpy as np

        file = io.BytesIO()
        arrays = {"genomes": genomes, "objectives": objectives, **more}
        np.savez_compressed(file, allow_pickle=False, **arrays)
        path = self._within("populations", f"{generation:06d}.npz")
        write_whole(path, file.getvalue())
        return path

    def _within(self, folder: str, name: str) -> Path:
        """The path of a file in a subfolder, which is made when missing."""
        path = self.path / folder / name
        with storing("make a folder", path.parent):
            path.parent.mkdir(exist_ok=True)
        return path

    def _write_run(self, run: Mapping[str, Any]) -> None:
        write_whole(self.path / "run.json", to_json(run, indent=2) + b"\n")


def _locked(descriptor: int) -> bool:
    """Take the lock of an open file, if nobody has it; closing the file gives it back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def next_name(root: Path, target: str) -> str:
    """What the next run in `root` would be called, unless another one begins before."""
    taken = _numbers(root) if root.is_dir() else []
    return f"{max(taken, default=0) + 1:04d}-{slug(target)}"


def _claim(root: Path) -> Path:
    """A new empty folder in `root` whose name is a number that no run has.

    Whoever holds the folder `0007` is alone with that number. A run that took the number before
    has renamed its folder already, so it shows in the listing made while holding.
    """
    number = max(_numbers(root), default=0) + 1
    while True:
        path = root / f"{number:04d}"
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
            continue
        if _numbers(root).count(number) == 1:
            return path
        path.rmdir()
        number += 1


def _numbers(root: Path) -> list[int]:
    """The numbers of all runs in `root`, and of all claims."""
    found = (re.match(r"(\d{4,})(-|$)", path.name) for path in root.iterdir())
    return [int(match[1]) for match in found if match]


def versions() -> dict[str, str]:
    """Versions of Python and of everything that a replay depends on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in REPLAY_DEPENDS_ON:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def commit() -> str | None:
    """The commit that this code is checked out at, `-dirty` when changed; None when installed."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(  # noqa: S603 - our own words and our own path
            [*command, "--exclude=*"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
