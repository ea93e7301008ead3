"""Many searches on one display: a line for each, and beneath them the best picture of each.

The searches' own snapshots come in from their threads; whoever draws takes a `Board`, which is
frozen, as `Frame` takes a `Snapshot` of one run.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Literal, TextIO

import numpy as np
from rich.console import Console, Group
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from orchestrator.terminal.braille import sparkline
from orchestrator.terminal.choose import (
    Images,
    Ui,
    can_redraw,
    can_show_images,
    make_painter,
)
from orchestrator.terminal.frame import bar, services_line
from orchestrator.terminal.halfblock import Picture, largest, rows_of, thumbnails
from orchestrator.terminal.live import LiveDisplay
from orchestrator.terminal.plain import JsonDisplay, PlainDisplay, QuietDisplay
from orchestrator.terminal.snapshot import Phase, ServiceStatus, Snapshot, clock, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from orchestrator.terminal.graphics import Painter

State = Literal["waiting", "starting", "searching", "paused", "saving", "done", "stopped", "failed"]
ENDED = frozenset({"done", "stopped", "failed"})
STYLES = {"done": "green", "failed": "bold red", "stopped": "yellow", "searching": "cyan"}
FIRST = ("failed", "searching", "paused", "saving", "starting", "stopped", "waiting", "done")
"""Which searches are shown first where there is no room for all."""


@dataclasses.dataclass(frozen=True, eq=False)
class Line:
    """One search.

    Attributes:
        target: what it looks for.
        state: how it stands.
        shown: its newest snapshot; None before it began.
        note: why it failed.
    """

    target: str
    state: State = "waiting"
    shown: Snapshot | None = None
    note: str = ""

    @property
    def best(self) -> float | None:
        """Highest similarity so far."""
        return max(self.shown.best) if self.shown is not None and self.shown.best else None

    @property
    def said(self) -> str:
        """The best in words, with its standard deviations over random latents where known."""
        if self.best is None or self.shown is None:
            return "-"
        baseline = self.shown.baseline
        over = "" if baseline is None else f" {baseline.over(self.best):+.1f} σ"
        return f"{self.best:.3f}{over}"


@dataclasses.dataclass(frozen=True, eq=False)
class Board:
    """All searches at one moment.

    Attributes:
        lines: one a search, in the order of the targets.
        generations: wanted, of all searches together.
        elapsed_s: seconds since the first began.
        phase: `starting` before the first search begins, `done` when all have ended.
    """

    lines: tuple[Line, ...]
    generations: int
    elapsed_s: float = 0.0
    phase: Phase = "searching"

    @property
    def ended(self) -> int:
        """Searches that are over, well or not."""
        return sum(line.state in ENDED for line in self.lines)

    @property
    def generation(self) -> int:
        """Generations grown, of all searches together."""
        return sum(line.shown.generation for line in self.lines if line.shown is not None)

    @property
    def services(self) -> tuple[ServiceStatus, ...]:
        """The services of all searches, each once."""
        found = (one for line in self.lines if line.shown for one in line.shown.services)
        return tuple({one.endpoint: one for one in found}.values())


class BoardFrame:
    """Draws boards for one console.

    Args:
        console: renders text; nothing is printed to it.
        images: whether this console can show pictures.
        holes: whether a `Painter` draws them.
    """

    def __init__(self, console: Console, *, images: bool, holes: bool = False) -> None:
        self._console = console
        self._images = images
        self._holes = holes

    def draw(
        self, board: Board, columns: int, rows: int, message: str = "", _panel: Sequence[str] = ()
    ) -> Picture:
        """The whole board, exactly `rows` lines of `columns` cells."""
        most = max(1, (rows // 2 if self._images else rows) - 4)
        words = f"{board.ended} of {len(board.lines)} targets  {clock(board.elapsed_s)}"
        if board.phase == "starting":
            words = f"starting services  {clock(board.elapsed_s)}"
        width = max(4, columns - len(words) - 3)
        head = Table.grid(padding=(0, 1))
        head.add_row(
            bar(board.generation, board.generations, width),
            words,
        )
        table = _table(board, columns, most)
        foot: list[RenderableType] = [services_line(board.services), Text(printable(message))]
        left = rows - table.row_count - 4
        above = self._lines(Group(head, table), columns, table.row_count + 2)
        picture = self._pictures(board, columns, left) or Picture([], columns)
        rest = [Segment(" " * (columns - picture.columns))]
        middle = [[*line, *rest] for line in picture.lines]
        middle += self._lines(Text(""), columns, left - len(middle))
        tiles = tuple(tile.moved(len(above), 0) for tile in picture.tiles)
        below = self._lines(Group(*foot), columns, 2)
        return Picture([*above, *middle, *below][:rows], columns, tiles)

    def _lines(self, content: RenderableType, columns: int, rows: int) -> list[list[Segment]]:
        """`content` as exactly `rows` lines of `columns` cells."""
        rows = max(0, rows)
        options = self._console.options.update(width=columns, height=rows)
        return Segment.set_shape(self._console.render_lines(content, options), columns, rows)

    def _pictures(self, board: Board, columns: int, rows: int) -> Picture | None:
        """The best picture of each search that has one, where all are of one size."""
        shown = [(n, line.shown) for n, line in enumerate(board.lines, 1) if line.shown is not None]
        found = [
            (one.thumbnails[0], one.scores[0], number)
            for number, one in shown
            if one.thumbnails is not None
        ]
        if self._images and found and len({image.shape for image, _, _ in found}) == 1:
            images, scores, numbers = zip(*found, strict=True)
            height, width = images[0].shape[:2]
            grid = largest(len(images), columns, rows, height, width)
            fits = grid[1] * (rows_of(height, width, grid[2]) + 1) <= rows
            return thumbnails(
                np.stack(images), scores, columns, rows,
                numbers=numbers, grid=grid if fits else None, holes=self._holes,
            )  # fmt: skip
        return None


def _table(board: Board, columns: int, most: int) -> Table:
    """A heading, and a line for each search; those that matter most where there is no room."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", width=columns)
    table.add_column("target", no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column("state", no_wrap=True)
    table.add_column("generation", no_wrap=True, justify="right")
    table.add_column("best", no_wrap=True, justify="right")
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=2)
    numbered = sorted(enumerate(board.lines), key=lambda pair: FIRST.index(pair[1].state))
    for number, line in sorted(numbered[:most], key=lambda pair: pair[0]):
        shown = line.shown
        table.add_row(
            Text(f"{number + 1} {printable(line.target)}"),
            Text(line.state, STYLES.get(line.state, "dim")),
            Text("-" if shown is None else f"{shown.generation}/{shown.generations}"),
            Text(line.said),
            Text(printable(line.note) or ("" if shown is None else sparkline(shown.best, 24))),
        )
    return table


