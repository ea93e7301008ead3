"""A keyboard on a real pseudo-terminal, in a process that owns it."""

import os
import pty
import select
import sys
import termios
import time

PROGRAM = """
import signal, sys, time
from orchestrator.terminal.keyboard import open_keyboard
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
keyboard = open_keyboard()
keyboard.start(lambda key: print(f"<{key!r}>", flush=True))
print("listening", flush=True)
time.sleep(float(sys.argv[1]))
keyboard.stop()
keyboard.stop()
print("stopped", flush=True)
"""


def test_keys_arrive_one_by_one_and_the_terminal_gets_its_settings_back() -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, "2"])
    before = termios.tcgetattr(terminal)
    assert "listening" in read_until(terminal, "listening")
    os.write(terminal, b"pq")
    said = read_until(terminal, "<'q'>")
    assert "<'p'>" in said
    assert not termios.tcgetattr(terminal)[3] & termios.ICANON
    os.write(terminal, b"\x1b[A")
    assert "<'\\x1b[A'>" in read_until(terminal, "[A'>")
    read_until(terminal, "stopped")
    assert termios.tcgetattr(terminal)[3] == before[3]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)


def test_ctrl_c_stays_a_signal() -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, "60"])
    read_until(terminal, "listening")
    os.write(terminal, b"\x03")
    assert "KeyboardInterrupt" in read_until(terminal, "KeyboardInterrupt")
    os.waitpid(child, 0)
    os.close(terminal)


def read_until(terminal: int, wanted: str) -> str:
    """What the terminal showed until `wanted` came."""
    found, deadline = "", time.monotonic() + 30
    while wanted not in found:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"no {wanted!r} in {found!r}"
        try:
            found += os.read(terminal, 4096).decode()
        except OSError:  # the other side has closed
            break
    return found
