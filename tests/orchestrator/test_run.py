"""`orchestrator run` as its user types it: real processes, real models, real signals."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from orchestrator.runs.pictures import read_recipe

Models = dict[str, Path]
Start = Callable[..., "subprocess.Popen[str]"]
PROMPT = "a yellow car"


@pytest.fixture
def start(runtime_folder: Path, tmp_path: Path, tiny_models: Models) -> Iterator[Start]:
    """Starts `orchestrator run`, with tiny models unless told otherwise."""
    del runtime_folder  # its checks run after this
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, prompt: str = PROMPT, **changes: object) -> "subprocess.Popen[str]":
        models = [f"--{role}={path}" for role, path in tiny_models.items()]
        command = [sys.executable, "-m", "orchestrator", "run", prompt, *models]
        command += ["-p", "6", "--seed", "1", "--ui", "plain", "--runs", str(tmp_path / "runs")]
        process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **changes,  # type: ignore[call-overload] # what Popen takes
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def finish(process: "subprocess.Popen[str]", timeout_s: float = 240) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=timeout_s)
    assert "Traceback" not in err
    return process.returncode, out, err


def wait_for(process: "subprocess.Popen[str]", pattern: str) -> str:
    """Read stderr until a line matches."""
    assert process.stderr is not None
    for line in process.stderr:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"it ended without a line like {pattern}")


def events(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def status(folder: Path) -> tuple[str, int]:
    run = json.loads((folder / "run.json").read_text())
    return run["status"], run["exit_code"]


def test_a_run_keeps_its_pictures_and_its_recipe(start: Start, tmp_path: Path) -> None:
    code, out, _ = finish(start("-g", "3", "--save-every", "2"))
    assert code == 0
    folder = tmp_path / "runs" / "0001-a-yellow-car"
    assert str(folder / "best.png") in out
    assert status(folder) == ("done", 0)
    found = events(folder)
    assert [event["generation"] for event in found] == [1, 2, 3]
    assert [event["evaluations"] for event in found] == [6, 12, 18]
    best = [float(str(event["best"])) for event in found]
    assert best == sorted(best)  # the GA keeps its best
    names = sorted(path.name for path in (folder / "grids").iterdir())
    assert names == ["000001.webp", "000002.webp", "000003.webp"]
    recipe = read_recipe(folder / "best.png")
    assert recipe["prompt"] == PROMPT
    assert recipe["similarity"] == pytest.approx(best[-1])
    assert {model["role"] for model in recipe["models"]} == {"generator", "clip", "discriminator"}
    assert "--seed 1" in recipe["command"]
    with np.load(folder / "populations" / "000003.npz") as saved:
        assert saved["genomes"].shape == (6, 8)
    with Image.open(folder / "best.png") as image:
        assert image.size == (16, 16)


def test_the_same_seed_grows_the_same_picture(start: Start, tmp_path: Path) -> None:
    for process in [start("-g", "2"), start("-g", "2"), start("-g", "2", "--seed", "2")]:
        assert finish(process)[0] == 0
    folders = sorted((tmp_path / "runs").glob("0*"))
    recipes = [read_recipe(folder / "best.png") for folder in folders]
    by_seed: dict[int, list[list[float]]] = {}
    for recipe in recipes:
        by_seed.setdefault(recipe["seed"], []).append(recipe["genome"])
    assert by_seed[1][0] == by_seed[1][1]
    assert by_seed[1][0] != by_seed[2][0]


def test_two_objectives_keep_the_front(start: Start, tmp_path: Path) -> None:
    assert finish(start("-g", "2", "-p", "8", "--algorithm", "nsga2"))[0] == 0
    folder = tmp_path / "runs" / "0001-a-yellow-car"
    knee, match, real = (
        read_recipe(folder / f"front-{name}.png") for name in ("knee", "best-match", "most-real")
    )
    assert match["similarity"] >= knee["similarity"] >= real["similarity"]
    assert real["realism"] >= knee["realism"] >= match["realism"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--generator", "mini-cat"], 2, "no generator model 'mini-cat'; generator models: mini-"),
        (["--generator", "ipc:///tmp/nobody.sock"], 4, "nobody answered"),
        (["--clip", "tcp://nowhere"], 3, "is no endpoint"),
        (["--algorithm", "gga"], 3, "ga"),
        (["--set", "sigmma=1"], 3, "sigma"),
        (["--set", "sigma"], 3, "NAME=VALUE"),
        (["--space", "w+"], 2, "no latent space 'w+'; it has z, w"),
        (["--device", "cuda:7"], 2, "no device 'cuda:7' here; devices: cpu"),
        (["--algorithm", "nsga2", "--discriminator", "none"], 3, "needs a discriminator"),
        (["--discriminator", "mini-car-discriminator"], 2, "discriminator wants 64x64"),
        (["--ui", "holographic"], 3, "--ui is one of"),
        (["-p", "0"], 2, "Invalid value"),
    ],
)
def test_mistakes_end_in_one_sentence(
    start: Start, arguments: list[str], code: int, sentence: str
) -> None:
    found, _, err = finish(start("-g", "1", *arguments))
    assert found == code
    assert sentence in err


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 2000])
def test_prompts_that_cannot_be_grown(start: Start, tmp_path: Path, prompt: str) -> None:
    code, _, err = finish(start(prompt=prompt))
    assert code == 2
    assert "prompt" in err
    assert not (tmp_path / "runs").exists()


def test_a_run_folder_that_cannot_be_made(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = finish(start("--runs", str(tmp_path / "file" / "runs")))
    assert code == 7
    assert str(tmp_path / "file") in err


def test_a_full_disk(start: Start, tmp_path: Path) -> None:
    """The first file over 4 kB cannot be written."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    code, _, err = finish(start("-g", "40", "-p", "32", preexec_fn=limit))
    assert code == 7
    assert str(tmp_path / "runs") in err


