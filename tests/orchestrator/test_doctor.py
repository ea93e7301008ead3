"""What the doctor finds, on this machine and on machines that lack something."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import doctor


@pytest.mark.usefixtures("runtime_folder")
def test_a_healthy_machine_is_found_healthy(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orchestrator", "doctor", "--json", "--runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    found = json.loads(done.stdout)
    assert {one["name"] for one in found} >= {"torch", "models", "memory", "runs", "sockets"}
    bad = [one for one in found if one["verdict"] == "bad"]
    assert done.returncode == (3 if bad else 0)
    assert not [one for one in bad if one["name"] != "memory"], bad


def test_a_disk_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    (finding,) = doctor.disk(Path("/proc/runs"))
    assert finding.verdict == "bad"
    assert "--runs" in finding.mend


def test_a_file_where_runs_should_go_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    (finding,) = doctor.disk(tmp_path / "runs" / "more")
    assert finding.verdict == "bad"
    assert finding.found == f"{tmp_path / 'runs'} is no folder"


def test_a_small_shared_memory_is_a_limit_and_no_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GLASSHOUSE_SHM", str(tmp_path))
    monkeypatch.setattr(doctor, "LEAST_SHM_MIB", 1e9)
    (finding,) = doctor.shared_memory()
    assert finding.verdict == "note"
    assert str(tmp_path) in finding.found


def test_open_sockets_are_a_fault_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "glasshouse").mkdir(mode=0o755)
    (tmp_path / "glasshouse").chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = doctor.examine(tmp_path, {"TERM": "dumb"})
    sockets = next(one for one in found if one.name == "sockets")
    assert sockets.verdict == "bad"
    assert "0700" in sockets.found


def test_a_broken_torch_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ASK_TORCH", "raise ImportError('no torch here')")
    (finding,) = doctor.torch()
    assert finding.verdict == "bad"
    assert "no torch here" in finding.found
