"""The ensemble as containers, with a real engine: it grows, it swaps, and it outlives a kill.

`make containers` runs this; it needs a Docker engine with the compose plugin, and builds the image.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
UID = os.getuid() or 10001
BUILD_S, START_S, RUN_S = 1800.0, 300.0, 600.0
pytestmark = [pytest.mark.containers, pytest.mark.timeout(3600)]

Compose = Callable[..., str]


def docker(*words: str, within_s: float = 60.0) -> str:
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, timeout=within_s, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the containers see as ./runs, writable for their user."""
    folder = tmp_path_factory.mktemp("runs")
    os.chown(folder, UID, -1)
    for above in (folder.parent, folder.parent.parent):
        above.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def compose(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """`docker compose` for a project of the test's own, built and up."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not on this machine")
    for words in (["docker", "version"], ["docker", "compose", "version"]):
        if subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip(f"`{' '.join(words)}` fails: an engine with the compose plugin is needed")
    own = tmp_path_factory.mktemp("compose") / "own.yaml"
    own.write_text(f"services: {{orchestrator: {{volumes: ['{runs}:/work/runs']}}}}\n")
    project = f"glasshouse-test-{os.getpid()}"
    files = ("-f", str(ROOT / "compose.yaml"), "-f", str(own))

    def run(*words: str, within_s: float = START_S) -> str:
        return docker("compose", "-p", project, *files, *words, within_s=within_s)

    os.environ["GLASSHOUSE_UID"] = str(UID)
    try:
        run("build", within_s=BUILD_S)
        run("up", "--detach", "--wait")
        yield run
    finally:
        del os.environ["GLASSHOUSE_UID"]
        run("--profile", "job", "down", "--volumes", "--remove-orphans")


def generations(runs: Path) -> int:
    """How many generations the latest run has told of."""
    events = runs / "latest" / "events.jsonl"
    return events.read_text().count('{"event":"generation"') if events.exists() else 0


def wait_for(what: Callable[[], bool], why: str, within_s: float = RUN_S) -> None:
    ends = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < ends, f"{why} not within {within_s:.0f} s"
        time.sleep(0.5)


def kill_inside(container: str, word: str) -> None:
    """SIGKILL the container's process whose command line has `word`, as a crash would."""
    for line in docker("top", container, "-eo", "pid,args").splitlines()[1:]:
        pid, args = line.split(None, 1)
        if word in args and "docker-init" not in args:
            psutil.Process(int(pid)).kill()
            return
    raise AssertionError(f"no {word} in {container}")


def test_a_picture_grows_in_containers(compose: Compose, runs: Path) -> None:
    compose("run", "--rm", "-T", "orchestrator", "run", "a yellow car in the city",
            "--generations", "4", "--ui", "plain", within_s=RUN_S)  # fmt: skip
    picture = Image.open(runs / "latest" / "best.png")
    assert picture.size == (64, 64)
    assert "a yellow car in the city" in str(picture.text)  # type: ignore[attr-defined] # a PNG has it
    assert json.loads((runs / "latest" / "run.json").read_text())["status"] == "done"


def test_a_run_swaps_its_generator_and_outlives_a_killed_container(
    compose: Compose, runs: Path
) -> None:
    first = (runs / "latest").resolve()
    growing = compose("run", "--detach", "orchestrator", "run", "a blue car at night",
                      "--generations", "60", "--ui", "plain").split()[-1]  # fmt: skip
    wait_for(lambda: (runs / "latest").resolve() != first and generations(runs) > 1, "the run")

    other = compose("run", "--detach", "-e", "MODEL=mini-church", "generator").split()[-1]
    endpoint = f"ipc:///run/bus/glasshouse/generator-{other[:12]}.sock"
    wait_for(lambda: "READY" in docker("logs", other), "the other generator", START_S)
    compose("run", "--rm", "-T", "orchestrator", "swap", "runs/latest", "generator", endpoint)
    swapped = generations(runs)
    wait_for(lambda: generations(runs) > swapped, "a generation after the swap")

    kill_inside(compose("ps", "--quiet", "clip").split()[-1], "service clip")
    killed = generations(runs)
    wait_for(lambda: generations(runs) > killed + 1, "generations after the kill")

    docker("wait", growing, within_s=RUN_S)
    run = json.loads((runs / "latest" / "run.json").read_text())
    assert run["status"] == "done", docker("logs", growing)
    assert generations(runs) == 60


def test_what_the_containers_may_do_is_little(compose: Compose) -> None:
    """Read-only, no capabilities, no network, not root: every service of the file."""
    said = compose("--profile", "job", "config", "--format", "json")
    services = json.loads(said)["services"]
    assert set(services) == {"generator", "clip", "discriminator", "orchestrator"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["network_mode"] == "none"
        assert service["user"] == f"{UID}:{UID}"
