"""Which figures of whole sets are refused, and that the others come from torchmetrics."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.evaluation.evaluator import Float32, Images
from orchestrator.measuring import sets
from orchestrator.measuring.sets import Described, set_figures


@pytest.fixture(autouse=True)
def _no_alexnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


def rows(count: int, columns: int = 4) -> Float32:
    return np.random.default_rng(count).standard_normal((count, columns), np.float32)


def pictures(count: int, side: int = 64) -> list[Images]:
    return [np.zeros((side, 64, 3), np.uint8)] * count


def described(count: int, others: int | None = None, columns: int = 4) -> Described:
    against = None if others is None else rows(others, columns)
    return Described("judge", rows(count, columns), rows(count, columns), pictures(2), against)


@pytest.mark.parametrize(
    ("name", "of", "least"),
    [
        ("inception", described(499), 500),
        ("inception", described(9_999, columns=1000), 10_000),
        ("frechet", described(999, 2000), 1_000),
        ("frechet", described(2000, 999), 1_000),
        ("frechet", described(2000, 2000, columns=401), 2_005),
        ("kernel", described(199, 2000), 200),
    ],
)
def test_sets_that_mean_nothing_yet_are_refused(name: str, of: Described, least: int) -> None:
    assert f"it wants {least} " in of.refusals()[name]


def test_large_enough_sets_are_not() -> None:
    refusals = described(1000, 1000).refusals()
    assert [name for name, refused in refusals.items() if refused] == ["lpips"]
    assert list(described(500).refusals()) == ["inception", "lpips"]  # there is nothing to compare


def test_lpips_says_what_it_lacks(tmp_path: Path) -> None:
    def refused(some: list[Images]) -> str:
        return Described("judge", rows(2), rows(2), some).refusals()["lpips"]

    assert "pairs" in refused(pictures(1))
    assert "one size" in refused([*pictures(1), *pictures(1, 70)])
    assert "sides of 16 pixels" in refused(pictures(2, 16))
    assert str(tmp_path) in refused(pictures(2))
    place = tmp_path / "hub" / "checkpoints" / sets.ALEXNET
    place.parent.mkdir(parents=True)
    place.touch()
    assert refused(pictures(2)) == ""


def test_torch_keeps_its_weights_where_we_look(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert sets._alexnet().parent == Path(torch.hub.get_dir(), "checkpoints")
    monkeypatch.delenv("TORCH_HOME")
    assert sets._alexnet().parent == Path(torch.hub.get_dir(), "checkpoints")


@pytest.mark.timeout(600)  # importing torchmetrics takes a minute on a loaded machine
def test_the_others_are_measured_by_a_process_of_the_services() -> None:
    pytest.importorskip("torchmetrics")
    found = {figure.name: figure for figure in set_figures(described(500, 500))}
    score, distance = found["Inception Score"], found["kernel distance (KID)"]
    assert score.value is not None
    assert 1 <= score.value <= 4
    assert (score.by, score.count) == ("judge", 2)
    assert distance.value == pytest.approx(0, abs=1)
    assert "500 pictures are too few" in found["Fréchet distance (FID)"].refused
    assert "AlexNet" in found["LPIPS of pairs"].refused
