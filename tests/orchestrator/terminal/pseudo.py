"""A terminal of our own: a program on a pseudo-terminal, and the screen that its user would see."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

import pyte

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 300.0
"""Nothing here takes so long, even on a machine that does ten other things."""
LOGIN = (
    "import os, sys; os.login_tty(0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'orchestrator', *sys.argv[1:]])"
)


class Terminal:
    """`orchestrator WORDS` in the foreground of a terminal of its own; used with `with`.

    Args:
        words: of the command.
        columns: width in cells.
        rows: height in cells.
    """

    def __init__(self, *words: object, columns: int = 110, rows: int = 32) -> None:
        self._master, slave = pty.openpty()
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        termios.tcsetwinsize(slave, (rows, columns))
        self.modes = termios.tcgetattr(slave)
        environ = {**os.environ, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            environ.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, *map(str, words)],
            stdin=slave, stdout=slave, stderr=slave, env=environ, close_fds=True,
        )  # fmt: skip
        self._slave = slave  # open, so that its modes can be read when the program has ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._slave)
        os.close(self._master)

    @property
    def text(self) -> str:
        """What is on the screen, line by line."""
        return "\n".join(self._screen.display)

    @property
    def lines(self) -> list[str]:
        return list(self._screen.display)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Drag the window to another size; the kernel tells the program."""
        self._read(0.0)
        self._screen.resize(rows, columns)
        termios.tcsetwinsize(self._master, (rows, columns))

    def wait(self, *words: str) -> str:
        """Wait until all `words` are on the screen; returns it."""
        return self.until(lambda text: all(word in text for word in words), f"wanted {words}")

    def until(self, seen: Callable[[str], bool], why: str = "") -> str:
        """Wait until the screen is as wanted; returns it."""
        deadline = time.monotonic() + DEADLINE_S
        while not seen(self.text):
            assert time.monotonic() < deadline, f"{why}:\n{self.text}"
            assert self._read(0.5), (
                f"the program ended ({self._process.wait()}). {why}:\n{self.text}"
            )
        return self.text

    def end(self) -> int:
        """Wait until the program has ended, reading what it still says; its exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self._process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
            self._read(0.2)
        while self._ready(0.2):
            self._take()
        return self._process.returncode

    def is_given_back(self) -> bool:
        """Whether the terminal has the modes that it had before."""
        return termios.tcgetattr(self._slave) == self.modes

    def _read(self, timeout_s: float) -> bool:
        """Show what comes within a while; False when the program has ended."""
        if self._ready(timeout_s):
            self._take()
            return True
        return self._process.poll() is None

    def _ready(self, timeout_s: float) -> bool:
        return bool(select.select([self._master], [], [], timeout_s)[0])

    def _take(self) -> None:
        self._stream.feed(os.read(self._master, 65536))
