"""Figures of whole sets against independent formulas, their bounds, and when they are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from typer.testing import CliRunner

from protocol.errors import BadRequestError
from services.cli import app
from services.measuring import (
    frechet_distance,
    inception_score,
    kernel_distance,
    measure,
    perceptual_diversity,
)
from services.models.torchvision_ops import ensure_torchvision

ensure_torchvision()
pytest.importorskip("torchmetrics")
pytestmark = pytest.mark.filterwarnings("ignore:Metric .* will save all extracted features")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def features(count: int, size: int = 6, shift: float = 0.0, seed: int = 0) -> Tensor:
    """Of correlated columns, so that a covariance is more than its diagonal."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((count, size)) @ np.tri(size)
    return torch.from_numpy((mixed + shift).astype(np.float32))


def test_the_frechet_distance_is_the_formula() -> None:
    first, second = features(1200), features(1500, shift=0.5, seed=1)
    a, b = first.double().numpy(), second.double().numpy()
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    gap = ((a.mean(0) - b.mean(0)) ** 2).sum()
    wanted = gap + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root.real)
    assert frechet_distance(first, second).value == pytest.approx(wanted, rel=1e-4)


def test_a_set_is_at_no_distance_from_itself() -> None:
    rows = features(1000)
    assert frechet_distance(rows, rows).value == pytest.approx(0, abs=1e-3)


def test_a_shift_is_seen_by_both_distances() -> None:
    rows, shifted = features(1000), features(1000, shift=1.0, seed=3)
    assert frechet_distance(rows, shifted).value == pytest.approx(6.0, rel=0.2)
    near, far = kernel_distance(rows, features(1000, seed=4)), kernel_distance(rows, shifted)
    assert near.spread is not None
    assert abs(near.value) < 3 * near.spread < far.value


def test_the_inception_score_counts_what_is_surely_told_apart() -> None:
    classes = torch.arange(1000) % 5
    sure = torch.nn.functional.one_hot(classes, 5).float() * 100
    assert inception_score(sure).value == pytest.approx(5, rel=1e-3)
    assert inception_score(sure[:50]).value == pytest.approx(5, rel=1e-3), "it is not split"
    assert inception_score(torch.zeros(1000, 5)).value == pytest.approx(1)
    one_kind = torch.nn.functional.one_hot(torch.zeros(1000).long(), 5).float() * 100
    assert inception_score(one_kind).value == pytest.approx(1)


@pytest.mark.parametrize("seed", range(3))
def test_the_inception_score_lies_between_one_and_the_classes(seed: int) -> None:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, seed * 3, (600, 7))).float()
    value = inception_score(logits).value
    assert 1 - 1e-5 <= value <= 7


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_lpips_is_the_mean_distance_of_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With random weights in AlexNet's place: what is tested is what is compared, not how."""
    import torchvision

    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(
        torchvision.models.alexnet(weights=None).state_dict(), folder / "alexnet-owt-7be5be79.pth"
    )
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    alike = torch.full((3, 64, 64, 3), 90, dtype=torch.uint8)
    assert perceptual_diversity(alike).value == pytest.approx(0, abs=1e-6)
    different = torch.randint(256, (3, 64, 64, 3), dtype=torch.uint8)
    assert perceptual_diversity(different).value > 1e-3


def test_the_command_prints_what_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    rows = features(220).numpy()
    np.savez(path, features=rows, against=rows, logits=rows)
    words = ["measure", str(path), "kernel", "inception"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    distance, score = json.loads(done.stdout)
    assert (distance["name"], score["name"]) == ("kernel", "inception")
    assert abs(distance["value"]) < 3 * distance["spread"]


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"features": np.zeros(4, np.float32)}, "wanted some of"),
        ({"other": np.zeros((4, 2), np.float32)}, "wanted some of"),
        ({"features": np.zeros((4, 2)), "against": np.zeros((4, 3))}, "the same network"),
        ({"features": np.array([[object()]])}, "no file of arrays"),
        ({"features": np.zeros((4, 2))}, "cannot give 'frechet'"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, arrays: dict[str, object], why: str) -> None:
    path = tmp_path / "arrays.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type] # one of them is what is refused
    with pytest.raises(BadRequestError, match=why):
        list(measure(path, ["frechet"]))
    for bad in (path.read_bytes()[:-40], b"nothing of the kind"):
        path.write_bytes(bad)
        with pytest.raises(BadRequestError, match="no file of arrays"):
            list(measure(path, ["frechet"]))
