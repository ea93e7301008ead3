"""Making a search algorithm by its name, with all its settings checked in one place.

Importing this module imports no optimiser: an algorithm's own module is imported when one is made.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from orchestrator.search.algorithm import Algorithm, Settings
from orchestrator.search.catalogue import ALGORITHMS, AlgorithmInfo, Parameter
from orchestrator.search.space import layout
from protocol.errors import ConfigError
from protocol.latent import LatentSpace
from protocol.naming import did_you_mean

T = TypeVar("T")


def make_algorithm(
    name: str,
    space: LatentSpace,
    *,
    population: int,
    objectives: int = 1,
    seed: int,
    parameters: Mapping[str, float | str] | None = None,
    measures: int = 0,
) -> Algorithm:
    """A fresh algorithm, ready for its first `ask`.

    Args:
        name: which one, as in `describe_algorithms`.
        space: what to search.
        population: rows in each batch.
        objectives: values for each row, all minimised.
        seed: of its random generator, 0 or more.
        parameters: what differs from the defaults; numbers may be written as text.
        measures: for those that fill an archive, how many values say where a row lies.

    Raises:
        ConfigError: an unknown name or parameter, a value that is not allowed, or a population,
            number of objectives or kind of segment that the algorithm cannot work with.
        BadRequestError: the space itself cannot be searched.
    """
    info = check_choice(
        name, population=population, seed=seed, parameters=parameters, measures=measures
    )
    layout(space)
    _check_fit(info, space, objectives)
    complete = _complete(info, parameters or {})
    settings = Settings(space, population, objectives, seed, complete, measures)
    module = importlib.import_module(info.module)
    make = cast("Callable[[Settings], Algorithm]", getattr(module, info.class_name))
    return make(settings)


def check_choice(
    name: str,
    *,
    population: int,
    seed: int = 0,
    parameters: Mapping[str, float | str] | None = None,
    measures: int = 0,
) -> AlgorithmInfo:
    """The algorithm of that name, if it can work so: all that is known before a latent space is.

    Raises:
        ConfigError: an unknown name or parameter, a value or population that is not allowed, or
            measures that are wanted and missing, or the other way round.
    """
    info = _known(name, {info.name: info for info in ALGORITHMS}, "search algorithm")
    _complete(info, parameters or {})
    if population < info.least_population:
        raise ConfigError(
            f"{info.name} needs a population of at least {info.least_population}, "
            f"but got {population}"
        )
    if info.measures and not measures:
        raise ConfigError(
            f"{info.name} fills an archive and needs to know of what; "
            'name two ends that pictures can lie between: --measure "day|night"'
        )
    if measures and not info.measures:
        known = " or ".join(one.name for one in ALGORITHMS if one.measures)
        raise ConfigError(f"{info.name} takes no measures; choose --algorithm {known}")
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
        raise ConfigError(f"{info.name} trades several objectives off, but got 1; use ga for one")
    for segment in space.segments:
        if segment.kind not in info.kinds:
            raise ConfigError(
                f"{info.name} searches {' and '.join(info.kinds)} segments, but '{segment.name}' "
                f"of latent space '{space.name}' is {segment.kind}; "
                f"use {'ga' if objectives == 1 else 'nsga2'}"
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
    raise ConfigError(
        f"there is no {what} called '{name}'{did_you_mean(name, known)} known: {', '.join(known)}"
    )
