"""The table of figures: what is missing is said, and the rest is measured."""

from pathlib import Path

import torch

from miniatures.classifiers import classifier_path
from miniatures.evaluation import SECTIONS, all_figures
from miniatures.evaluation.discriminators import PATCH, SPOILT
from miniatures.evaluation.generators import beside_drawings, domain_scenes
from miniatures.world import render_all
from services.models.attribute_classifier import load_classifier


def test_every_missing_model_is_named(tmp_path: Path) -> None:
    rows = list(all_figures(tmp_path))
    assert len(rows) == len(SECTIONS)
    assert all(value is None and said.startswith("not measured: ") for _, said, value in rows)


def test_only_what_is_wanted(tmp_path: Path) -> None:
    models = {model for model, _, _ in all_figures(tmp_path, "judge")}
    assert models == {"mini-judge-clip"}


def test_spoilt_pictures_are_spoilt_as_they_say() -> None:
    pixels = torch.rand(4, 3, 64, 64) * 2 - 1
    assert SPOILT["blurred"](pixels).std() < pixels.std()
    assert SPOILT["noised"](pixels).std() > pixels.std()
    changed = (SPOILT["pasted"](pixels) != pixels).any(dim=1)
    assert changed.sum(dim=(1, 2)).tolist() == [PATCH * PATCH] * 4


def test_drawings_beside_themselves_differ_in_nothing() -> None:
    scenes = domain_scenes("car", 40, 1)
    classifier = load_classifier(classifier_path("car"))
    pictures = torch.from_numpy(render_all(scenes))
    figures = beside_drawings(classifier, pictures, scenes, scenes)
    assert figures["Fréchet distance, samples to drawings"] < 1e-3
    assert abs(figures["diversity of pairs, samples / drawings"] - 1) < 1e-6
    assert figures["equal pictures"] == 0
