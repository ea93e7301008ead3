"""One frame of the live display: a snapshot and a size in, lines of cells out.

Fills exactly the rows and columns that it is given, and draws the thumbnails anew only when they
changed. From 24x8 up it is worth looking at. Text from outside (the target, a service's endpoint)
is stripped of control characters and never read as markup.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.box import ROUNDED
from rich.console import Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from orchestrator.baseline import sigmas
from orchestrator.terminal.braille import Curve, chart, front, scatter, sparkline
from orchestrator.terminal.halfblock import Picture, thumbnails
from orchestrator.terminal.snapshot import ServiceStatus, Snapshot, clock, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from orchestrator.terminal.graphics import Tile

    Lines = list[list[Segment]]

WIDE = 100
"""Columns from which everything is shown; below, the layout is narrow."""
TIMED = 72
"""Columns from which services have their timings beside them; below, these would cut the states."""
TALL = 30
"""Rows from which the log has three lines instead of one."""
LEAST_MIDDLE = 6
"""Rows below which the chart and the thumbnails are left out."""

LEAST_WRAPPED = 20
"""Rows below which a long message is cut and not wrapped."""

LEAST_BAR = 4
"""Columns of the bar of generations, for which the evaluations a second make room."""

LEAST_CAPTION = 30
"""Columns below which captions are left out."""

LEAST_SCATTER = 16
"""Rows of the curves' box below which the points of two objectives are left out."""

STATE_STYLES = {
    "starting": "yellow",
    "ready": "green",
    "busy": "cyan",
    "draining": "magenta",
    "hung": "bold red",
    "lost": "bold red",
}
LONGEST_ROLE, LONGEST_STATE, LEAST_MODEL = len("discriminator"), len("● starting"), 8
"""Cells; a model is cut before states and numbers are."""
Hint = tuple[str, str]
"""A key, and what it does."""
KEYS: tuple[Hint, ...] = (
    ("p", "pause"),
    ("s", "save"),
    ("1-9", "favourite"),
    ("x", "ban"),
    ("g", "swap generator"),
    ("q", "finish"),
    ("?", "help"),
    ("Ctrl-C twice", "quit at once"),
)
SHORT_KEYS: tuple[Hint, ...] = (
    ("p", "pause"),
    ("s", "save"),
    ("1-9", "like"),
    ("x", "ban"),
    ("g", "swap"),
    ("q", "finish"),
    ("?", "help"),
)
NO_KEYS: tuple[Hint, ...] = (
    ("Ctrl-C", "finish this generation, save and exit"),
    ("again", "quit at once"),
)
SHORT_NO_KEYS: tuple[Hint, ...] = (("Ctrl-C", "save and exit"), ("again", "quit"))
WATCHING: tuple[Hint, ...] = (("q", "leave; the run goes on"),)