class LiveBoard(LiveDisplay):
    """Redraws boards in place, as the live display does one run."""

    def __init__(self, console: Console, *, images: bool, painter: Painter | None = None) -> None:
        super().__init__(console, images=images, painter=painter)
        self._frame = BoardFrame(console, images=images, holes=painter is not None)
        self._last = BoardFrame(console, images=images)


class PlainBoard(PlainDisplay):
    """Prints a line when a search begins or ends."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._states: dict[int, State] = {}

    def update(self, board: Board) -> None:  # type: ignore[override] # of many searches
        """Print what is new since the last board."""
        if board.phase == "starting":
            self.message(f"starting services for {len(board.lines)} searches")
        for number, line in enumerate(board.lines):
            old, self._states[number] = self._states.get(number, "waiting"), line.state
            if line.state != old and line.state in {"starting", *ENDED}:
                self.message(f"{number + 1}/{len(board.lines)} {line.target}: {_words(line)}")


def _words(line: Line) -> str:
    best = "" if line.best is None else f", best {line.said}"
    folder = "" if line.shown is None else f", {line.shown.folder}"
    return line.note or f"{line.state}{best}{folder}"


class JsonBoard(JsonDisplay):
    """Prints the line of `events.jsonl` for each generation of each search, with its target."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._told: dict[int, int] = {}

    def update(self, board: Board) -> None:  # type: ignore[override] # of many searches
        """One line for each generation that is new."""
        for number, line in enumerate(board.lines):
            shown = line.shown
            if shown is not None and shown.best and self._told.get(number) != shown.generation:
                self._told[number] = shown.generation
                self._emit({"target": line.target, **shown.event()})


def make_board(
    ui: Ui, images: Images, stream: TextIO, environ: Mapping[str, str]
) -> LiveBoard | QuietDisplay:
    """The display of many searches for `stream`; the arguments are those of `make_display`."""
    if ui == "json":
        return JsonBoard(stream)
    if ui == "quiet":
        return QuietDisplay(stream)
    if ui != "plain" and can_redraw(stream, environ):
        console = Console(file=stream, highlight=False, _environ=environ)
        shown = can_show_images(console, images)
        painter = make_painter(images, stream, environ) if shown else None
        return LiveBoard(console, images=shown, painter=painter)
    return PlainBoard(stream)


class Chalk:
    """Writes on the board, from any thread.

    Args:
        targets: what each search looks for.
        generations: wanted of each.
        display: shows the board.
    """

    def __init__(
        self, targets: Sequence[str], generations: int, display: LiveBoard | QuietDisplay
    ) -> None:
        self._lines = [Line(target) for target in targets]
        self._generations = generations * len(targets)
        self._display = display
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Show that services are being started, before there is anything of any search."""
        with self._lock:
            self._display.update(Board(tuple(self._lines), self._generations, phase="starting"))  # type: ignore[arg-type] # boards are what it draws

    def put(self, number: int, **changes: object) -> None:
        """Change what is said of one search, counted from 0."""
        with self._lock:
            self._lines[number] = dataclasses.replace(self._lines[number], **changes)  # type: ignore[arg-type] # its own fields
            board = Board(tuple(self._lines), self._generations, time.monotonic() - self._began)
            if board.ended == len(board.lines):
                board = dataclasses.replace(board, phase="done")
            self._display.update(board)  # type: ignore[arg-type] # boards are what it draws

    def message(self, text: str) -> None:
        """Tell the user one thing."""
        self._display.message(text)


class Feed(QuietDisplay):
    """The display of one of many searches: it writes that search's line.

    Args:
        chalk: writes on the board.
        number: of the search, from 0.
        stream: never written.
    """

    def __init__(self, chalk: Chalk, number: int, stream: TextIO) -> None:
        super().__init__(stream)
        self._chalk = chalk
        self._number = number

    def update(self, snapshot: Snapshot) -> None:
        """Write the line; how the search ended is said by who grows it."""
        state = "saving" if snapshot.phase == "done" else snapshot.phase
        self._chalk.put(self._number, state=state, shown=snapshot)

    def message(self, text: str) -> None:
        """Say it on the board."""
        self._chalk.message(text)
