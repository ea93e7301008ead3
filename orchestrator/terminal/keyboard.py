"""Single keys from the user's terminal, while a display has it.

A thread of its own reads them, so that nobody waits for a key. Ctrl-C stays a signal. The terminal
gets its settings back at `stop`, and at the end of the program where that is forgotten; while a
shell has the program stopped, `lend` gives them back and `take` takes them again. A process
in the background leaves the terminal alone: it would be stopped for touching it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import termios
import threading
import tty
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S = 0.1
ESCAPE = "\x1b"


class Keyboard:
    """Reads keys from a terminal.

    Args:
        descriptor: of the terminal's file, usually 0.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._before: Any = None  # what termios gives and takes

    def start(self, on_key: Callable[[str], None]) -> None:
        """Call `on_key` in a thread of this object's for every key, until `stop`."""
        if self._thread is None and self._in_foreground():
            with contextlib.suppress(termios.error, OSError):
                self._before = termios.tcgetattr(self._descriptor)
                self.take()
                atexit.register(self.stop)
                arguments = (on_key,)
                self._thread = threading.Thread(
                    target=self._loop, args=arguments, name="keyboard", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Give the terminal its settings back; a second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        atexit.unregister(self.stop)
        self._stopping.set()
        thread.join(10 * LOOK_S)
        self.lend()

    def lend(self) -> None:
        """Give the terminal the settings that it had before."""
        if self._before is not None and self._in_foreground():
            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def take(self) -> None:
        """Have keys one by one, and none of them shown."""
        if self._before is not None and self._in_foreground():
            with contextlib.suppress(termios.error, OSError):
                tty.setcbreak(self._descriptor, termios.TCSANOW)

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False

    def _loop(self, on_key: Callable[[str], None]) -> None:
        while not self._stopping.is_set():
            ready, _, _ = select.select([self._descriptor], [], [], LOOK_S)
            if not ready or not self._in_foreground():
                self._stopping.wait(0 if not ready else LOOK_S)
                continue
            try:
                typed = os.read(self._descriptor, 64).decode(errors="ignore")
            except OSError:
                return
            if not typed:  # the terminal has gone
                return
            for key in [typed] if typed.startswith(ESCAPE) else typed:  # arrows come as one
                on_key(key)


def open_keyboard() -> Keyboard | None:
    """The keyboard of this process's terminal; None where its input is no terminal."""
    return Keyboard(0) if os.isatty(0) else None
