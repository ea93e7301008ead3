"""The main job's prompts, judges and runs."""

from pathlib import Path

import pytest
import torch

from miniatures.evaluation.main_job import PHRASES, Judges, main_job_figures, prompt_of, prompts
from miniatures.training import WEIGHTS
from miniatures.world import Scene, render


@pytest.mark.parametrize("thing", sorted(PHRASES))
def test_prompts_ask_for_something_of_their_thing(thing: str) -> None:
    found = prompts(thing)
    assert len(found) == 20
    assert [prompt.text for prompt in found][: len(PHRASES[thing])] == list(PHRASES[thing])
    assert found == prompts(thing)
    assert sum(not prompt.wanted for prompt in found) <= 2
    assert all("thing" not in dict(prompt.wanted) for prompt in found)


def test_a_prompt_is_what_it_claims() -> None:
    prompt = prompt_of("car", "a yellow beetle in an intersection")
    assert dict(prompt.wanted) == {
        "kind": "beetle",
        "colour": "yellow",
        "setting": "intersection",
    }
    with pytest.raises(ValueError, match="wanted a caption of the miniatures' world"):
        prompt_of("car", "a hovercraft full of eels")


def test_judges_find_what_is_there_and_miss_what_is_not() -> None:
    judges = Judges.load(WEIGHTS, "car")
    prompt = prompt_of("car", "a yellow car in the snow")
    yellow = torch.from_numpy(render(Scene(colour="yellow", setting="snow")))
    blue = torch.from_numpy(render(Scene(colour="blue", setting="snow")))
    house = torch.from_numpy(render(Scene("house", "cottage", "yellow", "snow")))
    assert judges.missed(prompt, yellow) == []
    assert judges.missed(prompt, blue) == ["colour"]
    assert "thing" in judges.missed(prompt, house)


def test_a_measurement_goes_on_where_it_was(tmp_path: Path) -> None:
    def measure() -> list[tuple[str, str, float | None]]:
        tiny = ("--generations", "2", "--population", "4")
        return list(main_job_figures(WEIGHTS, tmp_path, ["car"], ["ga"], 1, tiny))

    figures = measure()
    assert [row[:2] for row in figures if row[2] is not None] == [
        ("car", "ga: prompts fulfilled by the best"),
        ("car", "ga: by the median"),
    ]
    recorded = tmp_path / "car-ga-00" / "latest" / "journal.sqlite"
    written = recorded.stat().st_mtime_ns
    assert measure() == figures
    assert recorded.stat().st_mtime_ns == written


def test_missing_models_are_said(tmp_path: Path) -> None:
    ((thing, said, value),) = main_job_figures(tmp_path, tmp_path, ["face"])
    assert thing == "face"
    assert said.startswith("not measured: mini-face.safetensors, mini-clip.safetensors")
    assert value is None
