"""The BigGAN of the world: what z stands for, and that each stage learns."""

import dataclasses
from pathlib import Path

import pytest
import torch

from miniatures import biggan_training
from miniatures.biggan_factors import (
    CATEGORIES,
    SMOOTH,
    Z_BOUND,
    Z_DIM,
    draw_z,
    factors_of,
)
from miniatures.biggan_training import (
    CONFIG,
    MAPPING_BLOCKS,
    Renderer,
    draw,
    mapped,
    picture_loss,
    train_biggan,
    train_mapping,
    train_renderer,
)
from miniatures.fitting import seeded
from miniatures.training import Job
from miniatures.world import CLASSES
from services.generator.biggan_deep_generator import load
from services.models.biggan import BigGAN
from services.models.checkpoints import load_checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(biggan_training, "BATCH", 2)
    monkeypatch.setattr(biggan_training, "MAPPING_BATCH", 16)
    monkeypatch.setattr(biggan_training, "STATISTICS_ROWS", 4)
    monkeypatch.setattr(biggan_training, "POWER_ITERATIONS", 2)
    monkeypatch.setattr(biggan_training, "CONFIG", dataclasses.replace(CONFIG, n_stats=3))


def test_there_are_classes_enough_and_room_in_z() -> None:
    assert len(CLASSES) >= 20
    assert sum(len(values) for values in CATEGORIES.values()) + len(SMOOTH) <= Z_DIM


def test_every_value_is_as_likely_and_truncation_keeps_it() -> None:
    z = draw_z(20_000, torch.Generator().manual_seed(0))
    assert z.abs().max() <= Z_BOUND
    classes = torch.zeros(len(z), dtype=torch.int64)
    factors = factors_of(z, classes)
    for index, values in enumerate(CATEGORIES.values()):
        shares = torch.bincount(factors.choices[:, index], minlength=len(values)) / len(z)
        assert shares.min() > 0.85 / len(values)
    assert torch.equal(factors_of(z * 0.3, classes).choices, factors.choices)
    assert factors.smooth.abs().max() <= 1


def test_features_and_scenes_say_the_same() -> None:
    _, factors = draw(40, CPU)
    rows = factors.features()
    ones = rows[:, : -len(SMOOTH)].sum(dim=1)
    assert set(ones.tolist()) == {len(CATEGORIES) + 2}  # the class and the background besides
    start = len(CLASSES)
    for row, scene, index in zip(rows, factors.scenes(), factors.classes, strict=True):
        assert (scene.thing, scene.kind) == CLASSES[int(index)]
        colours = CATEGORIES["colour"]
        assert colours[int(row[start : start + len(colours)].argmax())] == scene.colour
        assert row[-1].item() == pytest.approx(scene.tone)


def test_the_renderer_hears_nothing_of_z() -> None:
    seeded("renderer")
    renderer = Renderer(BigGAN(CONFIG)).eval()
    _, factors = draw(3, CPU)
    with torch.inference_mode():
        pictures = renderer(factors)
    assert pictures.shape == (3, 3, 64, 64)
    norm = renderer.network.generator.layers[MAPPING_BLOCKS].bn_0
    assert not norm.scale.weight_orig[:, : CONFIG.z_dim].any()
    assert norm.scale.weight_orig[:, CONFIG.z_dim :].any()


@pytest.mark.usefixtures("small")
def test_the_renderer_and_the_mapping_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(biggan_training, "BATCH", 4)
    seeded("learning")
    renderer = Renderer(BigGAN(CONFIG))
    z, factors = draw(12, CPU)
    job = Job(CPU, tmp_path, steps=12, weights=tmp_path)

    def errors() -> tuple[float, float]:
        with torch.inference_mode():
            drawn = picture_loss(renderer(factors), factors, 0.0)
            made = mapped(renderer.network, z, factors.classes) - renderer.scene_map(factors)
        return float(drawn), float(made.square().mean())

    first = errors()[0]
    renderer.load_state_dict(train_renderer(job, renderer))
    drawn, unmapped = errors()
    assert drawn < first
    renderer.load_state_dict(train_mapping(job, renderer))
    assert errors()[1] < unmapped
    assert errors()[0] == pytest.approx(drawn, rel=0.05)  # the mapping leaves the drawing alone


@pytest.mark.usefixtures("small")
def test_the_weights_are_served(tmp_path: Path) -> None:
    train_biggan(Job(CPU, tmp_path, steps=1, weights=tmp_path))
    checkpoint = load_checkpoint(tmp_path / "mini-biggan.safetensors")
    assert len(checkpoint.card["classes"]) == len(CLASSES)
    assert load(checkpoint, CPU, class_="round clock").spaces[0].name == "z"
    generator = load(checkpoint, CPU)
    space = generator.spaces[0]
    with torch.inference_mode():
        pictures = generator.draw(space.name, torch.zeros(2, space.size), 0.6)
    assert pictures.shape == (2, 3, 64, 64)
    assert torch.isfinite(pictures).all()
