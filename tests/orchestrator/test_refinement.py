"""Runs over real services that refine, fill archives, or do as the papers did."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.begin import new_run, resume_run
from orchestrator.course import Course
from orchestrator.interrupts import Interrupts
from orchestrator.runs.journal import Journal, Step
from orchestrator.settings import RunSettings
from orchestrator.verify import verify_run
from protocol.errors import BadRequestError, ConfigError
from tests.orchestrator.ensemble import (  # the fixtures among them
    digest,
    fleet,
    fork,
    grow,
    quiet,
    resume,
    settings,
)

__all__ = ["fleet", "settings"]


def steps_of(folder: Path) -> list[Step]:
    with Journal.open(folder / "journal.sqlite") as journal:
        return list(journal.steps())


def test_refinement_goes_downhill_and_is_written_down(settings: RunSettings) -> None:
    folder = grow(replace(settings, generations=3, refine=6))
    steps = steps_of(folder)
    assert [step.kind for step in steps] == ["generation"] * 3 + ["refinement"] * 7
    assert [step.generation for step in steps] == list(range(1, 11))
    start, *_, last = steps[3:]
    evolved = max(step.similarity.max() for step in steps[:3])
    assert start.similarity.max() == evolved  # the first batch is the best genomes themselves
    assert last.similarity.max() > evolved
    assert (last.similarity > start.similarity).mean() > 0.7
    size = start.genomes.shape[1]
    assert start.objectives.shape == (len(start.genomes), 1 + size)
    assert verify_run(folder, evaluate=3).generations == 10


def test_the_gradient_is_that_of_the_similarity_that_is_scored(settings: RunSettings) -> None:
    """A short way along it changes 1 - similarity by what it says."""
    start, second = steps_of(grow(replace(settings, generations=2, refine=1)))[2:]
    moved = second.genomes.astype(np.float64) - start.genomes
    promised = (start.objectives[:, 1:] * moved).sum(axis=1)
    assert (promised < 0).all()
    found = second.objectives[:, 0] - start.objectives[:, 0]
    # Half a step of 0.05 in every gene is not infinitesimal, and levels are rounded.
    assert np.corrcoef(promised, found)[0, 1] > 0.5 or np.abs(promised - found).max() < 0.01


@pytest.mark.parametrize("cut", [1, 3, 4, 6])
def test_a_refined_run_resumes_anywhere(
    settings: RunSettings, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(settings, generations=3, refine=4)
    interrupts = Interrupts()
    run = new_run(whole, quiet(), interrupts)
    advance = Course.advance

    def stopping(course: Course, kind: str = "generation") -> None:
        advance(course, kind)  # type: ignore[arg-type] # a kind
        if course.history.generation == cut:
            interrupts.stop = True

    with monkeypatch.context() as patch:
        patch.setattr(Course, "advance", stopping)
        run.grow()
    assert len(steps_of(run.folder.path)) == cut
    assert digest(resume(run.folder.path)) == digest(grow(whole))


def test_a_finished_run_can_be_refined_and_then_only_forked(settings: RunSettings) -> None:
    short = replace(settings, generations=3)
    folder = resume(grow(short), refine=2)
    assert digest(folder) == digest(grow(replace(short, refine=2)))
    with pytest.raises(BadRequestError, match=r"was refined after generation 3.*fork --at 3"):
        resume_run(folder, {"generations": 9}, quiet(), Interrupts())
    assert digest(fork(folder, generations=5, refine=0)) == digest(
        grow(replace(settings, generations=5))
    )


def test_what_has_no_single_gradient_is_refused_at_once(settings: RunSettings) -> None:
    with pytest.raises(ConfigError, match="--refine follows the gradient of similarity alone"):
        new_run(replace(settings, algorithm="nsga2", refine=3), quiet(), Interrupts())


@pytest.mark.parametrize("algorithm", ["map-elites", "cma-me"])
def test_an_archive_is_filled_and_resumed(settings: RunSettings, algorithm: str) -> None:
    wanted = replace(
        settings,
        algorithm=algorithm,
        measures=("a car|the city", "yellow|a"),
        parameters={"best_of": "12", "cells": "5"},
    )
    folder = grow(wanted)
    last = steps_of(folder)[-1]
    assert last.objectives.shape == (6, 1 + 2)
    assert last.conditions.measures == wanted.measures
    assert verify_run(folder).generations == 6
    short = grow(replace(wanted, generations=4))
    assert digest(resume(short, generations=6)) == digest(folder)
    archive = np.load(folder / "populations" / "000006.npz")
    assert archive["measures"].shape == (len(archive["genomes"]), 2)
    assert archive["heat_map"].shape == (5, 5)
    assert np.nanmin(archive["heat_map"]) == archive["objectives"].min()
    assert archive["edges_0"].shape == (6,)
    refined = grow(replace(wanted, generations=3, refine=1))
    with np.load(refined / "populations" / "000003.npz") as kept:  # as evolution left it
        assert kept["heat_map"].shape == (5, 5)


def test_measures_that_are_none_are_refused(settings: RunSettings) -> None:
    for measure in ("day", "day|", "day|night|noon"):
        wrong = replace(settings, algorithm="cma-me", measures=(measure,))
        with pytest.raises(ConfigError, match="a measure lies between two prompts"):
            new_run(wrong, quiet(), Interrupts())


@pytest.mark.parametrize("algorithm", ["ga", "nsga2", "de"])
def test_legacy_runs_repeat_and_score_otherwise(settings: RunSettings, algorithm: str) -> None:
    wanted = replace(settings, algorithm=algorithm, profile="legacy")
    folder = grow(wanted)
    assert verify_run(folder, evaluate=4).evaluated == 4
    step = steps_of(folder)[-1]
    assert step.conditions.profile == "legacy"
    if algorithm == "nsga2":
        assert step.realism is not None
        assert (step.objectives[:, 1] == np.maximum(0, 1 - step.realism)).all()
