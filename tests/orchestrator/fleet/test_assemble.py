"""Services share the cores that this process may use, and never ask for more."""

import subprocess
import sys

import joblib
import pytest

from orchestrator.fleet.assemble import share_of_cores

CONFINED = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from orchestrator.fleet.assemble import share_of_cores
print(share_of_cores(1))
"""


@pytest.mark.parametrize(("services", "threads"), [(0, 16), (1, 16), (3, 5), (16, 1), (40, 1)])
def test_cores_are_shared_fairly(
    monkeypatch: pytest.MonkeyPatch, services: int, threads: int
) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 16)
    assert share_of_cores(services) == threads


def test_a_job_that_is_confined_to_one_core_asks_for_one_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "1\n"
