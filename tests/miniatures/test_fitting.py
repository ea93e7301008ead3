"""The loop that trainings share: it learns, and an interruption changes no bit."""

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from miniatures import fitting
from miniatures.fitting import Recipe, adamw, fit, seeded
from miniatures.training import Job

RECIPE = Recipe("line", 8, 0.1)


def job(work: Path, steps: int | None = None) -> Job:
    return Job(torch.device("cpu"), work, steps=steps, weights=work)


def network() -> nn.Sequential:
    seeded("line")
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))


def train(work: Path, steps: int | None = None) -> dict[str, Tensor]:
    line = network()

    def step(rng: random.Random, _: float) -> tuple[Tensor, dict[str, float]]:
        x = torch.randn(16, 3) * rng.random()
        return (line(x)[:, 0] - x.sum(dim=1)).square().mean(), {}

    return fit(job(work, steps), RECIPE, line, step)


def test_resuming_gives_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "SNAPSHOT_EVERY", 3)
    whole = train(tmp_path / "whole")

    saved = fitting.save_snapshot

    def save_and_stop(*arguments: object) -> None:
        saved(*arguments)  # type: ignore[arg-type] # handed through
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "save_snapshot", save_and_stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts")
    monkeypatch.setattr(fitting, "save_snapshot", saved)
    parts = train(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_it_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, 100)
    losses = [float(line.split()[3]) for line in capsys.readouterr().out.splitlines()]
    assert losses[-1] < 0.5


def test_biases_and_scales_do_not_decay() -> None:
    decayed, others = adamw(network(), RECIPE).param_groups
    assert [p.ndim for p in decayed["params"]] == [2, 2]
    assert {p.ndim for p in others["params"]} == {1}
    assert (decayed["weight_decay"], others["weight_decay"]) == (RECIPE.weight_decay, 0.0)
