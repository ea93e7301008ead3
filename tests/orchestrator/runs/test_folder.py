import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.runs import RunFolder
from protocol.errors import BadRequestError

CREATE_MANY = """
import pathlib, sys
from orchestrator.runs import RunFolder
root, name = pathlib.Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(25):
    folder = RunFolder.create(root, f"{name} {number}")
    (folder.path / "mine").write_text(name)
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_processes_at_once_get_different_numbers(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CREATE_MANY, str(tmp_path)]
    racers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in "abcd"
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    assert [racer.communicate(timeout=240) and racer.returncode for racer in racers] == [0] * 4
    names = [path.name for path in tmp_path.iterdir() if path.name != "latest"]
    assert len({name.split("-")[0] for name in names}) == len(names) == 100
    assert all(re.fullmatch(r"\d{4}-[abcd]-\d+", name) for name in names)
    assert (tmp_path / "latest").readlink().name in names


def test_folders_are_numbered_on_and_never_reused(tmp_path: Path) -> None:
    runs = tmp_path / "my" / "runs"
    first = RunFolder.create(runs, "A yellow car in the city")
    assert first.path.name == "0001-a-yellow-car-in-the-city"
    (runs / "0041-old").mkdir()
    (runs / "0042").mkdir()  # what a crash while creating leaves
    (runs / "notes").mkdir()
    assert RunFolder.create(runs, "A yellow car in the city").path.name.startswith("0043-")
    assert (runs / "latest").resolve().name == "0043-a-yellow-car-in-the-city"


def test_run_json_tells_how_a_run_went(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "a car")
    folder.write_settings({"target": "a car", "seed": 7}, [{"role": "clip", "digest": "ab"}])
    run = folder.read_run()
    assert (run["status"], run["exit_code"], run["finished"]) == ("running", None, None)
    assert run["settings"] == {"target": "a car", "seed": 7}
    assert run["services"] == [{"role": "clip", "digest": "ab"}]
    assert {"python", "numpy", "pymoo", "cma"} <= run["versions"].keys()
    folder.finish("stopped", 130)
    folder.resume()
    assert (folder.read_run()["status"], len(folder.read_run()["resumed"])) == ("running", 1)
    folder.finish("done", 0)
    run = folder.read_run()
    assert (run["status"], run["exit_code"]) == ("done", 0)
    assert run["settings"]["seed"] == 7
    assert run["started"] <= run["finished"]


def test_a_run_that_failed_before_its_settings_still_says_so(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "a car")
    folder.finish("failed", 4)
    assert folder.read_run()["status"] == "failed"


def test_only_run_folders_can_be_opened(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "a car")
    with pytest.raises(BadRequestError, match=r"holds no run\.json"):
        RunFolder.open(tmp_path / "latest")
    folder.write_settings({})
    assert RunFolder.open(tmp_path / "latest").path == folder.path
    (folder.path / "run.json").write_text("{")
    with pytest.raises(BadRequestError, match="damaged"):
        RunFolder.open(folder.path).read_run()


def test_events_are_lines_that_others_can_read_at_once(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "a car")
    folder.append_event({"generation": 1, "best": np.float32(0.25)})
    folder.append_event({"generation": 2, "best": float("nan")})
    lines = (folder.path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"generation": 1, "best": 0.25},
        {"generation": 2, "best": None},
    ]


@pytest.mark.parametrize(
    "odd",
    [
        {"generation": "two"},
        {"generation": -1},
        {"generation": 10**30},
        {"evaluations": "many"},
        {"elapsed_s": "long"},
        {"best": [0.5]},
        {"diversity": "great"},
        {"scores": 5},
        {"scores": ["high"]},
        {"captions": 3},
        {"failed": {}},
        {"services": [7]},
        {"services": [{"role": "clip", "batch_ms": "slow"}]},
    ],
)
def test_events_that_no_run_writes_are_left_out(tmp_path: Path, odd: dict[str, object]) -> None:
    folder = RunFolder.create(tmp_path, "a car")
    good = {"event": "generation", "generation": 2, "best": None, "scores": [0.25, None]}
    folder.append_event({**good, **odd})
    folder.append_event(good)
    assert folder.events() == [good]


def test_grids_are_kept_and_the_latest_replaced(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "a car")
    images = np.zeros((4, 8, 8, 3), np.uint8)
    for generation in (1, 2, 3):
        folder.save_grid(images + np.uint8(generation), generation, keep=generation != 2)
    path = folder.path / "grids" / "000003.webp"
    assert names_in(folder.path / "grids") == ["000001.webp", "000003.webp"]
    assert (folder.path / "latest.webp").read_bytes() == path.read_bytes()
    with Image.open(path) as image:
        assert image.size == (18, 18)
    assert names_in(folder.path) == ["grids", "latest.webp"]
    folder.save_film()
    film = (folder.path / "evolution.webp").read_bytes()
    (folder.path / "grids" / "000002.webp").write_bytes(path.read_bytes()[:40])
    folder.save_film()  # a damaged grid is left out
    assert (folder.path / "evolution.webp").read_bytes() == film


def test_a_population_opens_in_a_notebook_without_pickle(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "a car")
    genomes = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    path = folder.save_population(60, genomes, np.arange(8.0).reshape(4, 2))
    assert path.name == "000060.npz"
    with np.load(path, allow_pickle=False) as saved:
        assert (saved["genomes"] == genomes).all()
        assert saved["objectives"].shape == (4, 2)


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o022)
    folder = RunFolder.create(tmp_path, "a car")
    folder.write_settings({})
    os.umask(before)
    assert (folder.path / "run.json").stat().st_mode & 0o777 == 0o644
