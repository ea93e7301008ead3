"""The trainings: their parts by definition, and a few steps of each, interrupted and resumed."""

import dataclasses
import random
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from miniatures import clip_training, discriminator_training, generator_training
from miniatures.__main__ import app
from miniatures.clip_training import (
    JUDGE,
    SEARCH,
    Taught,
    Variant,
    clashes,
    clip_config,
    contrastive_loss,
    draw_batch,
    with_stranger,
)
from miniatures.discriminator_training import load_discriminator, load_generator, spoilt
from miniatures.domains import DOMAINS
from miniatures.factors import cut, directions, features_of, scenes_of
from miniatures.generator_training import drawing_loss, sharpness_at, with_joint
from miniatures.training import Average, Job, cosine, pictures_of, pixels_of
from miniatures.world import ATTRIBUTES, UNCLAIMED, VALUES
from services.models.clip import ClipModel, load_clip

CAR, FACE = DOMAINS["car"], DOMAINS["face"]


@pytest.mark.parametrize("thing", DOMAINS)
def test_factors_cover_every_value_about_evenly(thing: str) -> None:
    torch.manual_seed(0)
    factors = cut(torch.randn(20_000, 64), DOMAINS[thing])
    for index, values in enumerate(DOMAINS[thing].categories.values()):
        shares = torch.bincount(factors.choices[:, index], minlength=len(values)) / 20_000
        assert shares.max() < 1.15 / len(values)
        assert shares.min() > 0.85 / len(values)
    assert factors.smooth.abs().max() <= 1
    assert factors.smooth.mean(dim=0).abs().max() < 0.02


def test_directions_are_orthonormal_and_fixed() -> None:
    axes = directions(64, CAR)
    torch.testing.assert_close(axes.T @ axes, torch.eye(10), atol=1e-6, rtol=0)
    assert torch.equal(axes, directions(64, CAR))
    with pytest.raises(ValueError, match="z_dim must be at least 10, got 8"):
        directions(8, CAR)


def test_features_and_scenes_say_the_same() -> None:
    factors = cut(torch.randn(5, 64), CAR)
    rows = features_of(factors)
    assert rows.shape == (5, CAR.size)
    assert rows[:, :-4].sum(dim=1).tolist() == [len(CAR.categories)] * 5
    colours = CAR.categories["colour"]
    for row, scene in zip(rows, scenes_of(factors), strict=True):
        assert colours[int(row[4 : 4 + len(colours)].argmax())] == scene.colour
        assert row[-1].item() == pytest.approx(scene.tone)


def test_clashes_are_true_captions_of_other_rows() -> None:
    labels = torch.tensor([[0, 1], [0, 2], [1, 1]])
    claims = torch.tensor([[0, 1], [0, UNCLAIMED], [UNCLAIMED, 1]])
    wanted = [[False, False, False], [True, False, False], [True, False, False]]
    assert clashes(claims, labels).tolist() == wanted


def test_clashing_pairs_do_not_count() -> None:
    logits = torch.tensor([[1.0, 50.0], [0.0, 1.0]])
    clash = torch.tensor([[False, True], [False, False]])
    low = contrastive_loss(logits, clash)
    assert low < 1 < contrastive_loss(logits, torch.zeros_like(clash))


def test_batches_are_seeded() -> None:
    first, second = (draw_batch(random.Random(1), groups=2) for _ in range(2))
    assert first.texts == second.texts
    assert torch.equal(first.pictures, second.pictures)
    assert not first.clashes.diagonal().any()


def test_some_captions_are_general_and_some_are_terse() -> None:
    batch = draw_batch(random.Random(4), groups=60)
    general = {"animal", "pet", "creature", "shape", "figure"}
    assert sum(not general.isdisjoint(text.split()) for text in batch.texts) > 5
    said = (batch.claims != UNCLAIMED).sum(dim=1)
    assert 20 < int((said <= 2).sum()) < 120
    assert torch.equal(batch.clashes, clashes(batch.claims, batch.labels))


def test_attributes_are_read_from_embeddings_by_their_prototypes() -> None:
    torch.manual_seed(0)
    taught = Taught(ClipModel(clip_config(JUDGE)))
    colours = torch.tensor([0, 3])
    labels = torch.full((2, len(ATTRIBUTES)), UNCLAIMED)
    labels[:, ATTRIBUTES.index("colour")] = colours
    first = sum(len(VALUES[name]) for name in ATTRIBUTES[: ATTRIBUTES.index("colour")])
    rows = torch.nn.functional.normalize(taught.prototypes[first + colours], dim=1)
    assert taught.attribute_loss(rows, labels) < 0.01 < taught.attribute_loss(-rows, labels)


def test_strangers_are_added_now_and_then() -> None:
    rng = random.Random(0)
    texts = [with_stranger(rng, "a red car") for _ in range(300)]
    strange = [text for text in texts if len(text.split()) == 4]
    assert 5 < len(strange) < 60
    assert all({"a", "red", "car"} <= set(text.split()) for text in texts)


@pytest.mark.parametrize("sharpness", [0.0, 0.5, 1.0])
def test_loss_is_nil_for_the_drawing_itself_and_heavier_on_the_object(sharpness: float) -> None:
    wanted = torch.rand(2, 3, 8, 8)
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    mask[..., :4] = True
    assert drawing_loss([wanted], wanted, mask, sharpness) == 0
    on, off = wanted.clone(), wanted.clone()
    on[..., 1] += 1
    off[..., 6] += 1
    heavy, light = (drawing_loss([image], wanted, mask, sharpness) for image in (on, off))
    assert heavy > 2 * light


