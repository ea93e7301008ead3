"""Every experiment that comes along runs at its tiny size, with the bundled models.

Only the size differs from what docs/experiments.md shows: the same services, judges and views.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.experiments.grid import bundled, read_experiment
from orchestrator.experiments.growing import grow
from orchestrator.experiments.judging import judge
from orchestrator.experiments.plotting import plot
from orchestrator.experiments.results import NAME, Results
from orchestrator.interrupts import Interrupts
from orchestrator.terminal.board import make_board
from services.catalogue import MODELS
from tests.orchestrator.ensemble import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SHARED = {
    "mini-car": "generator",
    "mini-captions": "generator",
    "mini-clip": "clip",
    "mini-car-discriminator": "discriminator",
    "mini-object-classifier": "classifier",
}
SHOWN = {
    "algorithms": {"anytime.webp", "reaching.csv", "tests.csv"},
    "captions": {"captions.webp", "captions.csv", "retrieval.csv"},
    "colour-leakage": {"leakage.webp", "leakage.csv", "near.csv"},
    "fooling-a-classifier": {"accuracy-fixed.csv", "confusion-fixed.webp"},
    "ga-against-de": {"convergence.webp", "sheets.webp", "tests.csv"},
    "range-of-similarity": {"range.webp", "range.csv"},
    "stylegan2-against-biggan": {"best.webp", "convergence.webp"},
    "with-and-without-discriminator": {"fronts.webp", "matrix.webp", "hypervolume.csv"},
}
"""What each is for; nothing of it may be missing."""


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One service of each bundled model, which every experiment finds and shares."""
    specs = {model: (role, model) for model, role in SHARED.items()}
    with serving(tmp_path_factory.mktemp("miniatures"), specs):
        yield


def test_the_list_of_what_is_shown_is_whole() -> None:
    assert set(SHOWN) == set(bundled())


@pytest.mark.usefixtures("miniatures")
@pytest.mark.parametrize("name", sorted(bundled()))
def test_it_runs_is_judged_and_shown(name: str, tmp_path: Path) -> None:
    experiment = read_experiment(bundled()[name], "tiny")
    board = make_board("quiet", "off", io.StringIO(), {})
    tally = grow(experiment, tmp_path, 2, Interrupts(), board)
    there = {model.name for model in MODELS if model.here}
    absent = [cell for cell in experiment.cells if cell.settings.generator not in there]
    assert set(tally.failed) == {cell.name for cell in absent}
    assert tally.done == len(experiment.cells) - len(absent) > 0
    judge(tmp_path)
    plot(tmp_path)
    made = {path.name for path in tmp_path.glob("[ft]*s/*")}
    assert SHOWN[name] <= made
    with Results(tmp_path / NAME) as results:
        for unit in results.units():
            assert unit.reference or results.rows("looks", unit.cell), "everything was judged"
