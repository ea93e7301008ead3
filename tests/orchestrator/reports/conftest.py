"""Two short runs over one fleet of tiny services."""

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.settings import RunSettings
from tests.orchestrator.ensemble import Fleet, Models, fleet, grow

__all__ = ["fleet"]


@pytest.fixture(scope="module")
def runs(
    fleet: Fleet, tiny_models: Models, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A run of GA, and one of NSGA-II for a prompt that is no HTML."""
    models = {role: fleet[role] for role in tiny_models}
    settings = RunSettings(
        "a yellow car",
        **models,
        population=5,
        generations=4,
        seed=1,
        save_every=2,
        runs=tmp_path_factory.mktemp("runs"),
    )
    other = replace(settings, prompt="<b>cars</b> & co", algorithm="nsga2", seed=2)
    return grow(settings), grow(other)
