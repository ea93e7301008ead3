"""The benchmarks of the messaging layer run; what they measure is for people to judge."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["roundtrip", "--repeats", "1", "--times", "3"], "describe"),
        (
            ["handoff", "--rows", "2", "--side", "32", "--repeats", "1", "--times", "3"],
            "relay / sl",
        ),
        (["sharing", "--seconds", "0.2", "--batch-ms", "2", "--repeats", "1"], "16 rows beside"),
    ],
)
@pytest.mark.usefixtures("shm_folder")
def test_a_benchmark_prints_its_table(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{arguments[0]}", *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert said in done.stdout
