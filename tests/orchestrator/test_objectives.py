"""What runs minimise, and how it is told: judges of the user's, weighted sums, chance."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.evaluation.evaluator import Float64
from orchestrator.reports.comparison import outcomes
from orchestrator.reports.reading import read_story
from orchestrator.run import plan_of
from orchestrator.runs.journal import Journal, Step
from orchestrator.runs.listing import details
from orchestrator.runs.pictures import read_recipe
from orchestrator.settings import RunSettings
from orchestrator.verify import verify_run
from protocol.errors import BadRequestError, ConfigError
from tests import tiny
from tests.orchestrator.ensemble import Fleet, digest, events, fleet, grow, resume, settings

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


BRIGHTNESS = """
def brightness(images):
    return images.mean(axis=(1, 2, 3)) / 255

def fussy(images):
    return [image.mean() if image.sum() % 2 else float("nan") for image in images]
"""


@pytest.fixture(scope="module")
def scorers(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Endpoints of two judges; `fussy` has no number for about every second picture."""
    del fleet  # its services and theirs share a runtime folder
    path = tmp_path_factory.mktemp("scorers") / "judge.py"
    path.write_text(BRIGHTNESS)
    side = str(tiny.RESOLUTION)
    found, started = {}, []
    for name in ("brightness", "fussy"):
        words = [sys.executable, "-P", "-m", "services", "scorer", f"{path}:{name}", "--owned"]
        process = subprocess.Popen(
            [*words, "--height", side, "--width", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        said = dict(word.split("=", 1) for word in process.stdout.readline().split()[1:])
        found[name] = said["endpoint"]
    yield found
    for process in started:
        process.terminate()
        process.communicate()


def steps(folder: Path) -> list[Step]:
    with Journal.open(folder / "journal.sqlite") as journal:
        return list(journal.steps())


def scored(step: Step) -> Float64:
    assert step.scored is not None
    return step.scored


def test_a_scorer_is_a_third_objective(settings: RunSettings, scorers: Fleet) -> None:
    settings = replace(settings, algorithm="nsga2", scorer=scorers["brightness"])
    folder = grow(settings)
    for step in steps(folder):
        assert step.objectives.shape == (6, 3)
        np.testing.assert_array_equal(step.objectives[:, 2], -scored(step))
    found = {path.stem: read_recipe(path) for path in folder.glob("front-*.png")}
    ends = {"best-match": "similarity", "most-real": "realism", "best-scored": "scorer"}
    assert set(found) == {f"front-{name}" for name in ("knee", *ends)}
    for end, value in ends.items():
        best = max(float(str(recipe[value])) for recipe in found.values())
        assert found[f"front-{end}"][value] == best
    assert all(event["scorer"] for event in events(folder))
    parts = resume(grow(replace(settings, generations=3)), generations=6)
    assert digest(parts) == digest(folder)
    assert verify_run(folder).generations == 6


def test_diversity_is_one_more_objective_of_a_front(settings: RunSettings) -> None:
    settings = replace(settings, algorithm="nsga2", diversity=True, parameters={"best_of": "6"})
    folder = grow(settings)
    for step in steps(folder):
        assert step.objectives.shape == (6, 3)
        assert (np.abs(step.objectives[:, 2]) <= 1 + 1e-6).all()
    found = {path.stem: read_recipe(path)["genome"] for path in folder.glob("front-*.png")}
    ends = ("knee", "best-match", "most-real", "most-unlike")
    assert set(found) == {f"front-{end}" for end in ends}
    with np.load(folder / "populations" / "000006.npz") as last:
        most_unlike = last["genomes"][last["objectives"][:, 2].argmin()]
    assert found["front-most-unlike"] == most_unlike.tolist()
    assert digest(resume(grow(replace(settings, generations=3)), generations=6)) == digest(folder)
    assert "--diversity" in settings.command()


def test_weighed_diversity_keeps_a_population_apart(settings: RunSettings) -> None:
    settings = replace(settings, generations=12, parameters={"best_of": "6"})
    alike = steps(grow(settings))[-1].diversity
    apart = steps(grow(replace(settings, weights=("diversity=2",))))[-1].diversity
    assert apart > 1.5 * alike


def test_a_weighted_sum_is_one_objective(settings: RunSettings, scorers: Fleet) -> None:
    weights = ("scorer=2", "similarity=0.5", "realism=0.25")
    folder = grow(replace(settings, weights=weights, scorer=scorers["brightness"]))
    rows = []
    for step in steps(folder):
        assert step.realism is not None
        real = np.logaddexp(0, -step.realism)
        parts = [0.5 * (1 - step.similarity), -2 * scored(step), 0.25 * real]
        np.testing.assert_allclose(step.objectives, np.sum(parts, axis=0)[:, None], rtol=1e-12)
        rows += list(zip(step.objectives[:, 0], scored(step), strict=True))
    assert read_recipe(folder / "best.png")["scorer"] == min(rows)[1], "the best by the sum"


def test_what_a_scorer_has_no_number_for_ranks_last(settings: RunSettings, scorers: Fleet) -> None:
    folder = grow(replace(settings, weights=("scorer=1",), scorer=scorers["fussy"]))
    missing = sum(int(np.isnan(scored(step)).sum()) for step in steps(folder))
    assert missing, "this judge is fussy"
    assert events(folder)[-1]["failed"] == missing
    best = read_recipe(folder / "best.png")["scorer"]
    assert isinstance(best, float)
    assert np.isfinite(best)
    assert verify_run(folder).generations == 6


ENDPOINT = "ipc:///tmp/judge.sock"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"scorer": "judge.py:f"}, "wants the endpoint of a service"),
        ({"scorer": ENDPOINT}, "how much the scorer counts"),
        ({"weights": ("beauty=1",)}, "a weight is similarity, realism, scorer or diversity"),
        ({"weights": ("realism",)}, "a weight is similarity, realism, scorer or diversity"),
        ({"diversity": True}, "--weight diversity=0.3 in place of --diversity"),
        ({"diversity": True, "weights": ("realism=1",)}, "in place of --diversity"),
        ({"weights": ("realism=nan",)}, "a weight is similarity, realism, scorer or diversity"),
        ({"weights": ("scorer=1",)}, "no scorer to weigh"),
        ({"weights": ("realism=1",), "discriminator": "none"}, "no realism to weigh"),
        ({"weights": ("similarity=0", "realism=0")}, "every --weight is 0"),
        ({"weights": ("realism=1",), "algorithm": "nsga2"}, "leave --weight out"),
        ({"weights": ("realism=1",), "refine": 2}, "leave --refine or --weight out"),
        ({"algorithm": "nsga2", "discriminator": "none"}, "needs a discriminator"),
    ],
)
def test_objectives_that_cannot_be_are_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises((ConfigError, BadRequestError), match=why):
        plan_of(replace(RunSettings("red"), **changes))  # type: ignore[arg-type] # its fields


def test_a_scorer_stands_in_for_a_discriminator() -> None:
    settings = RunSettings("red", algorithm="nsga2", discriminator="none", scorer=ENDPOINT)
    assert plan_of(settings).objectives == 2
    assert f"--scorer {ENDPOINT}" in settings.command()
    weighed = RunSettings("red", weights=("realism=0.3",))
    assert "--weight realism=0.3" in weighed.command()
    assert weighed.weighing == {"similarity": 1.0, "realism": 0.3}
