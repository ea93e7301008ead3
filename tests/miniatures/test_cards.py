"""Model cards say what a file is, what it reaches, and what it was meant to reach."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from miniatures.__main__ import app
from miniatures.biggan_training import CONFIG
from miniatures.cards import parameter_count, write_cards
from miniatures.discriminator_training import load_discriminator, load_generator
from miniatures.evaluation import SECTIONS
from miniatures.evaluation.goals import GOALS, goal_of
from services.catalogue import bundled_weights
from services.models.attribute_classifier import load_classifier
from services.models.biggan import BigGAN
from services.models.checkpoints import load_checkpoint, save_checkpoint
from services.models.clip import load_clip


def test_a_card(tmp_path: Path) -> None:
    card = {"what": "a thing", "training": "3 steps", "data": "drawn", "licence": "MIT"}
    tensors = {"weight": torch.zeros(2_000, 100)}
    save_checkpoint(tmp_path / "mini-car.safetensors", "stylegan2-generator", {}, tensors, card)
    (tmp_path / "mini-car.webp").touch()
    rows = [
        ("mini-car", "samples that are a car", 0.9),
        ("mini-car", "colour entropy, samples / drawings", 0.99),
        ("mini-car", "equal pictures", 0.0),
        ("mini-clip", "not measured: mini-clip.safetensors missing", None),
    ]
    write_cards(tmp_path / "cards.md", "model cards", tmp_path, rows)
    text = (tmp_path / "cards.md").read_text()
    assert "A thing." in text
    assert "0.2 M parameters" in text
    assert "- training: 3 steps" in text
    assert "| samples that are a car | 0.900 | >= 0.95, not reached |" in text
    assert "| colour entropy, samples / drawings | 0.990 | >= 0.9 |" in text
    assert "| equal pictures | 0.000 |  |" in text
    assert "![mini-car](mini-car.webp)" in text
    assert text.endswith("## mini-clip\n\n- not measured: mini-clip.safetensors missing\n")


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("mini-car", load_generator),
        ("mini-car-discriminator", load_discriminator),
        ("mini-object-classifier", load_classifier),
        ("mini-clip", lambda path: load_clip(path).network),
    ],
)
def test_what_is_learnt_is_counted(name: str, load: Callable[[Path], torch.nn.Module]) -> None:
    path = bundled_weights() / f"{name}.safetensors"
    learnt = sum(parameter.numel() for parameter in load(path).parameters())
    assert parameter_count(load_checkpoint(path).tensors) == learnt


def test_the_statistics_of_each_truncation_are_not() -> None:
    with torch.device("meta"):
        network = BigGAN(CONFIG)
    learnt = sum(parameter.numel() for parameter in network.parameters())
    assert parameter_count(network.state_dict()) == learnt


def test_every_goal_is_some_models() -> None:
    names = {section.model for section in SECTIONS} | {"car", "church", "face"}
    assert all(any(goal_of(name, figure) for name in names) for figure in FIGURES)
    assert {goal_of(name, figure) for name in names for figure in FIGURES} >= set(GOALS)


FIGURES = (
    "R@1 text to image",
    "zero-shot face setting",
    "zero-shot car colour",
    "ms per row, batches of 32, 2 threads",
    "eyes accuracy",
    "samples that are a face",
    "setting entropy, samples / drawings",
    "diversity of pairs, samples / drawings",
    "AUC drawings / pasted",
    "samples that parse as captions of the world",
    "drawings whose thing and colour are named",
    "de: prompts fulfilled by the best",
    "nsga2: by the median",
)


def test_evaluate_writes_cards(tmp_path: Path) -> None:
    written = tmp_path / "cards.md"
    words = ["evaluate", "--weights", str(tmp_path), "--only", "judge", "--write", str(written)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert "not measured: mini-judge-clip.safetensors missing" in written.read_text()
