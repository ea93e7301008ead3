"""Signals that somebody else had ignored stay ignored."""

import os
import signal

from orchestrator.interrupts import Interrupts


def test_nohup_is_heeded_and_other_signals_are_heard() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupts.stop
            os.kill(os.getpid(), signal.SIGTERM)
            assert interrupts.stop
            assert interrupts.exit_code == 143
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
