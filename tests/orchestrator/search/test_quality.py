"""Each algorithm searches: fixed seeds, equal evaluations, margins far from the edge."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from orchestrator.search import make_algorithm
from protocol.latent import LatentSpace, Segment

Genes = npt.NDArray[np.float64]
EVALUATIONS = 1600
SPACE = LatentSpace("z", (Segment("z", "real", 64, -10, 10, "normal"),))
CENTRE = np.random.default_rng(99).standard_normal(64)


def best(
    name: str,
    space: LatentSpace,
    objective: Callable[[Genes], Genes],
    population: int = 16,
    **parameters: float | str,
) -> float:
    algorithm = make_algorithm(name, space, population=population, seed=2, parameters=parameters)
    lowest = np.inf
    for _ in range(EVALUATIONS // population):
        values = objective(algorithm.ask().astype(float))
        lowest = min(lowest, values.min())
        algorithm.tell(values[:, None])
    return lowest


def sphere(genomes: Genes) -> Genes:
    return ((genomes - CENTRE) ** 2).sum(axis=1)


@pytest.mark.parametrize(
    ("name", "parameters", "share"),
    [
        ("cma", {}, 0.1),
        ("ga", {}, 0.3),
        ("de", {}, 0.9),
        ("de", {"variant": "best/1"}, 0.5),
        ("de", {"variant": "current-to-best/1"}, 0.5),
        ("de", {"variant": "best/1", "dither": "none", "scale": "0.5", "crossover": 0.9}, 0.9),
    ],
)
def test_beats_random_on_a_sphere_by_a_real_margin(
    name: str, parameters: dict[str, float | str], share: float
) -> None:
    assert best(name, SPACE, sphere, **parameters) < share * best("random", SPACE, sphere)


def test_ga_finds_tokens_bits_and_counts() -> None:
    space = LatentSpace(
        "mixed",
        (
            Segment("tokens", "categorical", 8, 0, 9, "uniform"),
            Segment("bits", "binary", 24, 0, 1, "uniform"),
            Segment("counts", "integer", 8, 0, 50, "uniform"),
        ),
    )
    wanted = np.concatenate([np.arange(8), np.ones(24), np.full(8, 20)])

    def misses(genomes: Genes) -> Genes:
        return (np.abs(genomes - wanted) > np.repeat([0, 0, 2], [8, 24, 8])).sum(axis=1)

    found = best("ga", space, misses, flip=0.05)
    assert found <= 4
    assert best("random", space, misses) >= 3 * max(found, 1)


def zdt1(genomes: Genes) -> Genes:
    """Zitzler, Deb and Thiele 2000: the front is f2 = 1 - sqrt(f1)."""
    first = genomes[:, 0]
    slope = 1 + 9 * genomes[:, 1:].mean(axis=1)
    return np.stack([first, slope * (1 - np.sqrt(first / slope))], axis=1)


def test_nsga2_approaches_the_front_of_zdt1_and_spreads_over_it() -> None:
    space = LatentSpace("unit", (Segment("x", "real", 10, 0, 1, "uniform"),))
    gaps = {}
    for name in ("nsga2", "random"):
        algorithm = make_algorithm(name, space, population=32, objectives=2, seed=1)
        for _ in range(60):
            algorithm.tell(zdt1(algorithm.ask().astype(float)))
        first, second = algorithm.population.objectives.T
        gaps[name] = (second - (1 - np.sqrt(first))).mean()
        if name == "nsga2":
            assert np.ptp(first) > 0.7
    assert gaps["nsga2"] < 0.1
    assert gaps["random"] > 5 * gaps["nsga2"]


def test_nsga2_takes_three_objectives() -> None:
    space = LatentSpace("unit", (Segment("x", "real", 3, 0, 1, "uniform"),))
    algorithm = make_algorithm("nsga2", space, population=12, objectives=3, seed=1)
    for _ in range(20):
        algorithm.tell(algorithm.ask().astype(np.float64))
    assert algorithm.population.objectives.sum(axis=1).mean() < 0.5


def test_random_keeps_the_best_it_ever_saw(real_space: LatentSpace) -> None:
    algorithm = make_algorithm("random", real_space, population=5, seed=0)
    seen = []
    for _ in range(7):
        values = (algorithm.ask().astype(float) ** 2).sum(axis=1, keepdims=True)
        seen.extend(values.ravel())
        algorithm.tell(values)
    assert algorithm.population.objectives.ravel().tolist() == sorted(seen)[:5]


@pytest.mark.parametrize("name", ["ga", "nsga2", "cma"])
def test_the_search_starts_from_the_best_of_its_random_generations(
    name: str, real_space: LatentSpace
) -> None:
    count = 2 if name == "nsga2" else 1
    algorithm = make_algorithm(
        name, real_space, population=8, objectives=count, seed=3, parameters={"start": 3}
    )
    batches = []
    for _ in range(3):
        batches.append(algorithm.ask())
        values = (batches[-1] ** 2).sum(1, dtype=np.float64)
        algorithm.tell(np.stack([values] * count, axis=1))
    fresh = np.concatenate(batches)
    assert len(np.unique(fresh, axis=0)) == 24
    assert 0.7 < fresh.std() < 1.3  # standard normal, not bred from one another
    best = fresh[(fresh**2).sum(1, dtype=np.float64).argmin()]
    following = algorithm.ask()
    nearest = np.abs(following - best).sum(1).min()
    assert nearest < np.abs(fresh[:-1] - fresh[1:]).sum(1).min()
