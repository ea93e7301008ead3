"""What the converting process cannot do, tried in a process that has been shut in."""

import subprocess
import sys
from pathlib import Path

import pytest

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
