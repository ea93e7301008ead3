"""Every algorithm: the same journal however many services compute it, and in what portions."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from orchestrator.search import describe_algorithms
from orchestrator.search.catalogue import AlgorithmInfo
from tests.faults.harness import QUICK, Ground, Ordering, battlefield
from tests.orchestrator.ensemble import digest, grow, resume

__all__ = ["battlefield"]

POPULATION, GENERATIONS, STOPPED = 11, 5, 3
QUICKLY = ("sep-cma-es", "map-elites")


@pytest.fixture(scope="module")
def others(battlefield: Ground) -> Iterator[dict[str, str]]:
    """Two or three services of each role, that compute in other portions than the first ones."""
    with ExitStack() as stack:
        yield {
            role: ",".join(stack.enter_context(battlefield.serving(role, number, rows)))
            for role, number, rows in (("generator", 2, 3), ("clip", 3, 5), ("discriminator", 2, 7))
        }


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(info, marks=() if info.name in QUICKLY else pytest.mark.slow, id=info.name)
        for info in describe_algorithms()
    ],
)
def test_the_journal_is_the_same_over_other_services(
    info: AlgorithmInfo, battlefield: Ground, others: dict[str, str]
) -> None:
    """Once over one service a role; once with one killed, then stopped and resumed over many."""
    known = {parameter.name for parameter in info.parameters}
    settings = {
        "algorithm": info.name,
        "population": POPULATION,
        "parameters": {"best_of": "22"} if "best_of" in known else {},
        "measures": ("red|green",) if info.measures else (),
    }
    whole = grow(battlefield.settings(**settings, generations=GENERATIONS), patience=QUICK)
    short = battlefield.settings(**{**settings, "generator": "generator"}, generations=STOPPED)
    parts = grow(short, Ordering(lambda: battlefield.order("generator", "kill")), QUICK)
    assert not (battlefield.folder / "orders" / "generator.kill").exists(), "it was killed"
    assert digest(resume(parts, generations=GENERATIONS, **others)) == digest(whole)
