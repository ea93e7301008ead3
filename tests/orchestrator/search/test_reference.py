"""Our wrappers against the libraries driven plainly, and DE against its formula."""

import warnings
from typing import Any

import cma
import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UX
from pymoo.optimize import minimize

from orchestrator.search import Genomes, Objectives, make_algorithm
from orchestrator.search.de import _partners
from orchestrator.search.genetic import SpaceMutation, SpaceSampling
from orchestrator.search.operators import Strength
from orchestrator.search.space import sample
from protocol.latent import LatentSpace, Segment

GENERATIONS = 8


def score(genomes: Genomes, count: int) -> Objectives:
    return np.stack(
        [((genomes.astype(np.float64) - c) ** 2).sum(axis=1) for c in range(count)], axis=1
    )


class Plain(Problem):
    def __init__(self, space: LatentSpace, count: int) -> None:
        super().__init__(n_var=space.size, n_obj=count, xl=-10, xu=10)
        self.asked = []

    def _evaluate(self, x: Genomes, out: dict[str, Any], *_: object, **__: object) -> None:
        self.asked.append(np.array(x))
        out["F"] = score(x, self.n_obj)


@pytest.mark.parametrize(("name", "plain", "count"), [("ga", GA, 1), ("nsga2", NSGA2, 2)])
def test_genetic_search_is_plain_pymoo_with_the_same_operators(
    name: str, plain: Any, count: int, real_space: LatentSpace
) -> None:
    problem = Plain(real_space, count)
    reference = plain(
        pop_size=9,
        sampling=SpaceSampling(real_space),
        crossover=UX(prob=0.9),
        mutation=SpaceMutation(real_space, Strength(0.1, 0.01, 0.3)),
    )
    result = minimize(problem, reference, ("n_gen", GENERATIONS), seed=11)

    ours = make_algorithm(
        name, real_space, population=9, objectives=count, seed=11, parameters={"best_of": 0}
    )
    for expected in problem.asked:
        genomes = ours.ask()
        assert genomes.tobytes() == expected.tobytes()
        ours.tell(score(genomes, count))
    assert ours.generation == GENERATIONS
    assert ours.population.genomes.tobytes() == result.pop.get("X").tobytes()
    assert (ours.population.objectives == result.pop.get("F")).all()


@pytest.mark.parametrize(("name", "diagonal"), [("sep-cma-es", True), ("cma-es", False)])
def test_cma_is_plain_cma_fed_with_values_instead_of_ranks(
    name: str, diagonal: bool, real_space: LatentSpace
) -> None:
    rng = np.random.default_rng(11)
    first = sample(real_space, 8, rng)
    plain = cma.CMAEvolutionStrategy(
        first[np.argmin(score(first, 1))].astype(np.float64),
        0.3,
        {
            "popsize": 8,
            "CMA_diagonal": diagonal,
            "bounds": [-10, 10],
            "seed": np.nan,
            "randn": lambda *shape: rng.standard_normal(shape),
            "verbose": -11,
        },
    )
    ours = make_algorithm(name, real_space, population=8, seed=11, parameters={"best_of": 0})
    assert ours.ask().tobytes() == first.tobytes()
    ours.tell(score(first, 1))
    for _ in range(30):
        solutions = plain.ask()
        genomes = ours.ask()
        assert genomes.tobytes() == np.array(solutions).astype(np.float32).tobytes()
        values = score(genomes, 1)
        plain.tell(solutions, values[:, 0].tolist())
        ours.tell(values)


def test_cma_leaves_the_global_generator_alone_in_large_spaces_too() -> None:
    space = LatentSpace("z", (Segment("z", "real", 320, -10, 10, "normal"),))
    before = np.random.get_state()  # noqa: NPY002 - two-point adaptation, from 300 genes on
    algorithm = make_algorithm("sep-cma-es", space, population=4, seed=0)
    for _ in range(8):
        algorithm.tell(score(algorithm.ask(), 1))
    after = np.random.get_state()  # noqa: NPY002
    assert (before[1] == after[1]).all()
    assert before[2] == after[2]


def test_cma_changes_no_warnings_filter(real_space: LatentSpace) -> None:
    before = list(warnings.filters)
    algorithm = make_algorithm("sep-cma-es", real_space, population=4, seed=0)
    for _ in range(3):
        algorithm.tell(score(algorithm.ask(), 1))
    assert list(warnings.filters) == before


@pytest.mark.parametrize("variant", ["rand/1", "best/1", "current-to-best/1"])
def test_de_trials_are_its_formula(variant: str, real_space: LatentSpace) -> None:
    algorithm = make_algorithm(
        "de",
        real_space,
        population=6,
        seed=4,
        parameters={"variant": variant, "F": 0.4, "dither": "none", "CR": 1.0, "best_of": 0},
    )
    targets = algorithm.ask().astype(np.float64)
    values = score(targets, 1)
    algorithm.tell(values)
    rng = np.random.default_rng(4)
    sample(real_space, 6, rng)
    a, b, c = _partners(6, 3, rng)
    best = targets[np.argmin(values)]
    start = {
        "rand/1": targets[a],
        "best/1": np.broadcast_to(best, targets.shape),
        "current-to-best/1": targets + 0.4 * (best - targets),
    }[variant]
    assert np.allclose(algorithm.ask(), start + 0.4 * (targets[b] - targets[c]), atol=1e-6)


def test_de_partners_are_different_others() -> None:
    for seed in range(20):
        rows = _partners(5, 3, np.random.default_rng(seed))
        for row, partners in enumerate(rows.T):
            assert len({row, *partners.tolist()}) == 4


def test_de_keeps_a_target_unless_its_trial_is_no_worse(real_space: LatentSpace) -> None:
    algorithm = make_algorithm("de", real_space, population=4, seed=0, parameters={"best_of": 0})
    first = algorithm.ask()
    algorithm.tell(np.array([[1.0], [2.0], [3.0], [4.0]]))
    trials = algorithm.ask()
    algorithm.tell(np.array([[0.5], [2.0], [3.5], [np.nan]]))
    expected = np.array([trials[0], trials[1], first[2], first[3]])
    assert algorithm.population.genomes.tobytes() == expected.tobytes()
    assert algorithm.population.objectives.ravel().tolist() == [0.5, 2.0, 3.0, 4.0]


def test_de_genes_out_of_bounds_go_half_way_to_the_bound() -> None:
    space = LatentSpace("unit", (Segment("x", "real", 40, 0, 1, "uniform"),))
    algorithm = make_algorithm(
        "de",
        space,
        population=6,
        seed=0,
        parameters={"F": 2.0, "dither": "none", "CR": 1.0, "best_of": 0},
    )
    targets = algorithm.ask().astype(np.float64)
    algorithm.tell(score(targets, 1))
    rng = np.random.default_rng(0)
    sample(space, 6, rng)
    a, b, c = _partners(6, 3, rng)
    donors = targets[a] + 2 * (targets[b] - targets[c])
    trials = algorithm.ask()
    assert np.allclose(trials[donors < 0], targets[donors < 0] / 2, atol=1e-6)
    assert np.allclose(trials[donors > 1], (targets[donors > 1] + 1) / 2, atol=1e-6)
    assert (donors < 0).sum() > 20
    assert (donors > 1).sum() > 20
