"""The search from Python: the same search as the command's, and a notebook that runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import orchestrator
from orchestrator import Connection, Search, connect
from orchestrator.evaluation.evaluator import Evaluation
from orchestrator.runs.journal import Journal
from protocol.errors import BadRequestError, ConfigError, GlasshouseError
from tests.orchestrator.ensemble import grow

Models = dict[str, Path]
NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "search.ipynb"


@pytest.fixture(scope="module")
def ensemble(tiny_models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        models = {role: str(tiny_models[role]) for role in ("generator", "clip")}
        with connect(**models, threads=1) as found:  # type: ignore[arg-type] # roles
            yield found


def search(ensemble: Connection, **changes: Any) -> Search:
    settings = {"population": 6, "seed": 1, "algorithm": "ga", **changes}
    return Search("a yellow car", ensemble, **settings)


def endpoints(ensemble: Connection) -> dict[str, str]:
    return {one.role: one.services[0].session.endpoint for one in ensemble.ensemble.roles}


def test_ask_evaluate_and_tell_go_as_the_command_does(ensemble: Connection, tmp_path: Path) -> None:
    from dataclasses import replace

    mine = search(ensemble)
    run = replace(mine.settings, **endpoints(ensemble), generations=4, runs=tmp_path)  # type: ignore[arg-type] # roles
    with Journal.open(grow(replace(run, baseline=False)) / "journal.sqlite") as journal:
        for step in journal.steps():
            genomes = mine.ask()
            np.testing.assert_array_equal(genomes, step.genomes)
            found = mine.evaluate(genomes)
            np.testing.assert_array_equal(found.similarity, step.similarity)
            mine.tell(found)
    assert mine.generation == 4


def test_diversity_costs_likeness_to_survivors_and_batch_mates(ensemble: Connection) -> None:
    mine = search(ensemble, weights=("diversity=0.5",), parameters={"best_of": 0, "mutation": 0.9})
    mine.tell(mine.evaluate(mine.ask()))
    kept = np.stack([one.embedding for one in mine.population]).astype(np.float64)
    genomes = mine.ask()
    found = mine.evaluate(genomes)
    mine.tell(found)
    looks = found.embeddings.astype(np.float64)
    among = looks @ looks.T - 3 * np.eye(len(looks))
    likeness = np.maximum(among.max(axis=1), (looks @ kept.T).max(axis=1))
    costs = dict(zip(map(bytes, genomes), 1 - found.similarity + 0.5 * likeness, strict=True))
    told = mine._history.algorithm.population
    new = [(bytes(g), float(c)) for g, c in zip(told.genomes, told.objectives[:, 0], strict=True)]
    survived = [(key, cost) for key, cost in new if key in costs]
    assert survived
    for key, cost in survived:
        assert cost == pytest.approx(costs[key], abs=1e-6)


def test_run_calls_back_and_keeps_the_best(ensemble: Connection) -> None:
    mine, seen = search(ensemble), []
    best = mine.run(5, lambda one: seen.append(one.generation), callbacks_each=2)
    assert seen == [2, 4, 5]
    scores = [one.score.similarity for one in mine.population]
    assert scores == sorted(scores, reverse=True)
    assert best.score.similarity == max(mine.curves["best"]) == scores[0]
    again = mine.evaluate(best.genome[None])
    np.testing.assert_array_equal(again.images[0], best.image)
    mine.run(1)
    assert mine.generation == 6
    assert mine.baseline().rows == 512


def test_what_cannot_be_is_said_in_one_sentence(ensemble: Connection) -> None:
    mine = search(ensemble)
    with pytest.raises(BadRequestError, match="nothing was grown yet"):
        _ = mine.best
    genomes = mine.ask()
    with pytest.raises(BadRequestError, match="asked twice"):
        mine.ask()
    found = mine.evaluate(genomes)
    with pytest.raises(BadRequestError, match=r"6 genomes .* it is of 2"):
        mine.tell(found.take([0, 1]))
    mine.tell(found)
    with pytest.raises(BadRequestError, match="without an ask"):
        mine.tell(found)
    with pytest.raises(ConfigError, match="no setting 'generator'; connect names it"):
        search(ensemble, generator="mini-face")
    with pytest.raises(ConfigError, match="no setting 'refine'; the command has it"):
        search(ensemble, refine=30)
    with pytest.raises(ConfigError, match="no setting 'generations'; run takes it"):
        search(ensemble, generations=30)
    with pytest.raises(ConfigError, match=r"no setting 'popsize'; known: .*population"):
        search(ensemble, popsize=3)
    with pytest.raises(ConfigError, match="1 or more"):
        mine.run(0)
    with pytest.raises(GlasshouseError, match="empty"):
        Search(" ", ensemble)


def test_a_search_can_be_told_something_else(ensemble: Connection) -> None:
    """Evaluations are plain arrays: an objective of the user's own needs no service."""
    mine = search(ensemble, parameters={"best_of": 0})
    for _ in range(12):
        found = mine.evaluate(mine.ask())
        darkness = 1 - found.images.mean(axis=(1, 2, 3)) / 255
        mine.tell(Evaluation(found.images, found.embeddings, darkness, None))
    best = mine.curves["best"]
    assert best[-1] > best[0]
    assert (np.diff(best) >= 0).all(), "the GA keeps its best"


def test_the_notebook_runs(ensemble: Connection) -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    first, *rest = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    shown: list[object] = []
    names: dict[str, Any] = {"display": shown.append}
    exec(first, names)
    names["config"] = {**names["config"], **endpoints(ensemble)}
    names.update(generations=3, callbacks_each=2, population_size=8)
    for cell in rest:
        exec(cell, names)
    assert len(shown) == 3, "two callbacks, and the best"
    assert names["search"].generation == 4


def test_only_who_asks_for_the_library_pays_for_it() -> None:
    heavy = {"numpy", "zmq", "pymoo", "torch"}
    script = f"import sys, orchestrator; assert not {heavy!r} & set(sys.modules)\n"
    script += "orchestrator.Search; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Searches'"):
        _ = orchestrator.Searches  # type: ignore[attr-defined] # that is the point
