"""Services that stay: `up`, `ps`, runs that share them, `down`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.fleet.lasting import down, living
from orchestrator.fleet.launcher import ServiceSpec
from protocol.registry import registered

Models = dict[str, Path]


@pytest.fixture
def runtime(runtime_folder: Path) -> Iterator[Path]:
    """The runtime folder; services that stay are ended with the test."""
    yield runtime_folder
    down([one for one in registered() if not one.registration.owned], 5)


def orchestrator(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestrator", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done


def ps() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(orchestrator("ps", "--json").stdout)
    return found


def test_two_runs_share_services_that_stay(
    runtime: Path, tmp_path: Path, tiny_models: Models
) -> None:
    clip, generator = (f"--{role}={tiny_models[role]}" for role in ("clip", "generator"))
    said = orchestrator("up", clip, generator, "--threads", 1)
    assert said.stdout.count(" is up: ") == 2
    assert said.stderr.count(" is starting") == 2
    assert orchestrator("up", clip).stdout.count("is up already") == 1
    before = {one["role"]: one for one in ps()}
    assert set(before) == {"clip", "generator"}
    assert {one["state"] for one in before.values()} == {"ready"}
    assert all(one["stays"] and one["rows"] == 0 for one in before.values())

    words = ["run", "a yellow car", clip, generator, "--discriminator=none", "-p", 6, "-g", 3]
    words += ["--runs", tmp_path / "runs", "--ui", "plain", "--no-baseline"]
    for _ in range(2):
        ready = [line for line in orchestrator(*words).stderr.splitlines() if " is ready " in line]
        assert len(ready) == 2
        assert all("(shared)" in line for line in ready)
    logs = tmp_path / "runs" / "latest" / "logs"
    assert not logs.exists() or list(logs.iterdir()) == []
    after = {one["role"]: one for one in ps()}
    assert after["generator"]["rows"] == 36
    table = orchestrator("ps").stdout
    assert "clip.safetensors" in table
    assert str(after["clip"]["name"])[: len("clip-1234")] in table
    assert str(after["clip"]["endpoint"]) in table
    assert all(one["rows_per_s"] == 0 for one in after.values())

    assert "(shared)" not in orchestrator(*words, "--own").stderr
    assert {one["role"]: one["rows"] for one in ps()}["generator"] == 36

    assert "ready" in orchestrator("services", "ping", "clip").stdout
    (pinged,) = json.loads(orchestrator("services", "ping", "clip", "--json").stdout)
    assert pinged["name"] == after["clip"]["name"]
    assert "READY model=" in orchestrator("services", "logs", "clip").stdout
    assert "is down" in orchestrator("services", "drain", "clip").stdout
    assert [one["role"] for one in ps()] == ["generator"]
    assert "is down" in orchestrator("down").stdout
    assert list(runtime.iterdir()) == []
    assert "no service lives" in orchestrator("ps").stdout
    assert "no service was up" in orchestrator("down").stdout


@pytest.mark.usefixtures("runtime")
def test_models_that_were_told_different_things_are_never_mixed(
    tmp_path: Path, tiny_models: Models
) -> None:
    plain = f"--clip={tiny_models['clip']}"
    for clip in (plain, f"{plain},augment=2,precision=bf16"):
        assert orchestrator("up", clip, "--threads", 1).stdout.count(" is up: ") == 1
    words = ["run", "a yellow car", f"--generator={tiny_models['generator']}"]
    words += ["--discriminator=none", "-p", 6, "-g", 2, "--seed", 1, "--ui", "plain"]
    words += ["--runs", tmp_path / "runs"]
    told = orchestrator(*words, f"{plain},precision=bf16,augment=2").stderr.splitlines()
    assert sum(" is ready " in line and "(shared)" in line for line in told) == 1
    rows = {str(one["model"]): one["rows"] for one in ps()}
    model = str(tiny_models["clip"])
    assert rows[model] == 0 != rows[f"{model},augment=2,precision=bf16"]
    folder = tmp_path / "runs" / "latest"
    recorded = json.loads((folder / "run.json").read_text())
    assert recorded["settings"]["clip"] == f"{model},augment=2,precision=bf16"
    refused = orchestrator("resume", folder, "-g", 4, plain, code=6).stderr
    assert "grown with another version of the clip" in refused


def test_a_service_that_stays_survives_its_terminal_and_what_is_killed_is_swept(
    runtime: Path, tiny_models: Models
) -> None:
    model = tiny_models["clip"]
    orchestrator("up", f"--clip={model}", "--replicas", 2)
    spec = ServiceSpec("clip", str(model))
    first, second = living(spec)
    pids = [one.pid() for one in (first, second)]
    assert all(pid is not None and os.getsid(pid) == pid for pid in pids)
    assert living(ServiceSpec("clip", str(model), "cuda")) == []
    assert living(ServiceSpec("generator", str(model))) == []
    model.touch()  # new weights: what the services hold is not what the file holds
    assert living(spec) == []
    os.utime(model, (1, 1))
    psutil.Process(pids[0]).kill()
    until = time.monotonic() + 5
    while living(spec) != [second] and time.monotonic() < until:
        time.sleep(0.05)
    assert [one["name"] for one in ps()] == [second.name]
    psutil.Process(pids[1]).send_signal(signal.SIGSTOP)
    assert [one["state"] for one in ps()] == ["hung"]
    assert "was killed, because" in orchestrator("down", "--timeout", 0.5).stdout
    assert list(runtime.iterdir()) == []


def test_when_one_cannot_start_none_is_left(runtime: Path, tiny_models: Models) -> None:
    words = ["up", f"--clip={tiny_models['clip']}", "--generator=mini-cat"]
    assert "no generator model 'mini-cat'" in orchestrator(*words, code=2).stderr
    assert registered() == []
    assert [path.suffix for path in runtime.iterdir()] == [".log"]
    orchestrator("down")
    assert list(runtime.iterdir()) == []
    assert "no service is called 'clip'" in orchestrator("down", "clip", code=2).stderr


@pytest.mark.usefixtures("runtime")
def test_a_silent_service_is_not_waited_for(tmp_path: Path, tiny_models: Models) -> None:
    clip = f"--clip={tiny_models['clip']}"
    orchestrator("up", clip)
    (one,) = registered()
    pid = one.pid()
    psutil.Process(pid).suspend()
    words = ["run", "a yellow car", clip, f"--generator={tiny_models['generator']}"]
    words += ["--discriminator=none", "-p", 6, "-g", 1, "--ui", "plain"]
    said = orchestrator(*words, "--runs", tmp_path / "runs").stderr.splitlines()
    ready = [line for line in said if line.startswith("service clip") and " is ready " in line]
    assert len(ready) == 1
    assert "(shared)" not in ready[0]
    psutil.Process(pid).resume()
