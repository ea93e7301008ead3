"""What can happen to the orchestrator: it stops for a while, holds its lock, starves, is killed."""

import ctypes
import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.settings import RunSettings
from protocol.errors import GlasshouseError
from tests.faults.harness import QUICK, Ground, Ordering, battlefield, ground
from tests.orchestrator.ensemble import digest, grow, resume

__all__ = ["battlefield", "ground"]


def start(settings: RunSettings) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "orchestrator", "run", settings.prompt, "--ui", "quiet"]
    words += ["-p", str(settings.population), "-g", str(settings.generations)]
    for name in ("generator", "clip", "discriminator", "seed", "runs"):
        words += [f"--{name}", str(getattr(settings, name))]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def wait_for_a_generation(process: "subprocess.Popen[str]", folder: Path) -> None:
    until = time.monotonic() + 240
    while not (folder / "events.jsonl").exists() and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_stopped_for_a_while(ground: Ground) -> None:
    """The services answer what it asked, and it does not call them silent."""
    settings = ground.settings()
    process = start(settings)
    wait_for_a_generation(process, settings.runs / "latest")
    process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    process.send_signal(signal.SIGCONT)
    assert process.wait(240) == 0, process.communicate()
    process.communicate()
    assert digest(settings.runs / "latest") == ground.expected


def test_its_interpreter_lock_held(ground: Ground) -> None:
    patience = replace(QUICK, silence_s=6.0, hung_s=120.0)

    def hold() -> None:
        ctypes.PyDLL(None).usleep(int(1e6 * (patience.silence_s + 0.5)))

    assert ground.check(ground.settings(), hold, patience) == []


@pytest.mark.slow
def test_starved_by_other_threads(ground: Ground) -> None:
    """Ten times slower, because others of its threads want the lock all the time."""
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            sum(range(10_000))

    threads = [threading.Thread(target=spin) for _ in range(9)]
    try:
        ground.check(ground.settings(), lambda: [thread.start() for thread in threads])
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_out_of_memory(ground: Ground) -> None:
    """One sentence, nothing half-written; resumed, it goes on as if nothing had happened."""
    settings = ground.settings()

    def allocate() -> None:
        np.empty(1 << 60, np.uint8)

    with pytest.raises(GlasshouseError, match=r"ran out of memory.*orchestrator resume"):
        grow(settings, Ordering(allocate), QUICK)
    (folder,) = (path for path in settings.runs.iterdir() if path.name.startswith("0001"))
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    assert digest(resume(folder)) == ground.expected


@pytest.mark.parametrize("stopped", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_killed(ground: Ground, stopped: bool) -> None:
    """It goes on where it was; stopped for ever before that or not."""
    settings = ground.settings(generations=60)
    process = start(settings)
    folder = settings.runs / "latest"
    wait_for_a_generation(process, folder)
    if stopped:
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
    process.kill()
    process.communicate()
    words = [sys.executable, "-m", "orchestrator", "resume", str(folder), "--ui", "quiet"]
    assert subprocess.run(words, timeout=240, check=False).returncode == 0
    whole = grow(ground.settings(generations=60), patience=QUICK)
    assert digest(folder) == digest(whole)