def test_pictures_on_the_way_are_compared_with_smaller_drawings() -> None:
    wanted, mask = torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8, dtype=torch.bool)
    small = torch.nn.functional.avg_pool2d(wanted, 2)
    right = [torch.zeros(2, 3, 1, 1), torch.zeros(2, 3, 2, 2), small, wanted]
    assert drawing_loss(right, wanted, mask, 0.0) < 1e-6
    assert drawing_loss([*right[:2], small + 1, wanted], wanted, mask, 0.0) > 0.5


def test_the_loss_sharpens_late() -> None:
    shares = [sharpness_at(step, 100) for step in (0, 65, 75, 85, 99)]
    assert shares == pytest.approx([0.1, 0.1, 0.55, 1.0, 1.0])


def test_joint_categories_are_one_hot() -> None:
    features = features_of(cut(torch.randn(7, 64), CAR))
    joint = with_joint(features, CAR)[:, CAR.size :]
    assert joint.shape == (7, 10 * 2 * 4 + 4 * 2)
    assert (joint[:, :80].sum(dim=1) == 1).all()
    assert (joint[:, 80:].sum(dim=1) == 1).all()


def test_a_beard_is_a_mans() -> None:
    scenes = scenes_of(cut(torch.randn(300, 64), FACE))
    assert {scene.beard for scene in scenes if scene.kind != "man"} == {"none"}
    assert {scene.beard for scene in scenes if scene.kind == "man"} == {"none", "stubble", "full"}


def test_pixels_and_pictures_are_inverse() -> None:
    pictures = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(1, 1, 1, 3)
    pixels = pixels_of(pictures)
    assert (pixels.min(), pixels.max()) == (-1, 1)
    assert torch.equal(pictures_of(pixels), pictures)
    assert pictures_of(torch.full((1, 3, 1, 1), 9.0)).tolist() == [[[[255, 255, 255]]]]


def test_cosine_rises_and_falls() -> None:
    shares = [cosine(step, 1000) for step in range(1000)]
    assert shares[0] == 0.01
    assert max(shares) == 1.0
    assert shares[-1] < 0.03
    assert shares[100:] == sorted(shares[100:], reverse=True)


def test_average_follows() -> None:
    network = torch.nn.Linear(1, 1)
    average = Average(network, horizon=10)
    torch.nn.init.constant_(network.weight, 5.0)
    for step in range(200):
        average.update(network, step)
    assert average.tensors["weight"].item() == pytest.approx(5.0, abs=1e-3)


def test_spoilt_drawings_differ() -> None:
    torch.manual_seed(0)
    pixels = torch.rand(12, 3, 64, 64)
    worse = spoilt(random.Random(0), pixels)
    assert worse.shape == pixels.shape
    assert ((worse - pixels).abs().amax(dim=(1, 2, 3)) > 0).all()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of a few rows."""
    monkeypatch.setattr(clip_training, "GROUPS", 2)
    monkeypatch.setattr(generator_training, "BATCH", 2)
    monkeypatch.setattr(discriminator_training, "BATCH", 4)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("variant", [SEARCH, JUDGE], ids=["search", "judge"])
def test_clip_training_resumes(tmp_path: Path, variant: Variant) -> None:
    for steps in (1, 2):
        job = Job(torch.device("cpu"), tmp_path, steps=steps, weights=tmp_path)
        clip_training.train_clip(job, variant)
    assert load_clip(tmp_path / f"{variant.name}.safetensors").embed_dim == 128
    snapshot = torch.load(tmp_path / f"{variant.training}.pt", weights_only=True)
    assert snapshot["step"] == 2


@pytest.mark.usefixtures("small")
def test_a_warm_training_begins_with_the_weights_there(tmp_path: Path) -> None:
    seconds = []
    for seed in (1, 2):
        job = Job(torch.device("cpu"), tmp_path / "first", seed, steps=1, weights=tmp_path)
        clip_training.train_clip(job, JUDGE)
        before = load_clip(tmp_path / "mini-judge-clip.safetensors").network.state_dict()
        job = dataclasses.replace(job, seed=3, work=tmp_path / f"{seed}", warm=True, bfloat16=True)
        clip_training.train_clip(job, JUDGE)
        seconds.append(load_clip(tmp_path / "mini-judge-clip.safetensors").network.state_dict())
        (tmp_path / "first" / "judge-clip.pt").unlink()
        assert near(before, seconds[-1])
    assert not near(*seconds)


def near(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether weights are at most a step apart."""
    name = "visual.conv1.weight"
    return torch.allclose(first[name], second[name], atol=1e-3)


def test_the_judge_shares_neither_encoder_nor_lots_nor_first_weights() -> None:
    assert SEARCH.vision["layers"] != JUDGE.vision["layers"]
    assert SEARCH.lots != JUDGE.lots
    assert SEARCH.first_seed != JUDGE.first_seed


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("thing", ["car", "face"])
def test_generator_training_resumes(tmp_path: Path, thing: str) -> None:
    for steps in (1, 2):
        job = Job(torch.device("cpu"), tmp_path, steps=steps, weights=tmp_path)
        generator_training.train_generator(job, thing)
        discriminator_training.train_discriminator(job, thing)
    warm = dataclasses.replace(job, work=tmp_path / "warm", warm=True, bfloat16=True)
    discriminator_training.train_discriminator(warm, thing)
    generator = load_generator(tmp_path / f"mini-{thing}.safetensors")
    assert generator(torch.randn(2, 64)).shape == (2, 3, 64, 64)
    assert generator.mapping.w_avg.abs().sum() > 0
    critic = load_discriminator(tmp_path / f"mini-{thing}-discriminator.safetensors")
    assert critic(torch.zeros(3, 3, 64, 64)).shape == (3,)


def test_help_names_the_commands() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(command in shown for command in ("train", "evaluate", "sheet"))
