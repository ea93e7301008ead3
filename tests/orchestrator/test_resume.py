"""Runs that stop, go on, fork and are verified, over one fleet of tiny services."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.begin import resume_run
from orchestrator.evaluation.evaluator import Evaluation
from orchestrator.evaluation.setup import Setup
from orchestrator.gallery import Gallery
from orchestrator.interrupts import Interrupts
from orchestrator.runs import RunFolder
from orchestrator.runs.journal import Journal
from orchestrator.runs.pictures import read_recipe
from orchestrator.settings import RunSettings
from orchestrator.verify import verify_run
from protocol.errors import BadRequestError, ConfigError, StorageError, WeightsError
from tests.orchestrator.ensemble import (  # the fixtures among them
    Fleet,
    digest,
    events,
    fleet,
    fork,
    grow,
    kinds,
    quiet,
    resume,
    settings,
)

__all__ = ["fleet", "settings"]

ALGORITHMS = ("ga", "de", "nsga2", "sep-cma-es")


def generations(folder: Path) -> list[int]:
    return [int(str(event["generation"])) for event in events(folder)]


def best(folder: Path) -> object:
    recipe = read_recipe(folder / "best.png")
    return recipe["similarity"], recipe["generation"], recipe["genome"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_extended_run_equals_one_that_was_never_stopped(
    settings: RunSettings, algorithm: str
) -> None:
    settings = replace(settings, algorithm=algorithm)
    whole = grow(replace(settings, generations=7))
    parts = resume(grow(replace(settings, generations=3)), generations=7)
    assert digest(parts) == digest(whole)
    assert generations(parts) == generations(whole) == [1, 2, 3, 4, 5, 6, 7]
    assert best(parts) == best(whole)
    assert (parts / "latest.webp").read_bytes() == (whole / "latest.webp").read_bytes()
    one, other = (np.load(folder / "populations" / "000007.npz") for folder in (parts, whole))
    with one, other:
        np.testing.assert_array_equal(one["genomes"], other["genomes"])
    assert RunFolder.open(parts).read_run()["status"] == "done"
    assert verify_run(parts).generations == 7


def test_elites_that_are_asked_for_again_are_not_evaluated_again(
    settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thesis's DE asks for many a parent again; a refinement begins with survivors."""
    settings = replace(settings, algorithm="thesis-de", parameters={"CR": "0.05"})
    asked: list[bytes] = []

    def counted(setup: Setup, genomes: np.ndarray) -> Evaluation:
        asked.extend(genome.tobytes() for genome in genomes)
        return setup.evaluator.evaluate(genomes)

    monkeypatch.setattr(Setup, "evaluate", counted)
    folder = grow(replace(settings, refine=2))
    with Journal.open(folder / "journal.sqlite") as journal:
        rows = [genome.tobytes() for step in journal.steps() for genome in step.genomes]
    assert len(asked) == len(set(asked)) < len(rows), "each genome once"
    assert set(asked) == set(rows)
    monkeypatch.setattr(Gallery, "evaluated", lambda _self, genomes, _, evaluate: evaluate(genomes))
    asked.clear()
    assert digest(grow(replace(settings, refine=2))) == digest(folder)
    assert len(asked) == len(rows)


def command(settings: RunSettings) -> list[str]:
    words = [sys.executable, "-m", "orchestrator", "run", settings.prompt, "--ui", "quiet"]
    words += ["-p", str(settings.population), "-g", str(settings.generations), "--no-baseline"]
    for name in ("generator", "clip", "discriminator", "algorithm", "seed", "runs"):
        words += [f"--{name}", str(getattr(settings, name))]
    return words


