"""Runs carry what chance scores, and grow the same with it and without."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.reports.comparison import outcomes
from orchestrator.reports.reading import read_story
from orchestrator.runs.listing import details
from orchestrator.runs.pictures import read_recipe
from orchestrator.settings import RunSettings
from tests.orchestrator.ensemble import digest, events, fleet, grow, settings

__all__ = ["fleet", "settings"]


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_every_run_carries_its_baseline(settings: RunSettings) -> None:
    folder = grow(replace(settings, baseline=True))
    told = json.loads((folder / "run.json").read_text())["baseline"]
    assert (told["rows"], told["space"]) == (512, "z")
    assert digest(folder) == digest(grow(settings)), "chance has a seed of its own"
    over = read_recipe(folder / "best.png")["over_random"]
    assert isinstance(over, float)
    words = f"{over:+.1f} σ over random"
    assert any(words in line for line in details(folder))
    assert outcomes([read_story(folder)])["best over random"] == [words]


def test_only_the_first_run_of_two_models_looks_at_random_latents(settings: RunSettings) -> None:
    first = events(grow(replace(settings, baseline=True)))
    assert "over_random" not in first[0], "the first generation does not wait for it"
    second = events(grow(replace(settings, baseline=True, prompt="a red car", space="w")))
    assert all("over_random" in event for event in second)


def test_a_run_without_says_nothing_of_it(settings: RunSettings) -> None:
    folder = grow(settings)
    assert "baseline" not in json.loads((folder / "run.json").read_text())
    assert outcomes([read_story(folder)])["best over random"] == ["-"]
    assert "--no-baseline" in settings.command()
