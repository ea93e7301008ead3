"""Searches whose objectives a remote service computes go as they do in one process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UX
from pymoo.optimize import minimize

from orchestrator.search import Genomes, make_algorithm
from orchestrator.search.genetic import SpaceMutation, SpaceSampling
from orchestrator.search.operators import Strength
from protocol.client import Client, Service
from protocol.latent import LatentSpace, Segment
from protocol.messages import Score, Scores
from protocol.tensors import TensorWriter
from tests.orchestrator.search import problem_scorer

GENERATIONS = 25
POPULATION = 20


class InOneProcess(Problem):
    """The same function of the same float32 genomes, without a service."""

    def __init__(self, name: str) -> None:
        plain = problem_scorer.problem(name)
        super().__init__(n_var=plain.n_var, n_obj=plain.n_obj, xl=plain.xl[0], xu=plain.xu[0])
        self._name = name

    def _evaluate(self, x: Genomes, out: dict[str, Any], *_: object, **__: object) -> None:
        out["F"] = problem_scorer.values(self._name, x)


class Remote:
    """A scorer in another process."""

    def __init__(self, client: Client, service: Service) -> None:
        self._client, self._service = client, service

    def values(self, name: str, genomes: Genomes, objectives: int) -> np.ndarray:
        columns = []
        for objective in range(objectives):
            writer = TensorWriter()
            pictures = problem_scorer.as_pictures(name, objective, genomes)
            call = Score(images=writer.add(pictures))
            answer = self._client.call(self._service, call, writer.frames).answer()
            assert isinstance(answer.reply.result, Scores)
            columns.append(answer.tensor(answer.reply.result.logits).astype(np.float64))
        return np.stack(columns, axis=1)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    height, width = problem_scorer.SIDES
    named = f"{problem_scorer.__file__}:score"
    command = [sys.executable, "-P", "-m", "services", "scorer", named, "--owned"]
    sides = ["--height", str(height), "--width", str(width)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("remote")))
        with subprocess.Popen(
            [*command, *sides],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        ) as process:
            assert process.stdin
            assert process.stdout
            said = dict(word.split("=", 1) for word in process.stdout.readline().split()[1:])
            with Client("test") as client:
                yield Remote(client, client.connect(said["endpoint"], "scorer"))
            process.stdin.close()
            assert process.wait(20) == 0


@pytest.mark.parametrize("name", problem_scorer.PROBLEMS)
def test_a_remote_search_is_pymoos_own_bit_for_bit(name: str, remote: Remote) -> None:
    problem = InOneProcess(name)
    low, high = float(problem.xl.min()), float(problem.xu.max())
    space = LatentSpace("x", (Segment("x", "real", problem_scorer.GENES, low, high, "uniform"),))
    plain = GA if problem.n_obj == 1 else NSGA2
    reference = plain(
        pop_size=POPULATION,
        sampling=SpaceSampling(space),
        crossover=UX(prob=0.9),
        mutation=SpaceMutation(space, Strength(0.1, 0.01, 0.3)),
    )
    local = minimize(problem, reference, ("n_gen", GENERATIONS), seed=5)

    ours = make_algorithm(
        "ga" if problem.n_obj == 1 else "nsga2",
        space,
        population=POPULATION,
        objectives=problem.n_obj,
        seed=5,
        parameters={"best_of": 0},
    )
    for _ in range(GENERATIONS):
        ours.tell(remote.values(name, ours.ask(), problem.n_obj))
    assert ours.population.genomes.tobytes() == local.pop.get("X").tobytes()
    assert (ours.population.objectives == local.pop.get("F")).all()
