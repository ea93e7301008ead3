"""512 random latents are looked at once for each pair of models, and never differ."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.baseline import Baseline, read_baseline, sigmas
from orchestrator.evaluation.chance import RANDOM, Chance, chance_folder
from orchestrator.evaluation.evaluator import Evaluation, Float32
from orchestrator.runs.journal import Conditions, Model
from protocol.latent import LatentSpace, Segment

SPACE = LatentSpace("z", (Segment("z", "real", 4, -10.0, 10.0, "normal"),))
MODELS = (Model("generator", "g", "blake2b:1"), Model("clip", "c", "blake2b:2"))
CONDITIONS = Conditions("red", SPACE, 1.0, MODELS)
TARGET = np.array([1, 0, 0, 0], np.float32)


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class Seen:
    """Embeds each genome as itself, and counts."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, genomes: Float32) -> Evaluation:
        self.rows += len(genomes)
        nothing = np.empty((len(genomes), 0, 0, 3), np.uint8)
        return Evaluation(nothing, genomes, genomes[:, 0].astype(np.float64), None)

    def chance(self, conditions: Conditions = CONDITIONS, target: Float32 = TARGET) -> Chance:
        return Chance(lambda: self, conditions, SPACE, target)


def measured(chance: Chance, rows: int) -> Baseline:
    for _ in range(RANDOM):
        found = chance.measure(rows)
        if found is not None:
            return found
    raise AssertionError


def test_the_baseline_does_not_depend_on_how_many_are_looked_at_at_a_time(tmp_path: Path) -> None:
    seen = Seen()
    few = measured(seen.chance(), 7)
    assert seen.rows == few.rows == RANDOM
    assert abs(few.mean) < 0.2
    assert 0.8 < few.deviation < 1.2, "they are standard normal"
    next((tmp_path / "glasshouse" / "chance").iterdir()).unlink()
    assert measured(Seen().chance(), 400) == few


def test_another_prompt_of_the_same_models_needs_no_service() -> None:
    first = measured(Seen().chance(), 100)
    seen = Seen()
    other = seen.chance(target=np.array([0, 1, 0, 0], np.float32)).known()
    assert seen.rows == 0
    assert other is not None
    assert other.mean != first.mean


@pytest.mark.parametrize(
    "changed",
    [
        Conditions("red", SPACE, 0.5, MODELS),
        Conditions("red", SPACE, 1.0, MODELS, "legacy"),
        Conditions("red", SPACE, 1.0, (Model("generator", "g", "blake2b:3"), MODELS[1])),
        Conditions("red", SPACE, 1.0, (MODELS[0], Model("clip", "c", "blake2b:3"))),
    ],
)
def test_whatever_changes_the_pictures_or_the_look_is_measured_anew(changed: Conditions) -> None:
    measured(Seen().chance(), 512)
    assert Seen().chance(changed).known() is None


def test_a_discriminator_does_not_matter() -> None:
    measured(Seen().chance(), 512)
    judged = Conditions("red", SPACE, 1.0, (*MODELS, Model("discriminator", "d", "blake2b:9")))
    assert Seen().chance(judged).known() is not None


def test_a_target_is_whitened_by_all_of_them_and_none_is_looked_at_twice() -> None:
    seen = Seen()
    slanted = np.array([0.6, 0.8, 0, 0], np.float32)
    chance = seen.chance(target=slanted)
    chance.whiten()
    again = Seen()
    other = again.chance(target=slanted)
    other.whiten()
    assert (seen.rows, again.rows) == (RANDOM, 0)
    np.testing.assert_array_equal(chance.target, other.target)
    np.testing.assert_allclose(chance.target, slanted, atol=0.1)  # they are nearly white already
    towards = seen.chance(target=chance.target)
    assert chance.known() == towards.known(), "scores are told over the target that is followed"


def test_a_cache_that_cannot_be_written_does_not_keep_a_target_from_being_whitened(
    tmp_path: Path,
) -> None:
    (tmp_path / "glasshouse").write_text("in the way")
    seen = Seen()
    chance = seen.chance()
    chance.whiten()
    assert chance.known() is not None
    assert seen.rows == RANDOM


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_another_shape(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros((3, 4), np.float32))


def not_finite(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.full((RANDOM, 4), np.nan, np.float32))


@pytest.mark.parametrize("damage", [cut, emptied, of_another_shape, not_finite])
def test_a_damaged_file_is_measured_again(damage: Callable[[Path], None]) -> None:
    before = measured(Seen().chance(), 512)
    damage(next(chance_folder().iterdir()))
    seen = Seen()
    assert seen.chance().known() is None
    assert measured(seen.chance(), 512) == before
    assert seen.rows == RANDOM


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "glasshouse").write_text("in the way")
    assert measured(Seen().chance(), 512).rows == RANDOM


def test_scores_are_told_in_deviations() -> None:
    baseline = Baseline(0.2, 0.05, RANDOM, "z")
    assert sigmas(baseline, 0.45) == "+5.0 σ over random"
    assert sigmas(None, 0.45) == ""
    assert replace(baseline, deviation=0.0).over(0.45) == 0.0, "all random pictures are alike"


@pytest.mark.parametrize("told", [None, "x", {}, {"mean": "a"}, {"mean": 0.1, "deviation": None}])
def test_what_a_damaged_run_says_of_it_is_nothing(told: object) -> None:
    assert read_baseline(told) is None


def test_what_clip_cannot_embed_does_not_count_and_whitening_begins_from_what_was_typed() -> None:
    class Overflowing(Seen):
        def __call__(self, genomes: Float32) -> Evaluation:
            found = super().__call__(genomes)
            found.embeddings[found.embeddings[:, 0] > 1] = np.nan
            return found

    slanted = np.array([0.6, 0.8, 0, 0], np.float32)
    chance = Overflowing().chance(target=slanted)
    found = measured(chance, 400)
    assert np.isfinite([found.mean, found.deviation]).all()
    assert 400 < found.rows < RANDOM
    chance.whiten()
    once = chance.target
    chance.whiten()
    np.testing.assert_array_equal(chance.target, once)
    np.testing.assert_allclose(np.linalg.norm(once), 1, atol=1e-6)
