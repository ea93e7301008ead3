"""The display of a terminal: pictures, curves and services, redrawn in place.

A thread of its own draws the latest snapshot: at most four times a second, once a second when
nothing came so that the clock moves, and never for more than a twelfth of a core. So a slow or
stopped terminal (Ctrl-S) cannot hold up the search, and `update` costs nothing. Whatever goes wrong
while drawing is counted in `draw_errors` and never raised.

It draws on the terminal's other screen, which survives resizing. `stop` returns to the first one
and leaves the last frame there; a program that ends without it is given its terminal back too,
unless it is killed or leaves by `os._exit`. Ctrl-Z gives it back too, `fg` takes it again, and in
the background (`bg`) nothing is drawn. `update` and `message` only store a reference, so a
signal handler may call them.

rich's own `Live` is not used: an error in its drawing ends its thread or reaches the caller, and it
lays out every cell twice more.
"""

from __future__ import annotations

import atexit
import dataclasses
import signal
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from rich.control import Control
from rich.segment import ControlType, Segment, Segments

from orchestrator.terminal.choose import in_front
from orchestrator.terminal.controls import Controls, Offer, Request
from orchestrator.terminal.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from rich.console import Console

    from orchestrator.terminal.graphics import Painter
    from orchestrator.terminal.keyboard import Keyboard
    from orchestrator.terminal.snapshot import Snapshot

REFRESH_S = 0.25
IDLE_REFRESH_S = 1.0
REST = 12
"""After a drawing that took `t` seconds of processor time comes a rest of at least `REST * t`."""
STOP_S = 2.0
"""How long `stop` waits for a drawing in progress; a terminal held by Ctrl-S never ends it."""