class Frame:
    """Draws snapshots for one console.

    Args:
        console: renders text; nothing is printed to it.
        images: whether this console can show pictures.
        keys: whether the hints tell of keys.
        holes: whether a `Painter` draws the pictures.
        watching: whether this is only looked at, so that Ctrl-C ends nothing.
        ended: whether it stays when the program has ended, so that no key means anything.
    """

    def __init__(
        self,
        console: Console,
        *,
        images: bool,
        keys: bool = False,
        holes: bool = False,
        watching: bool = False,
        ended: bool = False,
    ) -> None:
        self._console = console
        self._images = images
        self._keys = keys
        self._holes = holes
        self._watching = watching
        self._ended = ended
        self._drawn: Picture | None = None
        self._drawn_from: tuple[object, ...] = (None,)

    def draw(
        self,
        snapshot: Snapshot,
        columns: int,
        rows: int,
        message: str = "",
        panel: Sequence[str] = (),
    ) -> Picture:
        """The whole frame.

        Args:
            snapshot: what to show.
            columns: width to fill, in cells.
            rows: height to fill, in cells.
            message: the latest word to the user, shown above the hints.
            panel: a title and lines, to show instead of the curves and pictures.
        """
        most = max(4, rows // 4)
        said = self._wrapped(message, columns, 3 if rows >= LEAST_WRAPPED else 1)
        top: list[RenderableType] = [*header(snapshot, columns), progress(snapshot, columns)]
        bottom: list[RenderableType] = [
            services_table(snapshot.services, columns, most),
            *log_lines(snapshot, said, 3 if rows >= TALL else 1),
            self._hints(snapshot, columns),
        ]
        left = rows - len(top) - len(bottom) - min(len(snapshot.services), most)
        if left < LEAST_MIDDLE:
            bottom[0] = services_line(snapshot.services)
            left = max(0, rows - len(top) - len(bottom))
        tiles: tuple[Tile, ...] = ()
        if left < LEAST_MIDDLE:
            middle = self._lines(Text(""), columns, left)
        elif panel:
            middle = self._panel(panel, columns, left)
        else:
            picture = self._middle(snapshot, columns, left)
            middle, tiles = picture.lines, picture.tiles
        above = self._lines(Group(*top), columns, len(top))
        below = self._lines(Group(*bottom), columns, max(0, rows - left - len(top)))
        moved = tuple(tile.moved(len(top), 0) for tile in tiles)
        return Picture([*above, *middle, *below][:rows], columns, moved)

    def _lines(self, content: RenderableType, columns: int, rows: int) -> Lines:
        """`content` as exactly `rows` lines of `columns` cells."""
        options = self._console.options.update(width=columns, height=rows)
        lines = self._console.render_lines(content, options)
        return Segment.set_shape(lines, columns, rows)

    def _panel(self, panel: Sequence[str], columns: int, rows: int) -> Lines:
        """A title and lines in a box; lines that are too long are cut where not all would fit."""
        text = Text("\n".join(printable(line) for line in panel[1:]))
        if len(text.wrap(self._console, max(1, columns - 4))) > rows - 2:
            text.no_wrap, text.overflow = True, "ellipsis"
        return self._lines(boxed(text, panel[0], columns, rows), columns, rows)

    def _wrapped(self, message: str, columns: int, most: int) -> list[str]:
        """The message on up to `most` lines: what to do about a mistake stands at its end."""
        if not message:
            return []
        wrapped = Text(printable(message)).wrap(self._console, max(1, columns))
        lines = [line.plain.rstrip() for line in wrapped]
        return [*lines[: most - 1], " ".join(lines[most - 1 :])] if len(lines) > most else lines

    def _hints(self, snapshot: Snapshot, columns: int) -> Text:
        """What the keys do; nothing when all is done."""
        if self._ended or snapshot.phase == "done":
            return Text("")
        if self._watching:
            return hints(WATCHING, WATCHING, columns)
        return (
            hints(KEYS, SHORT_KEYS, columns)
            if self._keys
            else hints(NO_KEYS, SHORT_NO_KEYS, columns)
        )

    def _middle(self, snapshot: Snapshot, columns: int, rows: int) -> Picture:
        """The curves, and beside them the best pictures when there is room."""
        if snapshot.captions:
            picture = self._captions(snapshot, columns * 3 // 5, rows - 1)
        else:
            picture = self._thumbnails(snapshot, columns * 3 // 5, rows - 1)
        if picture is None:
            return Picture(self._lines(curves(snapshot, columns, rows), columns, rows), columns)
        width = columns - picture.columns - 1
        chart_lines = self._lines(curves(snapshot, width, rows), width, rows)
        title = _line((f"best of generation {snapshot.generation}", "dim"))
        beside = [*self._lines(title, picture.columns, 1), *picture.lines]
        beside += [[Segment(" " * picture.columns)]] * (rows - len(beside))
        gap = [Segment(" ")]
        lines = [left + gap + right for left, right in zip(chart_lines, beside, strict=True)]
        return Picture(lines, columns, tuple(tile.moved(1, width + 1) for tile in picture.tiles))

    def _captions(self, snapshot: Snapshot, columns: int, rows: int) -> Picture | None:
        """The best captions, a line each, where a line has room for words."""
        if columns < LEAST_CAPTION:
            return None
        best = list(zip(snapshot.scores, snapshot.captions, strict=False))[:rows]
        lines = [_line((f"{score:.3f}  ", "green"), (text, "")) for score, text in best]
        return Picture(self._lines(Group(*lines), columns, len(lines)), columns)

    def _thumbnails(self, snapshot: Snapshot, columns: int, rows: int) -> Picture | None:
        """The grid of thumbnails, drawn again only when they or the room changed."""
        images = snapshot.thumbnails
        if not self._images or images is None:
            return None
        room = (snapshot.scores, snapshot.marks, columns, rows)
        if self._drawn_from[0] is not images or self._drawn_from[1:] != room:
            self._drawn = thumbnails(
                images, snapshot.scores, columns, rows, snapshot.marks, holes=self._holes
            )
            self._drawn_from = (images, *room)
        return self._drawn


def header(snapshot: Snapshot, columns: int) -> list[Text]:
    """Target, settings and run folder: two lines when wide, three when narrow."""
    title = _line(("Glasshouse  ", "bold green"), (snapshot.target, "bold"))
    settings = _line(
        (_called(snapshot.generator), ""),
        (f" · {snapshot.algorithm} · seed {snapshot.seed}", "dim"),
        (f" · population {snapshot.population}", "dim"),
    )
    folder = _line((snapshot.folder, "cyan"))
    if columns < WIDE:
        return [title, settings, folder]
    settings.truncate(columns - min(folder.cell_len, columns // 2) - 2, overflow="ellipsis")
    gap = columns - settings.cell_len - folder.cell_len
    return [title, Text.assemble(settings, " " * gap, folder, no_wrap=True, overflow="ellipsis")]


def progress(snapshot: Snapshot, columns: int) -> RenderableType:
    """A bar of generations, and how fast it moves."""
    if snapshot.phase == "starting":
        ready = sum(service.state in {"ready", "busy"} for service in snapshot.services)
        words = f"starting services: {ready} of {len(snapshot.services)} ready"
        return _line((words, "yellow"), (f"  {clock(snapshot.elapsed_s)}", "dim"))
    words = f"generation {snapshot.generation}/{snapshot.generations}"
    rate = f"  {snapshot.evaluations_per_s:.1f} evaluations/s"
    if snapshot.phase == "paused":
        how = "  paused: p goes on"
    elif snapshot.phase == "searching":
        how = f"  {clock(snapshot.elapsed_s)}  ETA {clock(snapshot.eta_s)}"
    else:
        how = f"  {clock(snapshot.elapsed_s)}  {snapshot.phase}"
    fits = len(words + rate + how) <= columns - LEAST_BAR - 2
    words += rate + how if fits else how
    table = Table.grid(padding=(0, 1))
    width = max(LEAST_BAR, columns - len(words) - 3)
    table.add_row(
        bar(snapshot.generation, snapshot.generations, width),
        Text(words, no_wrap=True, overflow="ellipsis"),
    )
    return table


def bar(done: int, wanted: int, columns: int) -> ProgressBar:
    """How much is done of what is wanted."""
    return ProgressBar(
        max(1, wanted), done, width=columns, complete_style="green", finished_style="green"
    )


def curves(snapshot: Snapshot, columns: int, rows: int) -> Panel:
    """Best and mean similarity over the generations, the diversity and two objectives beneath."""
    if not snapshot.best:
        waiting = "the first generation is on its way"
        if snapshot.phase == "starting":
            waiting = "the search begins when every service is ready"
        return boxed(Text(waiting, "dim"), "similarity", columns, rows)
    notes = _notes(snapshot, columns - 4)
    lines = [Curve(snapshot.best, "green"), Curve(snapshot.mean, "blue")]
    numbers = _numbers(snapshot, columns - 4)
    width, left = max(16, columns - 4), max(2, rows - 3 - len(notes))
    beneath: list[RenderableType] = []
    if snapshot.points and rows >= LEAST_SCATTER:
        beneath = _trade(snapshot, width, left // 2)
        left -= left // 2
    drawn = chart(lines, width, left, snapshot.swaps)
    return boxed(Group(numbers, drawn, *notes, *beneath), "similarity", columns, rows)


def _numbers(snapshot: Snapshot, columns: int) -> Text:
    """Best and mean in their curves' colours, and what they mean where there is room for it."""
    best = (f"best {snapshot.best[-1]:.3f}", "bold green")
    gain = (f" ({snapshot.gain:+.3f})", "green")
    mean = (f" mean {snapshot.mean[-1]:.3f}" if snapshot.mean else "", "blue")
    over = sigmas(snapshot.baseline, snapshot.best[-1])
    long, short = (
        (f" {words}".rstrip(), "bold green") for words in (over, over[: over.find("σ") + 1])
    )
    shorter = ((best, gain, short, mean), (best, short, mean), (best, mean))
    for parts in ((best, gain, long, mean), *shorter):
        line = _line(*parts)
        if line.cell_len <= columns:
            break
    return line


def _trade(snapshot: Snapshot, columns: int, rows: int) -> list[RenderableType]:
    """What the survivors have of both objectives, as points; `rows` lines."""
    count = f"front {len(front(snapshot.points))} of {len(snapshot.points)}"
    return [
        _line((count, "green"), (f": {snapshot.second_name} over similarity", "dim")),
        scatter(snapshot.points, columns, rows - 1, "similarity"),
    ]


def _notes(snapshot: Snapshot, columns: int) -> list[Text]:
    """Diversity, with a warning when it is gone, and the second objective."""
    found = []
    if snapshot.diversity is not None:
        words = f"diversity {snapshot.diversity:.3f}"
        if snapshot.collapsed:
            found.append(_line((f"{words}: near-identical pictures", "bold yellow")))
        else:
            found.append(_line((words, "")))
    for name, values in ((snapshot.second_name, snapshot.second), ("scorer", snapshot.scored)):
        if values:
            words = f"{name} {values[-1]:.3f} "
            found.append(_line((words + sparkline(values, columns - len(words)), "")))
    if snapshot.failed:
        found.append(_line((f"{snapshot.failed} evaluations failed and rank last", "yellow")))
    return found


def services_table(services: Sequence[ServiceStatus], columns: int, most: int) -> Table:
    """A heading and a line for each service; those beyond `most` share the last line."""
    wide, timed = columns >= WIDE, columns >= TIMED
    table = Table(
        box=None, width=columns if wide else None, padding=(0, 2, 0, 0), pad_edge=False,
        header_style="dim",
    )  # fmt: skip
    numbers = ("queue", *(("p50 ms", "p95 ms") if timed else ()), "rows")
    digits = max((len(f"{service.rows:,}") for service in services), default=0)
    others = LONGEST_ROLE + LONGEST_STATE + 6 + 8 * len(numbers) + max(0, digits - 6) - 2
    table.add_column("service", no_wrap=True, overflow="ellipsis")
    table.add_column(
        "model", no_wrap=True, overflow="ellipsis",
        max_width=None if wide else max(LEAST_MODEL, columns - others),
    )  # fmt: skip
    table.add_column("state", no_wrap=True, overflow="ellipsis")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True, min_width=6)
    if wide:
        table.add_column("digest", no_wrap=True)
        table.add_column("endpoint", no_wrap=True, overflow="ellipsis", ratio=1)
    shown = services if len(services) <= most else services[: most - 1]
    for service in shown:
        table.add_row(*_service_cells(service, wide=wide, timed=timed))
    if len(shown) < len(services):
        table.add_row(f"+{len(services) - len(shown)}", _states(services[len(shown) :]))
    return table


def _service_cells(service: ServiceStatus, *, wide: bool, timed: bool) -> list[Text]:
    """One line of the table; a service without answers yet has no timings."""
    times = [
        Text(f"{ms:.1f}" if service.rows > 0 else "-")
        for ms in (service.batch_ms, service.batch_p95_ms)
    ]
    cells = [
        Text(printable(service.role)),
        Text(printable(_called(service.model))),
        Text(
            f"● {service.state}{' shared' * (service.shared and wide)}",
            STATE_STYLES.get(service.state, ""),
        ),
        Text(str(service.queue_rows)),
        *(times if timed else ()),
        Text(f"{service.rows:,}"),
    ]
    if wide:
        cells += [
            Text(printable(service.digest.removeprefix("blake2b:"))[:8], "dim"),
            Text(printable(service.endpoint)),
        ]
    return cells


def _called(model: str) -> str:
    """A model without the folders of its file."""
    return model.rpartition("/")[2] if model.endswith(".safetensors") else model


def services_line(services: Sequence[ServiceStatus]) -> Text:
    """All services in one line, for low terminals."""
    return _line(("services: ", "dim"), (_states(services), ""))


def _states(services: Sequence[ServiceStatus]) -> str:
    """How many are in each state: `3 ready, 1 lost`."""
    counts = Counter(service.state for service in services)
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none yet"


def log_lines(snapshot: Snapshot, message: Sequence[str], count: int) -> list[Text]:
    """`count` lines, or as many as the message has: the last of the log, then the message."""
    count = max(count, len(message))
    lines = [_line((text, "dim")) for text in snapshot.log[-count:]]
    lines = [*lines, *(_line((text, "bold")) for text in message)][-count:]
    return [*lines, *(Text("") for _ in range(count - len(lines)))]


def hints(long: Sequence[Hint], short: Sequence[Hint], columns: int) -> Text:
    """What the keys do, in the longest words that fit."""
    for hint in (long, short):
        line = _line(
            *(part for key, does in hint for part in ((key, "bold cyan"), (f" {does}  ", "")))
        )
        line.rstrip()
        if line.cell_len <= columns:
            break
    return line


def boxed(content: RenderableType, title: str, columns: int, rows: int) -> Panel:
    """`content` in a box of exactly this size."""
    return Panel(
        content, box=ROUNDED, title=title, title_align="left", width=columns, height=rows,
        border_style="dim",
    )  # fmt: skip


def _line(*parts: tuple[str, str]) -> Text:
    """Pieces of text and their styles on one line that is cut, never wrapped."""
    clean = ((printable(text), style) for text, style in parts)
    return Text.assemble(*clean, no_wrap=True, overflow="ellipsis")
