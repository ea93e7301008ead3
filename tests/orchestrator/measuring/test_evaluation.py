"""`orchestrator evaluate` over real services: a folder of pictures, and a run."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.fleet.launcher import LocalLauncher, ServiceSpec
from orchestrator.measuring.evaluation import Evaluation, Question, evaluate
from orchestrator.measuring.subjects import read_subject
from orchestrator.measuring.table import ONE_SAMPLE, table
from orchestrator.runs.pictures import read_recipe
from orchestrator.settings import RunSettings
from protocol.errors import BadRequestError, StorageError, WeightsError
from tests import tiny
from tests.orchestrator.ensemble import grow

PROMPT = "a yellow car at night"
pytestmark = pytest.mark.timeout(600)  # starting four services takes minutes on a loaded machine


@pytest.fixture(scope="module")
def fleet(
    tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Endpoints by role; `clip` stands for the judge, too, `other` is another generator."""
    folder = tmp_path_factory.mktemp("judges")
    classifier = tiny.save_classifier(folder / "classifier.safetensors")
    with pytest.MonkeyPatch.context() as patch, LocalLauncher(folder) as launcher:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        other = tiny.save_generator(folder / "other.safetensors", seed=9)
        models = [*tiny_models.items(), ("classifier", classifier), ("generator", other)]
        names = [*tiny_models, "classifier", "other"]
        started = {
            name: launcher.start(ServiceSpec(role, str(model), threads=1))  # type: ignore[arg-type] # a role
            for name, (role, model) in zip(names, models, strict=True)
        }
        launcher.wait_ready(list(started.values()), lambda: None, timeout_s=500.0)
        yield {role: service.endpoint for role, service in started.items()}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of two sizes, and of something else."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(9):
        size = (64, 64, 3) if number else (40, 90, 3)
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("nothing to see")
    return folder