class LiveDisplay:
    """Shows a run on `console`, which must be a terminal.

    Args:
        console: where to draw; nothing else may print there between `start` and `stop`.
        images: whether it can show pictures.
        keyboard: where keys come from; None without.
        offers: which generators the menu shows.
        painter: draws the pictures as pixels; None for half blocks.
        watching: whether somebody else grows this run, so that keys only leave.

    Attributes:
        draw_errors: how often drawing failed.
    """

    def __init__(
        self,
        console: Console,
        *,
        images: bool,
        keyboard: Keyboard | None = None,
        offers: Callable[[], Sequence[Offer]] = list,
        painter: Painter | None = None,
        watching: bool = False,
    ) -> None:
        self.draw_errors = 0
        self._console = console
        self._keyboard = keyboard
        self._controls = Controls(offers)
        self._requests: SimpleQueue[Request] = SimpleQueue()
        self._painter = painter
        self._watching = watching
        self._frame: Any = Frame(
            console,
            images=images,
            keys=keyboard is not None,
            holes=painter is not None,
            watching=watching,
        )
        self._last: Any = Frame(console, images=images, ended=True)  # no holes: on the first screen
        self._snapshot: Snapshot | None = None
        self._message = ""
        self._updated = time.monotonic()
        self._dirty = False
        self._stopping = threading.Event()
        self._away = False  # somebody else has the terminal: the shell that stopped this program
        self._lending, self._lent, self._back = (threading.Event() for _ in range(3))
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take over the terminal."""
        if self._thread is None:
            atexit.register(self.stop)
            self._guarded(self._enter)
            _on_ctrl_z(signal.SIG_DFL, self._stopped)
            self._thread = threading.Thread(target=self._loop, name="display", daemon=True)
            self._thread.start()
            if self._keyboard is not None:
                self._keyboard.start(self._press)

    def update(self, snapshot: Snapshot) -> None:
        """Show `snapshot` from now on."""
        self._snapshot, self._updated = snapshot, time.monotonic()
        self._dirty = True

    def message(self, text: str) -> None:
        """Show one line to the user until the next one."""
        self._message = text
        self._dirty = True

    def requests(self) -> list[Request]:
        """What the user has asked for by keys since the last call."""
        return [self._requests.get() for _ in range(self._requests.qsize())]

    def stop(self) -> None:
        """Give the terminal back with the last frame on it; a second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._keyboard is not None:
            self._keyboard.stop()
        atexit.unregister(self.stop)
        _on_ctrl_z(self._stopped, signal.SIG_DFL)
        self._stopping.set()
        thread.join(STOP_S)
        if not thread.is_alive():
            self._guarded(self._leave)

    def _press(self, key: str) -> None:
        """One key, in the keyboard's thread."""
        self._guarded(lambda: self._obey(key))
        self._dirty = True

    def _obey(self, key: str) -> None:
        if self._watching:
            if key == "q":
                self._requests.put(Request("finish"))
        elif self._snapshot is not None:
            request = self._controls.press(key, self._snapshot)
            if request is not None:
                self._requests.put(request)

    def _loop(self) -> None:
        drawn = -IDLE_REFRESH_S
        rest = 0.0
        while not self._stopping.wait(max(REFRESH_S, rest)):
            if not self._has_terminal():
                continue
            if self._dirty or time.monotonic() - drawn >= IDLE_REFRESH_S:
                self._dirty = False
                before = time.thread_time()
                self._guarded(self._draw)
                rest, drawn = REST * (time.thread_time() - before), time.monotonic()

    def _stopped(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z, in the main thread: wait until the terminal is given back, then stop."""
        if self._lending.is_set():
            return
        self._lent.clear()
        self._back.clear()
        self._lending.set()
        self._lent.wait(STOP_S)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # returns when a shell lets this program go on
        signal.signal(signal.SIGTSTP, self._stopped)
        self._back.set()

    def _has_terminal(self) -> bool:
        """Whether to draw now; gives the terminal away and takes it again as a shell wants it."""
        if self._lending.is_set():
            if not self._away:
                self._away = True
                self._guarded(self._lend)
            self._lent.set()
            self._back.wait()
            self._lending.clear()
        front = in_front(self._console.file)
        if front and self._away:
            self._guarded(self._enter)
            self._dirty = True
            if self._keyboard is not None:
                self._keyboard.take()
        self._away = not front
        return front

    def _lend(self) -> None:
        self._give_back()
        if self._keyboard is not None:
            self._keyboard.lend()

    def _enter(self) -> None:
        self._console.set_alt_screen(enable=True)
        self._console.show_cursor(show=False)

    def _draw(self) -> None:
        """Cover the whole screen with the latest snapshot, its clock running on."""
        snapshot = self._snapshot
        if snapshot is None:
            return
        if snapshot.phase not in {"paused", "done"}:
            waited = time.monotonic() - self._updated
            snapshot = dataclasses.replace(snapshot, elapsed_s=snapshot.elapsed_s + waited)
        message = self._controls.question or self._message
        panel = self._controls.panel
        size = self._console.size
        frame = self._frame.draw(snapshot, *size, message, panel)
        cells = [segment for line in frame.lines for segment in (Segment.line(), *line)][1:]
        if self._painter is None:
            self._console.print(Control.home(), Segments(cells), crop=False)
            return
        before, after = self._painter.paint(frame.tiles, size)
        cells = [_escapes(before), *cells, _escapes(after)]
        self._console.print(Control.home(), Segments(cells), crop=False)

    def _give_back(self) -> None:
        """Back to the first screen."""
        if self._painter is not None:
            self._console.print(Segments([_escapes(self._painter.leave())]), end="")
        self._console.set_alt_screen(enable=False)
        self._console.show_cursor(show=True)

    def _leave(self) -> None:
        """The last frame on the first screen, with two rows left for the prompt."""
        if not self._away:
            self._give_back()
        if self._snapshot is not None:
            columns, rows = self._console.size
            frame = self._last.draw(self._snapshot, columns, max(8, rows - 2), self._message)
            self._console.print(frame, crop=False)

    def _guarded(self, draw: Callable[[], None]) -> None:
        """Call `draw`; its failure is counted, for a display must never stop a run."""
        try:
            draw()
        except Exception:  # noqa: BLE001 - a closed or odd terminal can raise anything
            self.draw_errors += 1


def _on_ctrl_z(before: object, then: Any) -> None:
    """Hear of Ctrl-Z, or no more, if `before` does now and this is the thread that may."""
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTSTP) == before:
        signal.signal(signal.SIGTSTP, then)


def _escapes(text: str) -> Segment:
    """What a terminal obeys and does not show, and rich is to leave as it is."""
    return Segment(text, None, [(ControlType.HOME,)])
