import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import orchestrator.search
from orchestrator.search import describe_algorithms, make_algorithm
from protocol.errors import BadRequestError, ConfigError
from protocol.latent import LatentSpace, Segment


def test_importing_the_search_imports_no_optimiser() -> None:
    code = (
        "import sys, orchestrator.search as s; s.describe_algorithms();"
        "print([m for m in ('pymoo', 'cma', 'matplotlib', 'scipy', 'torch') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_public_names_are_those_in_all() -> None:
    for name in orchestrator.search.__all__:
        assert hasattr(orchestrator.search, name)
    assert orchestrator.search.__all__ == sorted(orchestrator.search.__all__)


def test_every_default_is_allowed_and_described() -> None:
    for info in describe_algorithms():
        assert info.meaning
        for parameter in info.parameters:
            assert parameter.meaning
            assert parameter.allowed
            if parameter.choices:
                assert parameter.default in parameter.choices
            else:
                assert parameter.low <= parameter.default <= parameter.high


def test_every_algorithm_is_made_under_its_own_name(real_space: LatentSpace) -> None:
    for info in describe_algorithms():
        objectives = 2 if info.objectives == "several" else 1
        algorithm = make_algorithm(
            info.name,
            real_space,
            population=info.least_population,
            objectives=objectives,
            seed=0,
            measures=int(info.measures),
        )
        assert algorithm.name == info.name
        assert set(algorithm.settings.parameters) == {p.name for p in info.parameters}
        for _ in range(6):
            batch = algorithm.ask()
            assert len(batch) == info.least_population
            columns = algorithm.settings.columns
            algorithm.tell(np.zeros((len(batch), columns)) + batch[:, :1].astype(float))


@pytest.mark.parametrize(
    ("name", "rest", "words"),
    [
        (
            "cmaes",
            {},
            "no search algorithm called 'cmaes'; did you mean 'cma-es'.*known: sep-cma-es, cma-es",
        ),
        ("zzz", {}, "did you mean"),
        ("ga", {"parameters": {"sigm": 1}}, "no parameter of ga called 'sigm'.*mean 'sigma'"),
        ("random", {"parameters": {"x": 1}}, "none at all"),
        ("ga", {"parameters": {"crossover": 1.5}}, "'crossover' of ga must be from 0 to 1.*1.5"),
        ("ga", {"parameters": {"sigma": "wide"}}, "'sigma' of ga must be .*'wide'"),
        ("ga", {"parameters": {"sigma": "nan"}}, "'sigma' of ga must be"),
        ("de", {"parameters": {"variant": "rand/2"}}, "must be rand/1 or best/1 or current"),
        ("sep-cma-es", {"population": 3}, "sep-cma-es needs a population of at least 4, but got 3"),
        ("ga", {"population": 0}, "at least 2"),
        ("ga", {"objectives": 2}, "ga minimises one objective, but got 2; use nsga2"),
        ("sep-cma-es", {"objectives": 2}, "use nsga2"),
        (
            "nsga2",
            {"objectives": 1},
            "nsga2 trades several objectives off, but got 1; use ga",
        ),
        ("ga", {"objectives": 0}, "at least 1 objective"),
        ("ga", {"seed": -1}, "a seed is 0 or more"),
        ("ga", {"measures": 1}, "ga takes no measures; choose --algorithm map-elites or cma-me"),
        ("cma-me", {}, 'cma-me fills an archive.*--measure "day|night"'),
        ("map-elites", {"measures": 4}, "more than 4096 cells; take fewer measures, or fewer"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    name: str, rest: dict[str, Any], words: str, real_space: LatentSpace
) -> None:
    settings = {"population": 8, "seed": 0, **rest}
    with pytest.raises(ConfigError, match=words):
        make_algorithm(name, real_space, **settings)


@pytest.mark.parametrize(("name", "segment"), [("sep-cma-es", "count"), ("de", "tokens")])
def test_kinds_that_an_algorithm_cannot_search_are_refused(
    name: str, segment: str, mixed_space: LatentSpace
) -> None:
    with pytest.raises(ConfigError, match=rf"{name} searches real .*'{segment}'.*use ga"):
        make_algorithm(name, mixed_space, population=8, seed=0)


def test_a_space_that_cannot_be_searched_is_refused() -> None:
    with pytest.raises(BadRequestError, match="no segments"):
        make_algorithm("ga", LatentSpace("none", ()), population=8, seed=0)


def test_numbers_may_be_written_as_text(real_space: LatentSpace) -> None:
    made = make_algorithm(
        "sep-cma-es", real_space, population=8, seed=0, parameters={"sigma0": "0.5"}
    )
    assert made.settings.number("sigma0") == 0.5


@pytest.mark.parametrize("name", ["cma-es", "sep-cma-es"])
def test_a_single_gene_is_refused_by_what_breaks_on_it(name: str) -> None:
    space = LatentSpace("u", (Segment("u", "real", 1, 0, 1, "uniform"),))
    with pytest.raises(ConfigError, match="two genes or more, but latent space 'u' has one"):
        make_algorithm(name, space, population=4, seed=0)


@pytest.mark.parametrize(
    "name", [info.name for info in describe_algorithms() if not info.name.endswith("cma-es")]
)
def test_the_smallest_population_searches_a_single_gene(name: str) -> None:
    info = next(one for one in describe_algorithms() if one.name == name)
    space = LatentSpace("u", (Segment("u", "real", 1, 0, 1, "uniform"),))
    objectives, measures = 1 + (info.objectives == "several"), int(info.measures)
    algorithm = make_algorithm(
        name,
        space,
        population=info.least_population,
        objectives=objectives,
        seed=0,
        measures=measures,
    )
    for _ in range(40):
        genomes = algorithm.ask()
        assert genomes.shape == (info.least_population, 1)
        algorithm.tell(np.hstack([genomes, 1 - genomes])[:, : objectives + measures])
    assert algorithm.population.any_scored