@pytest.fixture(scope="module")
def run(fleet: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = {role: fleet[role] for role in ("generator", "clip", "discriminator")}
    runs = tmp_path_factory.mktemp("runs")
    return grow(RunSettings(PROMPT, **models, population=6, generations=3, seed=1, runs=runs))


def asked(fleet: dict[str, str], path: Path | str, **more: object) -> Evaluation:
    judges = {"clip": fleet["clip"], "classifiers": (fleet["classifier"],)}
    return evaluate(Question(path, **{**judges, **more}))  # type: ignore[arg-type] # its own fields


def values(found: Evaluation) -> dict[str, float]:
    return {one.name: one.value for one in found.figures if one.value is not None}


def test_a_folder_of_pictures(fleet: dict[str, str], photos: Path) -> None:
    found = asked(fleet, photos, prompt=PROMPT, judge=fleet["clip"], against=photos)
    assert (found.pictures, found.of_a_run, found.prompt) == (9, False, PROMPT)
    by_name = {one.name: one for one in found.figures}
    similarity = by_name["similarity, mean"]
    assert similarity.low is not None
    assert similarity.high is not None
    assert similarity.low <= (similarity.value or 0) <= similarity.high
    assert 0 <= values(found)["R-precision, 1 of 100"] <= 1
    assert 1 <= values(found)["rank of the prompt, median"] <= 100
    assert 1 <= values(found)["Vendi score, different pictures"] <= 9
    assert [one.asked for one in found.shown] == ["yellow", "at night"]
    shares = values(found)
    assert shares["shows all of these"] <= min(
        shares["shows colour yellow"], shares["shows time at night"]
    )
    seen = {one.head: one.shares for one in found.shown}
    assert seen["colour"].get("yellow", 0) == pytest.approx(shares["shows colour yellow"])
    assert sum(seen["time"].values()) == pytest.approx(1)
    for name in ("Inception Score", "Fréchet distance (FID)", "kernel distance (KID)"):
        assert "9 pictures are too few" in by_name[name].refused


def test_a_run_is_drawn_again_and_is_one_sample(fleet: dict[str, str], run: Path) -> None:
    found = asked(fleet, run, random=16)
    assert (found.pictures, found.of_a_run, found.prompt) == (6, True, PROMPT)
    assert all(one.low is None for one in found.figures)
    population = max((run / "populations").glob("*.npz"))
    with np.load(population) as arrays:
        best = 1 - arrays["objectives"][:, 0].min()
    assert values(found)["similarity, best"] == pytest.approx(best, abs=1e-6)
    assert found.prompt == PROMPT
    assert "best above random, deviations" in values(found)
    assert ONE_SAMPLE in table(found)


def test_a_runs_own_clip_compares_as_the_search_did(
    fleet: dict[str, str], photos: Path, tmp_path: Path
) -> None:
    models = {role: fleet[role] for role in ("generator", "clip", "discriminator")}
    settings = RunSettings("a yellow car | night:-0.5", **models, population=6, generations=2)
    settings = replace(settings, likes=(str(photos / "1.png"),), template="a photo of {}")
    run = grow(replace(settings, profile="legacy", runs=tmp_path))
    found = asked(fleet, run, judge="none")
    best = read_recipe(run / "best.png")["similarity"]
    assert values(found)["similarity, best"] == pytest.approx(best, abs=1e-6)
    assert "like 1.png" in found.prompt
    told = asked(fleet, run, judge="none", prompt="a yellow car")
    assert values(told)["similarity, best"] != pytest.approx(best, abs=1e-3)


def test_a_generator_is_measured_by_random_pictures(fleet: dict[str, str], photos: Path) -> None:
    found = asked(fleet, fleet["generator"], random=12, prompt=PROMPT, against=photos)
    assert (found.pictures, found.of_a_run) == (12, False)
    assert {one.name for one in found.figures} >= {"similarity, mean", "kernel distance (KID)"}
    again = asked(fleet, fleet["generator"], random=12, prompt=PROMPT, against=photos)
    assert again.figures == found.figures


def test_a_prompt_of_several_parts_has_a_similarity_but_no_rank(
    fleet: dict[str, str], photos: Path
) -> None:
    found = asked(fleet, photos, prompt="a yellow car | night:-0.5")
    refused = {one.name: one.refused for one in found.figures if one.refused}
    assert "similarity, mean" in values(found)
    assert "several prompts" in refused["R-precision"]


def test_without_a_prompt_there_is_nothing_to_compare_with(
    fleet: dict[str, str], photos: Path
) -> None:
    found = asked(fleet, photos)
    assert "similarity, mean" not in values(found)
    assert "--prompt" in table(found)
    assert "Vendi score, different pictures" in values(found)


def test_the_command_prints_a_table_or_json(fleet: dict[str, str], photos: Path) -> None:
    words = ["evaluate", str(photos), "--prompt", PROMPT]
    words += ["--clip", fleet["clip"], "--classifier", fleet["classifier"]]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "similarity, mean" in done.stdout
    assert "not given: 9 pictures are too few" in done.stdout
    told = json.loads(CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).stdout)
    assert told["pictures"] == 9
    assert {"name", "value", "low", "high", "spread", "count", "by", "refused"} == set(
        told["figures"][0]
    )


def test_distractors_may_be_ones_own(fleet: dict[str, str], photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "others.txt"
    file.write_text(f"a red house\n\n{PROMPT}\na tree\na red house\n")
    found = asked(fleet, photos, prompt=PROMPT, distractors=file)
    assert "R-precision, 1 of 3" in values(found)
    file.write_text("one\n")
    with pytest.raises(BadRequestError, match="wanted 99 or more"):
        asked(fleet, photos, prompt=PROMPT, distractors=file)


def test_what_cannot_be_measured_is_refused_in_a_sentence(
    fleet: dict[str, str], photos: Path, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadRequestError, match="holds no pictures"):
        read_subject(tmp_path)
    with pytest.raises(StorageError, match=r"no such file.*a generator with --random N"):
        read_subject(tmp_path / "nowhere")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(BadRequestError, match="not a picture"):
        read_subject(tmp_path)
    with pytest.raises(BadRequestError, match="--random"):
        asked(fleet, photos, random=4)
    with pytest.raises(BadRequestError, match="--against"):
        asked(fleet, photos, against=run)


def test_a_run_is_drawn_by_its_own_generator_only(
    fleet: dict[str, str], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = read_subject(run)
    monkeypatch.setattr(
        "orchestrator.measuring.evaluation.read_subject",
        lambda *_: replace(subject, generator=fleet["other"]),
    )
    with pytest.raises(WeightsError, match="another version of"):
        asked(fleet, run)