def test_the_first_interrupt_finishes_the_generation(start: Start, tmp_path: Path) -> None:
    process = start("-g", "100000")
    wait_for(process, "generation 2/")
    process.send_signal(signal.SIGINT)
    code, out, _ = finish(process)
    assert code == 130
    folder = tmp_path / "runs" / "0001-a-yellow-car"
    assert "best.png" in out
    assert status(folder) == ("stopped", 130)
    last = int(str(events(folder)[-1]["generation"]))
    assert (folder / "populations" / f"{last:06d}.npz").exists()


def test_sigterm_saves_too(start: Start, tmp_path: Path) -> None:
    process = start("-g", "100000")
    wait_for(process, "generation 1/")
    process.terminate()
    assert finish(process)[0] == 143
    assert (tmp_path / "runs" / "0001-a-yellow-car" / "best.png").exists()


def test_an_interrupt_while_services_start(start: Start, tmp_path: Path) -> None:
    process = start("-g", "5")
    wait_for(process, "is starting")
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    code, out, _ = finish(process)
    assert code == 130
    assert time.monotonic() - started < 15
    assert "nothing was grown" in out
    assert status(tmp_path / "runs" / "0001-a-yellow-car") == ("stopped", 130)


def test_the_second_interrupt_quits_at_once(start: Start, tmp_path: Path) -> None:
    process = start("-g", "100000")
    wait_for(process, "generation 1/")
    for child in psutil.Process(process.pid).children():
        child.suspend()  # a generation that would never finish
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert finish(process, 10)[0] == 130
    assert status(tmp_path / "runs" / "0001-a-yellow-car") == ("stopped", 130)


def test_a_service_killed_in_the_middle_is_started_again(start: Start, tmp_path: Path) -> None:
    process = start("-g", "100000")
    wait_for(process, "generation 1/")
    for child in psutil.Process(process.pid).children():
        if "clip" in child.cmdline():
            child.kill()
    assert "killed by signal 9" in wait_for(process, "it is started again")
    wait_for(process, "clip was started again")
    wait_for(process, "generation ")
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    folder = tmp_path / "runs" / "0001-a-yellow-car"
    assert status(folder) == ("stopped", 130)
    assert [event["event"] for event in events(folder)].count("service") == 2


def test_a_service_that_cannot_be_started_again_ends_the_run(
    start: Start, tmp_path: Path, tiny_models: Models
) -> None:
    """Its weights went meanwhile; the folder can be resumed when they are back."""
    mine = tmp_path / "mine.safetensors"
    shutil.copy(tiny_models["clip"], mine)
    process = start("-g", "100000", f"--clip={mine}")
    wait_for(process, "generation 1/")
    weights = mine.read_bytes()
    mine.unlink()
    for child in psutil.Process(process.pid).children():
        if "clip" in child.cmdline():
            child.kill()
    code, _, err = finish(process)
    assert code == 6
    assert "the clip could not start" in err
    assert "orchestrator resume RUN" in err
    folder = tmp_path / "runs" / "0001-a-yellow-car"
    assert status(folder) == ("failed", 6)
    grown = max(int(str(event["generation"])) for event in events(folder))
    mine.write_bytes(weights)
    words = [sys.executable, "-m", "orchestrator", "resume", str(folder), "-g", str(grown + 1)]
    assert subprocess.run([*words, "--ui", "quiet"], timeout=240, check=False).returncode == 0


def test_a_killed_orchestrator_takes_its_services_along(start: Start, runtime_folder: Path) -> None:
    process = start("-g", "100000")
    wait_for(process, "generation 1/")
    children = psutil.Process(process.pid).children()
    assert len(children) == 3
    process.kill()
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert len(gone) == 3
    assert alive == []
    until = time.monotonic() + 5
    while os.listdir(runtime_folder) and time.monotonic() < until:  # noqa: PTH208
        time.sleep(0.05)


def test_a_service_elsewhere_is_used_and_left_alone(
    start: Start, tmp_path: Path, tiny_models: Models
) -> None:
    socket = tmp_path / "clip.sock"
    command = [sys.executable, "-m", "services", "clip", "--model", str(tiny_models["clip"])]
    with subprocess.Popen(
        [*command, "--bind", f"ipc://{socket}"], stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        assert service.stdout.readline().startswith("READY ")
        runs = [start("-g", "2", "--clip", f"ipc://{socket}") for _ in range(2)]
        assert [finish(process)[0] for process in runs] == [0, 0]
        assert service.poll() is None
        service.terminate()
        assert service.wait(10) == 0
    assert not socket.exists()
