"""Each algorithm searches: fixed seeds, equal evaluations, margins far from the edge."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from orchestrator.search import Population, Refinement, check_refinable, make_algorithm, sample
from protocol.errors import ConfigError
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
        ("sep-cma-es", {}, 0.1),
        ("cma-es", {}, 0.2),
        ("ga", {}, 0.3),
        ("de", {}, 0.9),
        ("de", {"variant": "best/1"}, 0.5),
        ("de", {"variant": "current-to-best/1"}, 0.5),
        ("de", {"variant": "best/1", "dither": "none", "F": "0.5", "CR": 0.9}, 0.9),
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


@pytest.mark.parametrize("ours", ["nsga2", "nsga3"])
def test_nsga_approaches_the_front_of_zdt1_and_spreads_over_it(ours: str) -> None:
    space = LatentSpace("unit", (Segment("x", "real", 10, 0, 1, "uniform"),))
    gaps = {}
    for name in (ours, "random"):
        algorithm = make_algorithm(name, space, population=32, objectives=2, seed=1)
        for _ in range(60):
            algorithm.tell(zdt1(algorithm.ask().astype(float)))
        first, second = algorithm.population.objectives.T
        gaps[name] = (second - (1 - np.sqrt(first))).mean()
        if name == ours:
            assert np.ptp(first) > 0.7
    assert gaps[ours] < 0.1
    assert gaps["random"] > 5 * gaps[ours]


@pytest.mark.parametrize("name", ["nsga2", "nsga3"])
def test_nsga_takes_three_objectives(name: str) -> None:
    space = LatentSpace("unit", (Segment("x", "real", 3, 0, 1, "uniform"),))
    algorithm = make_algorithm(name, space, population=12, objectives=3, seed=1)
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


@pytest.mark.parametrize("name", ["ga", "nsga2", "nsga3", "de", "sep-cma-es", "cma-es"])
def test_the_search_starts_from_the_best_of_its_random_generations(
    name: str, real_space: LatentSpace
) -> None:
    count = 2 if name.startswith("nsga") else 1
    algorithm = make_algorithm(
        name, real_space, population=8, objectives=count, seed=3, parameters={"best_of": 24}
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


@pytest.mark.parametrize("name", ["map-elites", "cma-me"])
def test_an_archive_keeps_the_best_of_each_cell(name: str) -> None:
    parameters = {"best_of": 64, "cells": 8}
    algorithm = make_algorithm(
        name, SPACE, population=32, seed=1, parameters=parameters, measures=2
    )
    told: dict[tuple[int, ...], float] = {}
    asked, values, places = [], [], []
    for _ in range(30):
        genomes = algorithm.ask().astype(float)
        asked.append(genomes)
        values.append(sphere(genomes))
        places.append(genomes[:, :2])
        algorithm.tell(np.column_stack([values[-1], places[-1]]))
        if len(asked) == 2:
            started = algorithm.heat_map
    found = algorithm.heat_map
    assert started is not None
    assert found is not None
    for value, place in zip(np.concatenate(values), np.concatenate(places), strict=True):
        cell = tuple(
            int(np.clip(np.searchsorted(edges, at, "right") - 1, 0, 7))
            for edges, at in zip(found.edges, place, strict=True)
        )
        told[cell] = min(value, told.get(cell, np.inf))
    assert {cell: found.best[cell] for cell in told} == told
    assert np.isfinite(found.best).sum() == len(told) == len(algorithm.population)
    assert len(told) > 1.3 * np.isfinite(started.best).sum()
    assert np.nanmin(found.best) < 0.8 * np.nanmin(started.best)


def test_refinement_reaches_the_bottom_of_a_bowl_and_leaves_whole_genes_alone() -> None:
    space = LatentSpace(
        "mixed",
        (
            Segment("z", "real", 4, -10, 10, "normal"),
            Segment("bits", "binary", 3, 0, 1, "uniform"),
        ),
    )
    start = sample(space, 5, np.random.default_rng(0))
    first = ((start - 0.5) ** 2).sum(axis=1, keepdims=True, dtype=np.float64)
    search = Refinement(space, Population(start, first))
    for _ in range(150):
        genomes = search.ask().astype(float)
        values = ((genomes - 0.5) ** 2).sum(axis=1)
        search.tell(np.column_stack([values, 2 * (genomes - 0.5)]))
    found = search.population
    np.testing.assert_array_equal(found.genomes[:, 4:], start[:, 4:])
    np.testing.assert_allclose(found.genomes[:, :4], 0.5, atol=0.1)
    assert (found.objectives < first).all()


def test_refinement_is_refused_where_no_gene_is_real(tiny_space: LatentSpace) -> None:
    with pytest.raises(ConfigError, match="has no real genes, so there is no gradient"):
        check_refinable(tiny_space)
