"""Runs for several prompts and pictures, over one fleet of tiny services."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.begin import new_run, settled
from orchestrator.evaluation.captioner import embed_picture, read_picture
from orchestrator.evaluation.evaluator import embed_text
from orchestrator.evaluation.target import embed_target
from orchestrator.fleet.assemble import Finder, assemble
from orchestrator.fleet.launcher import LocalLauncher
from orchestrator.interrupts import Interrupts
from orchestrator.runs.journal import Journal
from orchestrator.settings import RunSettings, read_settings
from orchestrator.targets import Part, read_part
from protocol.client import Client
from protocol.errors import BadRequestError, ConfigError, GlasshouseError
from tests.orchestrator.ensemble import digest, fleet, grow, quiet, resume, settings

__all__ = ["fleet", "settings"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(3).integers(0, 255, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_similarity_is_the_weighted_mean_of_the_cosines(
    settings: RunSettings, photo: Path, tmp_path: Path
) -> None:
    settings = replace(
        settings,
        prompt="a yellow car | night:0.5 | snow:-0.5",
        likes=(f"{photo}:2",),
        template="a photo of {}",
    )
    with LocalLauncher(tmp_path) as launcher, Client() as client:
        ensemble = assemble(Finder(launcher, client, settings).find_all(), lambda: None)
        target, words = embed_target(ensemble.clip, settings)
        texts = [f"a photo of {text}" for text in ("a yellow car", "night", "snow")]
        parts = [embed_text(ensemble.clip, text) for text in texts]
        parts.append(embed_picture(ensemble.clip, read_picture(photo)[0]))
    look = parts[1]
    cosines = np.array([part @ look for part in parts], np.float64)
    wanted = np.average(cosines * [1, 1, -1, 1], weights=[1, 0.5, 0.5, 2])
    assert float(target @ look) == pytest.approx(wanted, abs=1e-6)
    assert np.linalg.norm(target) < 1
    assert "a yellow car" in words
    assert str(photo) not in words, "a moved picture is still the same"


def test_a_run_for_several_things_resumes_and_says_its_command(
    settings: RunSettings, photo: Path
) -> None:
    settings = replace(
        settings, prompt="a yellow car | snow:-0.3", likes=(str(photo),), generations=4
    )
    whole = grow(settings)
    half = grow(replace(settings, generations=2))
    assert digest(resume(half, generations=4)) == digest(whole)
    command = settings.command()
    assert "'a yellow car | snow:-0.3'" in command
    assert f"--like {photo}" in command
    with Journal.open(whole / "journal.sqlite") as journal:
        assert read_settings(journal.about.settings).likes == (str(photo),)
    assert whole.name.startswith("0001-a-yellow-car")


def test_one_prompt_of_weight_one_is_what_it_always_was(settings: RunSettings) -> None:
    settings = replace(settings, generations=2)
    assert digest(grow(settings)) == digest(grow(replace(settings, prompt="a yellow car:1")))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"prompt": ""}, BadRequestError, "empty"),
        ({"prompt": "snow:-1"}, BadRequestError, "look for"),
        ({"prompt": "a car:0"}, BadRequestError, "weight"),
        ({"likes": ("/no/such.png",)}, GlasshouseError, "such.png"),
        ({"template": "a photo"}, ConfigError, "template"),
    ],
)
def test_what_cannot_be_looked_for_is_refused_before_anything_starts(
    settings: RunSettings, changes: dict[str, object], error: type[GlasshouseError], words: str
) -> None:
    with pytest.raises(error, match=words):
        new_run(replace(settings, **changes), quiet(), Interrupts())  # type: ignore[arg-type]
    assert not settings.runs.exists()


@pytest.mark.parametrize("weight", ["0.5", "0.00002", "0.123456789"])
def test_a_picture_keeps_its_name_and_weight_however_often_it_is_settled(
    photo: Path, weight: str
) -> None:
    numbered = photo.rename(photo.with_name("photo 7"))
    once = settled(RunSettings("a car", likes=(f"{numbered} :{weight}",)))
    again = settled(once)
    assert read_part(again.likes[0]) == Part(str(numbered), float(weight))
    assert again == once
