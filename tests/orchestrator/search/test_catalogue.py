import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import orchestrator.search
from orchestrator.search import default_algorithm, describe_algorithms, make_algorithm
from protocol.errors import BadRequestError, ConfigError
from protocol.latent import LatentSpace


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
        )
        assert algorithm.name == info.name
        assert set(algorithm.settings.parameters) == {p.name for p in info.parameters}
        for _ in range(6):
            batch = algorithm.ask()
            assert len(batch) == info.least_population
            algorithm.tell(np.zeros((len(batch), objectives)) + batch[:, :1].astype(float))


@pytest.mark.parametrize(
    ("name", "rest", "words"),
    [
        ("cmaes", {}, "no search algorithm called 'cmaes'; did you mean 'cma'.*known: cma, ga"),
        ("zzz", {}, "did you mean"),
        ("ga", {"parameters": {"sigm": 1}}, "no parameter of ga called 'sigm'.*mean 'sigma'"),
        ("random", {"parameters": {"x": 1}}, "none at all"),
        ("ga", {"parameters": {"crossover": 1.5}}, "'crossover' of ga must be from 0 to 1.*1.5"),
        ("ga", {"parameters": {"sigma": "wide"}}, "'sigma' of ga must be .*'wide'"),
        ("ga", {"parameters": {"sigma": "nan"}}, "'sigma' of ga must be"),
        ("de", {"parameters": {"variant": "rand/2"}}, "must be rand/1 or best/1 or current"),
        ("cma", {"population": 3}, "cma needs a population of at least 4, but got 3"),
        ("ga", {"population": 0}, "at least 2"),
        ("ga", {"objectives": 2}, "ga minimises one objective, but got 2; use nsga2"),
        ("cma", {"objectives": 2}, "use nsga2"),
        ("nsga2", {"objectives": 1}, "nsga2 trades several objectives off, but got 1; use cma"),
        ("ga", {"objectives": 0}, "at least 1 objective"),
        ("ga", {"seed": -1}, "a seed is 0 or more"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    name: str, rest: dict[str, Any], words: str, real_space: LatentSpace
) -> None:
    settings = {"population": 8, "seed": 0, **rest}
    with pytest.raises(ConfigError, match=words):
        make_algorithm(name, real_space, **settings)


@pytest.mark.parametrize(("name", "segment"), [("cma", "count"), ("de", "tokens")])
def test_kinds_that_an_algorithm_cannot_search_are_refused(
    name: str, segment: str, mixed_space: LatentSpace
) -> None:
    with pytest.raises(ConfigError, match=rf"{name} searches real .*'{segment}'.*use ga"):
        make_algorithm(name, mixed_space, population=8, seed=0)


def test_a_space_that_cannot_be_searched_is_refused() -> None:
    with pytest.raises(BadRequestError, match="no segments"):
        make_algorithm("ga", LatentSpace("none", ()), population=8, seed=0)


def test_numbers_may_be_written_as_text(real_space: LatentSpace) -> None:
    made = make_algorithm("cma", real_space, population=8, seed=0, parameters={"sigma0": "0.5"})
    assert made.settings.number("sigma0") == 0.5


def test_the_default_fits_the_space(real_space: LatentSpace, mixed_space: LatentSpace) -> None:
    assert default_algorithm(real_space) == "cma"
    assert default_algorithm(mixed_space) == "ga"
    assert default_algorithm(real_space, 2) == "nsga2"
