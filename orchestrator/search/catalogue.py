"""Every search algorithm by name: what it is for, what can be set, and how to make one.

`describe_algorithms` is what `orchestrator algorithms` prints; `make_algorithm` is the only way to
make one, so that settings are checked in one place. Importing this module imports no optimiser:
an algorithm's own module is imported when one is made.
"""

import difflib
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from orchestrator.search.algorithm import Algorithm, Settings
from orchestrator.search.space import layout
from protocol.errors import ConfigError
from protocol.latent import LatentSpace, SegmentKind

T = TypeVar("T")
Wanted = Literal["one", "several", "any"]


@dataclass(frozen=True)
class Parameter:
    """One thing that can be set.

    Attributes:
        name: how it is written.
        default: its value when nothing is said; a word if `choices` are given, else a number.
        meaning: one line.
        low: least value of a number, inclusive.
        high: greatest value of a number, inclusive.
        choices: the words that are allowed.
    """

    name: str
    default: float | str
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The range or the choices, in words."""
        if self.choices:
            return " or ".join(self.choices)
        return f"from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class AlgorithmInfo:
    """One algorithm.

    Attributes:
        name: how it is chosen.
        meaning: one line.
        objectives: how many it can minimise.
        least_population: the smallest batch it works with.
        kinds: the kinds of segments it can search.
        parameters: what can be set.
        module: where its class lives, imported when one is made.
        class_name: its class.
    """

    name: str
    meaning: str
    objectives: Wanted
    least_population: int
    kinds: tuple[SegmentKind, ...]
    parameters: tuple[Parameter, ...]
    module: str
    class_name: str


ALL_KINDS: tuple[SegmentKind, ...] = ("real", "integer", "categorical", "binary")

START = Parameter("start", 4, "random generations whose best begin the search", 1, 1000)

GENETIC = (
    START,
    Parameter("crossover", 0.9, "share of matings that mix their parents' genes", 0, 1),
    Parameter("mutation", 0.1, "share of genes changed in a child (bits: see flip)", 0, 1),
    Parameter("flip", 0.01, "share of bits flipped in a child", 0, 1),
    Parameter("sigma", 0.3, "length of a mutation step, in spreads of a fresh gene", 1e-6, 10),
)

ALGORITHMS: tuple[AlgorithmInfo, ...] = (
    AlgorithmInfo(
        name="cma",
        meaning="sep-CMA-ES: adapts a normal distribution; best per evaluation on real numbers",
        objectives="one",
        least_population=4,
        kinds=("real",),
        parameters=(
            START,
            Parameter("sigma0", 0.3, "first step size, in spreads of a fresh gene", 1e-6, 10),
        ),
        module="orchestrator.search.cma_es",
        class_name="SepCmaEs",
    ),
    AlgorithmInfo(
        name="ga",
        meaning="genetic algorithm: breeds the best, for genes of any kind",
        objectives="one",
        least_population=2,
        kinds=ALL_KINDS,
        parameters=GENETIC,
        module="orchestrator.search.ga",
        class_name="GeneticAlgorithm",
    ),
    AlgorithmInfo(
        name="nsga2",
        meaning="NSGA-II: a genetic algorithm that keeps the best trade-offs of several objectives",
        objectives="several",
        least_population=4,
        kinds=ALL_KINDS,
        parameters=GENETIC,
        module="orchestrator.search.nsga2",
        class_name="Nsga2",
    ),
    AlgorithmInfo(
        name="de",
        meaning="differential evolution: steps along differences between members",
        objectives="one",
        least_population=4,
        kinds=("real", "integer"),
        parameters=(
            Parameter(
                "variant",
                "rand/1",
                "where a step starts, with binomial crossover",
                choices=("rand/1", "best/1", "current-to-best/1"),
            ),
            Parameter("scale", 0.3, "F, length of a step as a share of the difference", 0, 2),
            Parameter(
                "dither",
                "vector",
                "vector: each row draws its F between scale and 1",
                choices=("vector", "none"),
            ),
            Parameter("crossover", 0.5, "CR, share of genes taken from the step", 0, 1),
        ),
        module="orchestrator.search.de",
        class_name="DifferentialEvolution",
    ),
    AlgorithmInfo(
        name="random",
        meaning="random search: keeps the best of fresh genomes; the baseline",
        objectives="any",
        least_population=1,
        kinds=ALL_KINDS,
        parameters=(),
        module="orchestrator.search.random_search",
        class_name="RandomSearch",
    ),
)


def describe_algorithms() -> tuple[AlgorithmInfo, ...]:
    """Every algorithm with its parameters, in the order in which to show them."""
    return ALGORITHMS


def default_algorithm(space: LatentSpace, objectives: int = 1) -> str:
    """The name of the algorithm to use when nothing is said."""
    if objectives > 1:
        return "nsga2"
    return "cma" if all(segment.kind == "real" for segment in space.segments) else "ga"


def make_algorithm(
    name: str,
    space: LatentSpace,
    *,
    population: int,
    objectives: int = 1,
    seed: int,
    parameters: Mapping[str, float | str] | None = None,
) -> Algorithm:
    """A fresh algorithm, ready for its first `ask`.

    Args:
        name: which one, as in `describe_algorithms`.
        space: what to search.
        population: rows in each batch.
        objectives: values for each row, all minimised.
        seed: of its random generator, 0 or more.
        parameters: what differs from the defaults; numbers may be written as text.

    Raises:
        ConfigError: an unknown name or parameter, a value that is not allowed, or a population,
            number of objectives or kind of segment that the algorithm cannot work with.
        BadRequestError: the space itself cannot be searched.
    """
    info = check_choice(name, population=population, seed=seed, parameters=parameters)
    layout(space)
    _check_fit(info, space, objectives)
    settings = Settings(space, population, objectives, seed, _complete(info, parameters or {}))
    module = importlib.import_module(info.module)
    make = cast("Callable[[Settings], Algorithm]", getattr(module, info.class_name))
    return make(settings)


def check_choice(
    name: str,
    *,
    population: int,
    seed: int = 0,
    parameters: Mapping[str, float | str] | None = None,
) -> AlgorithmInfo:
    """The algorithm of that name, if it can work so: all that is known before a latent space is.

    Raises:
        ConfigError: an unknown name or parameter, or a value or population that is not allowed.
    """
    info = _known(name, {info.name: info for info in ALGORITHMS}, "search algorithm")
    _complete(info, parameters or {})
    if population < info.least_population:
        raise ConfigError(
            f"{info.name} needs a population of at least {info.least_population}, "
            f"but got {population}"
        )
    if seed < 0:
        raise ConfigError(f"a seed is 0 or more, but got {seed}")
    return info


def _check_fit(info: AlgorithmInfo, space: LatentSpace, objectives: int) -> None:
    """Refuse what the algorithm cannot work with."""
    if objectives < 1:
        raise ConfigError(f"a search needs at least 1 objective, but got {objectives}")
    if info.objectives == "one" and objectives > 1:
        raise ConfigError(
            f"{info.name} minimises one objective, but got {objectives}; use nsga2 for several"
        )
    if info.objectives == "several" and objectives == 1:
        raise ConfigError(
            f"{info.name} trades several objectives off, but got 1; "
            f"use {default_algorithm(space)} for one"
        )
    for segment in space.segments:
        if segment.kind not in info.kinds:
            raise ConfigError(
                f"{info.name} searches {' and '.join(info.kinds)} segments, but '{segment.name}' "
                f"of latent space '{space.name}' is {segment.kind}; "
                f"use {default_algorithm(space, objectives)}"
            )


def _complete(info: AlgorithmInfo, given: Mapping[str, float | str]) -> dict[str, float | str]:
    """Every parameter with its value, given or default."""
    known = {parameter.name: parameter for parameter in info.parameters}
    values = {parameter.name: parameter.default for parameter in info.parameters}
    for name, value in given.items():
        values[name] = _value(info, _known(name, known, f"parameter of {info.name}"), value)
    return values


def _value(info: AlgorithmInfo, parameter: Parameter, value: float | str) -> float | str:
    """The value as a word or a number, if it is allowed."""
    refusal = ConfigError(
        f"parameter '{parameter.name}' of {info.name} must be {parameter.allowed}, "
        f"but got {value!r}"
    )
    if parameter.choices:
        if value not in parameter.choices:
            raise refusal
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise refusal from None
    if not parameter.low <= number <= parameter.high:
        raise refusal
    return number


def _known(name: str, known: Mapping[str, T], what: str) -> T:
    """The entry called `name`, or a refusal that names the nearest one."""
    if name in known:
        return known[name]
    if not known:
        raise ConfigError(f"there is no {what} called '{name}', and none at all")
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise ConfigError(
        f"there is no {what} called '{name}'; did you mean '{nearest}'? known: {', '.join(known)}"
    )