def killed_again_and_again(settings: RunSettings, rng: random.Random, most: int) -> int:
    """Grow a run in processes that are killed at random instants; returns how often.

    It may end before it was killed `most` times, also by the kill of a process whose run is done.
    """
    process = subprocess.Popen(command(settings), stderr=subprocess.PIPE, text=True)
    folder = settings.runs / "latest"
    for kills in range(most):
        until = time.monotonic() + 240
        while not (folder / "journal.sqlite").exists() and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 1.5 if kills else 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0
            return kills
        if RunFolder.open(folder).read_run()["status"] == "done":
            return kills + 1
        words = [sys.executable, "-m", "orchestrator", "resume", str(folder), "--ui", "quiet"]
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return most


@pytest.mark.parametrize("algorithm", ["ga", "de", "nsga2"])
def test_a_killed_run_goes_on_bit_for_bit(settings: RunSettings, algorithm: str) -> None:
    settings = replace(settings, algorithm=algorithm, generations=60)
    whole = grow(replace(settings, runs=settings.runs / "whole"))
    assert killed_again_and_again(settings, random.Random(algorithm), 2)
    killed = settings.runs / "latest"
    assert digest(killed) == digest(whole)
    assert sorted(set(generations(killed))) == generations(whole)
    assert best(killed) == best(whole)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("algorithm", ["ga", "de", "nsga2"])
def test_50_kills_at_random_instants(settings: RunSettings, algorithm: str) -> None:
    settings = replace(settings, algorithm=algorithm, generations=400)
    whole = grow(replace(settings, runs=settings.runs / "whole"))
    rng, kills, number = random.Random(algorithm), 0, 0
    while kills < 50:
        number += 1
        runs = settings.runs / str(number)
        kills += killed_again_and_again(replace(settings, runs=runs), rng, 50 - kills)
        assert digest(runs / "latest") == digest(whole)
        assert best(runs / "latest") == best(whole)


def test_what_cannot_be_resumed(
    settings: RunSettings, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadRequestError, match=r"holds no run\.json"):
        resume(tmp_path)
    folder = grow(replace(settings, generations=2))
    with pytest.raises(BadRequestError, match="all 2 generations already; extend it with"):
        resume(folder)
    with pytest.raises(BadRequestError, match="all 2 generations"):
        resume(folder, generations=1)
    with pytest.raises(WeightsError, match=r"another version of the generator .*orchestrator fork"):
        resume(folder, generations=4, generator=fleet["other"])
    with RunFolder.open(folder).lock(), pytest.raises(BadRequestError, match="another process"):
        resume(folder, generations=4)
    with monkeypatch.context() as patch:
        there = {"glasshouse": "0.0.1", "numpy": "1.0", "pymoo": "0", "cma": "0", "ribs": "0"}
        patch.setattr("orchestrator.runs.history.versions", lambda: there)
        with pytest.raises(ConfigError, match=r"but here is .*numpy 1\.0"):
            resume(folder, generations=4)
    assert digest(resume(folder, generations=4)) == digest(grow(replace(settings, generations=4)))
    (folder / "journal.sqlite").write_bytes(b"nonsense" * 1000)
    with pytest.raises(StorageError, match=r"journal\.sqlite is damaged"):
        resume(folder, generations=9)
    (folder / "journal.sqlite").unlink()
    with pytest.raises(BadRequestError, match="has no journal"):
        resume(folder, generations=9)


def test_a_fork_with_nothing_changed_goes_the_same_way(settings: RunSettings) -> None:
    parent = grow(settings)
    child = fork(parent, 3)
    assert child.parent == parent.parent != child
    assert digest(child) == digest(parent)
    assert best(child) == best(parent)
    lineage = RunFolder.open(child).read_run()["lineage"]
    assert lineage == {"parent": str(parent), "generation": 3}
    grandchild = fork(child, generations=8)
    assert verify_run(grandchild).generations == 8
    assert f"orchestrator fork {parent} " in read_recipe(child / "best.png")["command"]


