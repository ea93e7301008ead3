import contextlib
import dataclasses
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.terminal import Snapshot
from orchestrator.terminal import live as live_module
from orchestrator.terminal.live import LiveDisplay

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "REFRESH_S", 0.01)
    monkeypatch.setattr(live_module, "REST", 0)


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(("columns", "rows"), [(120, 40), (80, 24)])
def test_it_draws_and_leaves_the_last_frame_on_the_first_screen(
    snapshot: Snapshot, terminal: Callable[..., Any], columns: int, rows: int
) -> None:
    console = terminal(columns, rows)
    display = LiveDisplay(console, images=True)
    display.start()
    display.update(snapshot)
    wait_until(lambda: "generation 12/60" in console.file.getvalue())
    display.update(dataclasses.replace(snapshot, phase="done", generation=60))
    display.message("see you")
    display.stop()
    display.stop()
    shown, _, left = console.file.getvalue().rpartition(LEAVE)
    assert shown.startswith(ENTER)
    assert HIDE in shown
    assert SHOW in left
    assert "generation 60/60" in left
    assert "see you" in left
    assert left.count("\n") == rows - 2
    assert display.draw_errors == 0


def test_a_frame_covers_the_screen_without_scrolling_it(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    console = terminal(80, 24)
    display = LiveDisplay(console, images=True)
    display.update(snapshot)
    display._draw()
    text = console.file.getvalue()
    assert text.startswith("\x1b[H")
    assert text.count("\n") == 23
    assert not text.endswith("\n")


def test_an_error_while_drawing_is_counted_and_the_run_goes_on(
    snapshot: Snapshot, terminal: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    display = LiveDisplay(terminal(80, 24), images=True)
    broken = threading.Event()
    broken.set()
    draw = display._frame.draw

    def sometimes(*given: Any) -> Any:
        if broken.is_set():
            raise RuntimeError("cannot draw")
        return draw(*given)

    monkeypatch.setattr(display._frame, "draw", sometimes)
    display.start()
    for _ in range(3):
        display.update(snapshot)
        before = display.draw_errors
        wait_until(lambda before=before: display.draw_errors > before)  # type: ignore[misc]
    broken.clear()
    display.update(snapshot)
    wait_until(lambda: "generation 12/60" in display._console.file.getvalue())  # type: ignore[attr-defined]
    display.stop()


def test_a_closed_terminal_never_stops_a_run(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    console = terminal(80, 24)
    console.file.close()
    display = LiveDisplay(console, images=True)
    display.start()
    display.update(snapshot)
    display.message("hello")
    wait_until(lambda: display.draw_errors > 1)
    display.stop()


def test_a_terminal_that_takes_nothing_holds_nobody_up(
    snapshot: Snapshot, terminal: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "STOP_S", 0.05)
    display = LiveDisplay(terminal(80, 24), images=False)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go_on.wait(10)

    monkeypatch.setattr(display, "_draw", hold)
    display.start()
    thread = display._thread
    assert held.wait(10)
    started = time.monotonic()
    display.update(snapshot)
    display.stop()
    assert time.monotonic() - started < 1
    go_on.set()
    assert thread is not None
    thread.join(10)


def test_stop_before_start_and_without_a_snapshot(terminal: Callable[..., Any]) -> None:
    display = LiveDisplay(terminal(80, 24), images=True)
    display.stop()
    display.start()
    display.stop()
    assert display.draw_errors == 0


def test_the_clock_moves_while_nothing_comes(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    display = LiveDisplay(terminal(120, 40), images=False)
    display.update(snapshot)
    display._updated -= 60
    display._draw()
    assert "01:24" in display._console.file.getvalue()  # type: ignore[attr-defined]


IN_A_TERMINAL = """
import os, sys, time
from orchestrator.terminal import Snapshot, make_display
display = make_display("auto", "auto", sys.stderr, os.environ)
display.start()
snapshot = Snapshot(target="a car", phase="searching", generation=3, generations=9, best=(.1, .2))
display.update(snapshot)
time.sleep(0.7)
"""
AND_STOPS = """
display.stop()
print(type(display).__name__, display.draw_errors)
"""


@pytest.mark.parametrize("end", [AND_STOPS, "raise SystemExit(0)"])
def test_a_real_terminal_is_drawn_on_and_given_back(end: str) -> None:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (30, 110))
    environ = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        environ.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL + end],
        stdin=slave, stdout=slave, stderr=slave, env=environ, close_fds=True,
    )  # fmt: skip
    os.close(slave)
    received = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while select.select([master], [], [], 30)[0] and (piece := os.read(master, 65536)):
            received += piece
    os.close(master)
    assert process.wait(10) == 0
    text = received.decode()
    assert text.index(ENTER) < text.index("generation 3/9") < text.index(LEAVE)
    assert "generation 3/9" in text[text.index(LEAVE) :]
    assert text.index(SHOW) > text.index(LEAVE)
    if end is AND_STOPS:
        assert text.rstrip().endswith("LiveDisplay 0")


WITH_KEYS = """
import os, sys, time
from orchestrator.terminal import Snapshot, make_display
display = make_display("auto", "off", sys.stderr, os.environ, offers=list)
display.start()
for generation in range(1, 10_000):
    display.update(Snapshot("a car", phase="searching", generation=generation, best=(.1, .2)))
    if any(request.action == "finish" for request in display.requests()):
        break
    time.sleep(0.1)
display.stop()
"""


class Shell:
    """A shell with job control on a pseudo-terminal, and all that it shows."""

    def __init__(self) -> None:
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.environ.update(TERM="xterm-256color", PS1="ready> ", PROGRAM=WITH_KEYS, ENV="")
            os.execv("/bin/sh", ["sh", "-i"])
        termios.tcsetwinsize(self.terminal, (30, 110))

    def type(self, words: str) -> None:
        os.write(self.terminal, words.encode())

    def show(self, wanted: str, enough_s: float = 60.0) -> str:
        """What it shows until `wanted` comes, or for so long."""
        shown, deadline = "", time.monotonic() + enough_s
        while wanted not in shown and (left := deadline - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                shown += os.read(self.terminal, 65536).decode(errors="replace")
        return shown

    def close(self) -> None:
        os.close(self.terminal)  # the shell hangs up on its jobs
        os.waitpid(self.child, 0)


def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() -> None:
    with contextlib.closing(Shell()) as shell:
        shell.show("ready>")
        shell.type(f'"{sys.executable}" -c "$PROGRAM"\n')
        assert "similarity" in shell.show("similarity")
        shell.type("\x1a")
        stopped = shell.show("ready>")
        assert LEAVE in stopped
        assert SHOW in stopped
        assert termios.tcgetattr(shell.terminal)[3] & termios.ICANON
        shell.type("bg\n")
        assert "generation" not in shell.show("generation", 3), "a shell is in front"
        shell.type("fg\n")
        assert ENTER in shell.show("generation")
        shell.show("nothing", 1)
        shell.type("q")  # no Enter
        assert "ready>" in shell.show("ready>")
