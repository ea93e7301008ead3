"""Model cards say what a file is, what it reaches, and what it was meant to reach."""

from pathlib import Path

import torch
from typer.testing import CliRunner

from miniatures.__main__ import app
from miniatures.cards import write_cards
from miniatures.evaluation import SECTIONS
from miniatures.evaluation.goals import GOALS, goal_of
from services.models.checkpoints import save_checkpoint


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