@pytest.mark.parametrize("algorithm", ["ga", "nsga2", "sep-cma-es"])
def test_a_fork_for_another_prompt_scores_the_survivors_again(
    settings: RunSettings, algorithm: str
) -> None:
    parent = grow(replace(settings, algorithm=algorithm))
    child = fork(parent, 4, prompt="a car in the city", generations=9)
    with Journal.open(child / "journal.sqlite") as journal:
        steps = list(journal.steps())
    assert [step.kind for step in steps] == ["generation"] * 4 + ["rescore"] + ["generation"] * 5
    assert {step.conditions.prompt for step in steps[4:]} == {"a car in the city"}
    assert steps[0].conditions.prompt == "a yellow car"
    assert verify_run(child, evaluate=20).evaluated == 20
    again = fork(parent, 4, prompt="a car in the city", generations=6)
    assert digest(resume(again, generations=9)) == digest(child)
    assert read_recipe(child / "best.png")["prompt"] == "a car in the city"
    assert generations(child) == [5, 6, 7, 8, 9], "what the parent scored is not told as its own"


def test_a_fork_goes_on_with_another_generator(settings: RunSettings, fleet: Fleet) -> None:
    parent = grow(settings)
    child = fork(parent, 4, generator=fleet["other"])
    assert "".join(kinds(child)) == "ggggrgg"
    with pytest.raises(BadRequestError, match=r"another latent space \(w, .*--reseed"):
        fork(parent, 4, space="w")


def test_what_cannot_be_forked(settings: RunSettings) -> None:
    parent = grow(replace(settings, generations=2))
    with pytest.raises(BadRequestError, match="has generations 1 to 2, but not 3"):
        fork(parent, 3)
    with pytest.raises(BadRequestError, match="nothing is left of 2; ask for more with"):
        fork(parent)
    with pytest.raises(BadRequestError, match="prompt is empty"):
        fork(parent, 1, prompt=" ")
    assert len(list(settings.runs.glob("0*"))) == 1


def test_verify_evaluates_again_and_finds_what_does_not_repeat(settings: RunSettings) -> None:
    folder = grow(settings)
    found = verify_run(folder, evaluate=9)
    assert (found.generations, found.rows, found.evaluated) == (6, 36, 9)
    assert found.digest == digest(folder)
    assert "repeats: 6 generations, 36 genomes, bit for bit; 9 evaluated" in found.sentence()
    with Journal.open(folder / "journal.sqlite") as journal:
        changed = dict(journal.about.settings, seed=2)
        about = journal.about
        journal.change(type(about)(changed, about.objectives, about.versions))
    with pytest.raises(ConfigError, match="generation 1 does not repeat"):
        verify_run(folder)


@pytest.mark.parametrize("algorithm", ["ga", "de", "nsga2", "sep-cma-es", "map-elites"])
def test_a_picture_that_clip_cannot_embed_ranks_last(
    settings: RunSettings, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CLIP in half precision may overflow: its answer is NaN, and says so each time."""
    evaluate = Setup.evaluate

    def overflowing(setup: Setup, genomes: np.ndarray) -> Evaluation:
        found = evaluate(setup, genomes)
        lost = genomes[:, 0] > 0
        found.embeddings[lost] = np.nan
        found.similarity[lost] = np.nan
        return found

    monkeypatch.setattr(Setup, "evaluate", overflowing)
    measures = ("a car|the city",) if algorithm == "map-elites" else ()
    wanted = replace(settings, algorithm=algorithm, measures=measures, parameters={"best_of": "6"})
    folder = grow(wanted)
    told = events(folder)
    assert told[-1]["failed"]
    assert all(isinstance(event["best"], float) for event in told)
    assert all(np.isfinite(float(str(event["diversity"]))) for event in told)
    assert np.isfinite(float(str(read_recipe(folder / "best.png")["similarity"])))
    parts = grow(replace(wanted, generations=3))
    run = resume_run(parts, {"generations": 6}, quiet(), Interrupts())
    assert run.grow() == 0
    assert digest(parts) == digest(folder)
    assert not run._course.note
    assert verify_run(folder).generations == 6
