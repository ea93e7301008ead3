"""Ctrl-C and its relatives: the first asks the run to finish its generation, the second leaves.

SIGTERM and SIGHUP count as a first Ctrl-C, with their own exit codes. The handler only notes what
happened; the run looks at `stop` between generations. A signal that is ignored already, as nohup
ignores SIGHUP, stays ignored. A second Ctrl-C raises KeyboardInterrupt, on
which services are killed instead of asked.
"""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}

FINISHING = "finishing this generation; Ctrl-C again quits at once"


class StoppedError(Exception):
    """Raised inside a run that was told to stop before it had a generation to finish."""


class Interrupts:
    """Listens to signals while it is entered.

    Args:
        say: tells the user one thing; called in a signal handler.

    Attributes:
        stop: whether the run was told to finish.
        exit_code: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, else 0.
    """

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self._say = say
        self.stop = False
        self.exit_code = 0

    def __enter__(self) -> Self:
        heard = [one for one in EXIT_CODES if signal.getsignal(one) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise StoppedError if the run was told to stop."""
        if self.stop:
            raise StoppedError

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop = True
        self.exit_code = EXIT_CODES[signal.Signals(number)]
        self._say(FINISHING)
