"""Which display this terminal gets.

| ui      | a terminal that can move its cursor  | others: see below                   |
|---------|--------------------------------------|-------------------------------------|
| `auto`  | live                                 | plain                               |
| `live`  | live                                 | plain, and says so                  |
| others  | as asked                             | as asked                            |

Others are a pipe, a file, TERM=dumb, one without UTF-8, and any while a shell has the run in the
background.

Pictures (`auto`) need 256 colours or more; `half` draws them with fewer. Without any colour they
would be a solid block, so NO_COLOR always leaves them out. `kitty` and `sixel` draw them as pixels,
where the user knows that the terminal shows these; kitty's do not pass through tmux, where half
blocks stand in and it says so. The terminal is never asked what it can do: the answer may come
late and look like key presses.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Literal, Protocol, TextIO

from orchestrator.terminal.plain import JsonDisplay, PlainDisplay, QuietDisplay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from orchestrator.terminal.controls import Offer, Request
    from orchestrator.terminal.graphics import Painter
    from orchestrator.terminal.snapshot import Snapshot

Ui = Literal["auto", "live", "plain", "quiet", "json"]
Images = Literal["auto", "half", "kitty", "sixel", "off"]


class Display(Protocol):
    """Shows a run. No method raises because of what happens on the screen.

    Attributes:
        draw_errors: how often showing something failed.
    """

    draw_errors: int

    def start(self) -> None:
        """Begin; called once, before the services are started."""

    def update(self, snapshot: Snapshot) -> None:
        """Show this moment; cheap enough to call ten times a second."""

    def message(self, text: str) -> None:
        """Tell the user one thing, in one line."""

    def requests(self) -> list[Request]:
        """What the user has asked for since the last call."""

    def stop(self) -> None:
        """Leave a readable end; may be called twice, and before `start`."""


def make_display(
    ui: Ui,
    images: Images,
    stream: TextIO,
    environ: Mapping[str, str],
    offers: Callable[[], Sequence[Offer]] | None = None,
    *,
    watching: bool = False,
) -> Display:
    """The display for `stream`.

    Args:
        ui: what the user asked for.
        images: whether the live display shows pictures.
        stream: where to draw: stderr, but stdout for `json`.
        environ: the process's environment (TERM, COLORTERM, NO_COLOR).
        offers: which generators the display's menu shows; None where nobody swaps.
        watching: whether somebody else grows this run.
    """
    if ui == "quiet":
        return QuietDisplay(stream)
    if ui == "json":
        return JsonDisplay(stream)
    if ui != "plain" and can_redraw(stream, environ):
        from rich.console import Console

        from orchestrator.terminal.keyboard import open_keyboard
        from orchestrator.terminal.live import LiveDisplay

        console = Console(file=stream, highlight=False, _environ=environ)
        shown = can_show_images(console, images)
        live = LiveDisplay(
            console,
            images=shown,
            keyboard=open_keyboard() if offers is not None or watching else None,
            offers=offers or list,
            painter=make_painter(images, stream, environ) if shown else None,
            watching=watching,
        )
        if images == "kitty" and "TMUX" in environ:
            live.message("kitty's pictures do not pass through tmux; half blocks stand in")
        return live
    display = PlainDisplay(stream)
    if ui == "live":
        display.message("the live display needs a UTF-8 terminal; printing plain lines instead")
    return display


def can_redraw(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether `stream` is a terminal that can move its cursor and show braille."""
    dumb = environ.get("TERM", "").lower() in {"", "dumb", "unknown"}
    return stream.isatty() and not dumb and shows_unicode(stream) and in_front(stream)


def shows_unicode(stream: IO[str]) -> bool:
    """Whether braille and half blocks can be written to `stream`."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"


def in_front(stream: IO[str]) -> bool:
    """Whether this process may draw now: a shell has not put it into the background."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # no terminal of this session, or closed: nobody is disturbed
        return True


def make_painter(images: Images, stream: TextIO, environ: Mapping[str, str]) -> Painter | None:
    """Who draws pictures as pixels; None for half blocks."""
    from orchestrator.terminal.graphics import Painter

    if images == "sixel" or (images == "kitty" and "TMUX" not in environ):
        return Painter(images, stream.fileno())
    return None


def can_show_images(console: Console, images: Images) -> bool:
    """Whether pictures would look like pictures; half blocks do with colours alone."""
    if images == "off" or console.no_color or not shows_unicode(console.file):
        return False
    return console.color_system in ({"256", "truecolor"} if images == "auto" else COLOURED)


COLOURED = frozenset({"standard", "256", "truecolor"})
