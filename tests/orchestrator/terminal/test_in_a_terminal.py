"""The display as its user has it: real runs on a pseudo-terminal, keys pressed, screens read."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.fleet.lasting import down
from orchestrator.verify import verify_run
from protocol.registry import Registered, registered
from tests import tiny
from tests.orchestrator.terminal.pseudo import Terminal

pytestmark = pytest.mark.timeout(900)  # its own deadlines come first, and show the screen

Models = dict[str, Path]


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    """Services that stay for two generators of one latent space and a clip, and where they are."""
    base = Path(tempfile.mkdtemp(prefix="gh-"))
    (base / "shm").mkdir()
    found = {
        "generator": tiny.save_generator(base / "one.safetensors"),
        "other": tiny.save_generator(base / "two.safetensors", seed=9),
        "clip": tiny.save_clip(base / "clip.safetensors"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(base))
        patch.setenv("GLASSHOUSE_SHM", str(base / "shm"))
        words = [f"--generator={found['generator']}", f"--generator={found['other']}"]
        orchestrator("up", *words, f"--clip={found['clip']}", "--threads", 1)
        yield found
        down(registered(), 5)
    shutil.rmtree(base)


def orchestrator(*words: object) -> str:
    command = [sys.executable, "-m", "orchestrator", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def growing(models: Models, runs: Path, *more: object) -> list[object]:
    """A run that nobody waits for to end by itself."""
    return [
        *("run", "a yellow car", f"--generator={models['generator']}", f"--clip={models['clip']}"),
        *("--discriminator=none", "--population", 6, "--generations", 1_000_000),
        *("--runs", runs, *more),
    ]


def generation(text: str) -> int:
    """The number on the screen."""
    found = re.search(r"generation (\d+)/1000000", text)
    return int(found[1]) if found else 0


def drawn(terminal: Terminal) -> int:
    """The number on the screen, waited for: a frame that is read may be half drawn."""
    return generation(terminal.until(lambda text: generation(text) > 0, "wanted a generation"))


def still(terminal: Terminal) -> None:
    """Wait until the number stands still for two seconds: what was on its way has arrived."""
    seen, since = drawn(terminal), time.monotonic()

    def rests(text: str) -> bool:
        nonlocal seen, since
        if generation(text) not in (0, seen):
            seen, since = generation(text), time.monotonic()
        return time.monotonic() - since > 2

    terminal.until(rests, "wanted it to stand still")


def living(role: str, model: Path) -> Registered:
    (one,) = [
        one
        for one in registered()
        if (one.registration.role, one.registration.model) == (role, str(model))
    ]
    return one


def status(runs: Path) -> tuple[str, int]:
    told = json.loads((runs / "latest" / "run.json").read_text())
    return told["status"], told["exit_code"]


def test_pause_favourite_ban_and_finish(models: Models, tmp_path: Path) -> None:
    with Terminal(*growing(models, tmp_path)) as terminal:
        terminal.until(lambda text: generation(text) > 1)
        terminal.press("?")
        terminal.wait("this help")
        terminal.press("?")
        terminal.press("p")
        terminal.wait("paused: p goes on", "best of generation")
        paused = drawn(terminal)
        terminal.press("1")
        terminal.wait("favourite-", "bred from as from the best", "♥")
        terminal.press("x")
        terminal.wait("ban which picture? 1 - 6")
        terminal.press("4")
        terminal.wait("banned: nothing more is bred from it", "✗")
        assert drawn(terminal) == paused
        terminal.press("p")
        terminal.until(lambda text: generation(text) > paused, "wanted it to go on")
        terminal.press("q")
        assert terminal.end() == 0
        terminal.wait("best picture", "run folder")
        assert terminal.is_given_back()
    assert status(tmp_path) == ("stopped", 0)
    assert len(list((tmp_path / "latest").glob("favourite-*.png"))) == 1
    assert "bit for bit" in verify_run(tmp_path / "latest").sentence()


def test_the_generator_is_swapped_by_keys(models: Models, tmp_path: Path) -> None:
    with Terminal(*growing(models, tmp_path)) as terminal:
        terminal.until(lambda text: generation(text) > 1)
        terminal.press("g")
        menu = terminal.wait("swap to which generator?", "two.safetensors")
        line = next(line for line in menu.splitlines() if "two.safetensors" in line)
        terminal.press(re.findall(r"\d", line)[0])
        terminal.wait("generator swapped for", "two.safetensors after generation", "▲")
        swapped = drawn(terminal)
        terminal.until(lambda text: generation(text) > swapped, "wanted it to go on")
        terminal.press("q")
        assert terminal.end() == 0
    assert "two.safetensors" in orchestrator("show", tmp_path / "latest")


def test_ctrl_c_finishes_and_saves(models: Models, tmp_path: Path) -> None:
    with Terminal(*growing(models, tmp_path)) as terminal:
        terminal.until(lambda text: generation(text) > 1)
        terminal.press("\x03")
        assert terminal.end() == 130
        terminal.wait("best picture", "run folder")
        assert terminal.is_given_back()
    assert status(tmp_path) == ("stopped", 130)
    assert (tmp_path / "latest" / "best.png").exists()


def test_ctrl_c_twice_quits_at_once(models: Models, tmp_path: Path) -> None:
    generator = psutil.Process(living("generator", models["generator"]).pid())
    with Terminal(*growing(models, tmp_path)) as terminal:
        terminal.until(lambda text: generation(text) > 1)
        generator.suspend()  # so that no generation ends
        try:
            still(terminal)
            terminal.press("\x03")
            terminal.wait("Ctrl-C again quits at once")
            terminal.press("\x03")
            assert terminal.end() == 130
            assert terminal.is_given_back()
        finally:
            generator.resume()
    assert status(tmp_path) == ("stopped", 130)


def test_the_window_is_resized(models: Models, tmp_path: Path) -> None:
    def fills(text: str) -> bool:
        lines = text.splitlines()
        return lines[0].startswith("Glasshouse") and "? help" in lines[-1]

    with Terminal(*growing(models, tmp_path), columns=120, rows=40) as terminal:
        terminal.until(lambda text: generation(text) > 1 and fills(text))
        for columns, rows in ((80, 24), (60, 16), (140, 50), (24, 8), (120, 40)):
            terminal.resize(columns, rows)
            terminal.press("?")  # drawn anew, with or without the help
            if columns < 60:
                terminal.until(lambda text: text.startswith("Glasshouse"))
                continue
            shown = drawn(terminal)
            terminal.until(lambda text, shown=shown: fills(text) and generation(text) > shown)  # type: ignore[misc] # of this round
            assert len(terminal.lines) == rows
        terminal.press("q")
        assert terminal.end() == 0


def test_two_terminals_share_one_clip(models: Models, tmp_path: Path) -> None:
    names = {"0001-a-yellow-car", "0002-a-yellow-car"}
    with (
        Terminal(*growing(models, tmp_path)) as one,
        Terminal(*growing(models, tmp_path, "--algorithm", "de")) as two,
    ):
        for terminal in (one, two):
            terminal.until(lambda text: generation(text) > 1 and "shared" in text)
            terminal.press("p")
            terminal.wait("paused: p goes on")
        seen = json.loads(orchestrator("ps", "--json"))
        clips = [one for one in seen if one["role"] == "clip"]
        assert [set(clip["searches"]) for clip in clips] == [names]
        assert "0001-a-yellow-car, 0002-a-yellow-car" in orchestrator("ps")
        for terminal in (one, two):
            terminal.press("q")
            assert terminal.end() == 0


def test_a_service_is_killed_while_it_is_drawn(models: Models, tmp_path: Path) -> None:
    pid = living("clip", models["clip"]).pid()
    assert pid is not None
    with Terminal(*growing(models, tmp_path)) as terminal:
        terminal.until(lambda text: generation(text) > 1)
        os.kill(pid, signal.SIGKILL)
        terminal.wait("the clip at ipc://")  # what became of it, among the last log lines
        shown = drawn(terminal)
        terminal.until(lambda text: generation(text) > shown + 1, "wanted it to go on")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.is_given_back()
    assert "bit for bit" in verify_run(tmp_path / "latest").sentence()
