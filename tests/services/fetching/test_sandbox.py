"""What the converting process cannot do, tried in a process that has been shut in."""

import subprocess
import sys
from pathlib import Path

import pytest

from protocol.errors import BadRequestError
from services.fetching.sandbox import STAGING, Known, convert, sweep

ROOT = Path(__file__).parents[3]
START = """
import sys, pathlib
sys.path.insert(0, {root!r})
from services.fetching.sandbox import shut_in
shut_in(pathlib.Path({folder!r}), 0)
"""


def shut_in(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    start = START.format(root=str(ROOT), folder=str(folder))
    return subprocess.run(
        [sys.executable, "-c", start + script],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_it_writes_to_its_folder(tmp_path: Path) -> None:
    done = shut_in(tmp_path, f"pathlib.Path({str(tmp_path)!r}, 'a').write_text('x')")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("pathlib.Path({outside!r}).write_text('x')", "PermissionError"),
        ("pathlib.Path({outside!r}).mkdir()", "PermissionError"),
        ("import subprocess; subprocess.run(['/bin/true'])", "PermissionError"),
        (
            "import socket; socket.create_connection(('127.0.0.1', {port}), 5)",
            "Network is unreachable",
        ),
        ("bytearray(1 << 37)", "MemoryError"),
    ],
    ids=["write", "make", "start", "connect", "memory"],
)
def test_it_can_do_nothing_else(tmp_path: Path, script: str, error: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    done = shut_in(inside, script.format(outside=str(tmp_path / "outside"), port=9))
    if "create_connection" in script and "Connection refused" in done.stderr:
        pytest.skip("this machine lets nobody make a network namespace")
    assert error in done.stderr
    assert not (tmp_path / "outside").exists()


def test_it_cuts_no_file_off(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.write_text("words")
    done = shut_in(inside, f"import os; os.truncate({str(outside)!r}, 0)")
    if not done.returncode:
        pytest.skip("this kernel's Landlock knows no truncation")
    assert "PermissionError" in done.stderr
    assert outside.read_text() == "words"


CONVERT = """
import sys, pathlib
sys.path.insert(0, {root!r})
from services.fetching import sandbox
sandbox._run = lambda *_: (print("busy", flush=True), sys.stdin.read())
sandbox.convert(pathlib.Path(__import__("os").__file__), pathlib.Path({folder!r}), "x", None, print)
"""


def test_what_a_killed_conversion_leaves_goes_and_what_a_living_one_has_stays(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CONVERT.format(root=str(ROOT), folder=str(tmp_path))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        sweep(tmp_path)
        assert [path.name[: len(STAGING)] for path in tmp_path.iterdir()] == [STAGING]
        process.kill()
        process.wait(120)
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """The middle process shuts its child in, and is killed while that sleeps."""
    child = START.format(root=str(ROOT), folder=str(tmp_path))
    child += "print('in', flush=True); import time; time.sleep(600)"
    middle = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", middle], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        process.kill()
        assert process.stdout.read() == b""  # its end of the pipe is closed, too


@pytest.mark.parametrize("name", ["", "a/b", "a,b", ".a", "a.safetensors"])
def test_what_cannot_name_a_model_is_refused_before_anything_is_done(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadRequestError, match="cannot name a model"):
        convert(tmp_path / "none.pkl", tmp_path / "models", name, Known(), print)
    assert not (tmp_path / "models").exists()
