"""Options behind a model's name: what they do to real models, and to what models are known by."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from protocol.errors import BadRequestError
from protocol.messages import GeneratorInfo
from protocol.tensors import Array
from services.catalogue import find_model
from services.clip.role import ClipRole, Looking
from services.discriminator.role import DiscriminatorRole
from services.generator.biggan_deep_generator import find_classes
from services.generator.role import Drawing, GeneratorRole
from services.loading import load_role
from services.models.checkpoints import save_checkpoint
from services.models.stylegan2 import Generator, GeneratorConfig
from services.options import digest_with
from services.runtime.role import Role
from tests import tiny

Models = dict[str, Path]


def load(path: Path, options: str = "", role: str = "generator") -> Role:
    return load_role(find_model(f"{path}{options and ','}{options}", role), "cpu")  # type: ignore[arg-type] # a role


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator with classes and with noise that shows."""
    torch.manual_seed(0)
    config = GeneratorConfig(16, 8, 16, mapping_layers=2, channel_base=256, channel_max=16, c_dim=3)
    tensors = Generator(config).state_dict()
    shown = {n: t + 0.5 if n.endswith("noise_strength") else t for n, t in tensors.items()}
    path = tmp_path_factory.mktemp("noisy") / "noisy.safetensors"
    save_checkpoint(path, "stylegan2-generator", dataclasses.asdict(config), shown, {})
    return path


def draw(role: Role, genomes: Array, psi: float = 1.0, space: str = "z") -> Array:
    assert isinstance(role, GeneratorRole)
    return role.compute(Drawing(space, psi, 0), genomes)[0].astype(np.float64)


def genomes(size: int, rows: int = 4) -> Array:
    drawn = np.random.default_rng(0).standard_normal((rows, size)).astype(np.float32)
    drawn[:, 8:] = 1
    return drawn


def test_what_a_model_is_told_changes_its_digest_and_its_name(tiny_models: Models) -> None:
    path = tiny_models["generator"]
    plain = load(path).info
    told = load(path, "precision=bf16,noise=none").info
    assert told.digest != plain.digest
    assert told.model == f"{path},noise=none,precision=bf16"
    assert load(path, "noise=none,precision=bf16").info.digest == told.digest
    assert load(path, "noise=none").info.digest not in {plain.digest, told.digest}
    assert load(path, "noise=const,precision=float32").info.digest == plain.digest


def test_digests_do_not_depend_on_the_order_of_options() -> None:
    assert digest_with("d", {}) == "d"
    assert digest_with("d", {"a": 1, "b": 2}) == digest_with("d", {"b": 2, "a": 1})
    assert digest_with("d", {"a": 1}) != digest_with("e", {"a": 1})


@pytest.mark.parametrize(("precision", "levels"), [("bf16", 12.0), ("fp16", 2.0)])
def test_a_generator_draws_nearly_the_same_in_half_precision(
    tiny_models: Models, precision: str, levels: float
) -> None:
    path, rows = tiny_models["generator"], genomes(8)
    exact, half = draw(load(path), rows), draw(load(path, f"precision={precision}"), rows)
    assert 0 < np.abs(exact - half).max() <= levels


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_clip_and_discriminator_judge_nearly_the_same_in_half_precision(
    tiny_models: Models, precision: str
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    looking = Looking(pictures.shape[1:])
    embedded = []
    for options in ("", f"precision={precision}"):
        clip = load(tiny_models["clip"], options, "clip")
        assert isinstance(clip, ClipRole)
        embedded.append(clip.compute(looking, pictures)[0])
    assert (embedded[0] * embedded[1]).sum(1).min() > 0.999
    assert not np.array_equal(*embedded)

    logits = []
    for options in ("", f"precision={precision}"):
        judge = load(tiny_models["discriminator"], options, "discriminator")
        assert isinstance(judge, DiscriminatorRole)
        logits.append(judge.compute("score", pictures[:, :16, :16].copy())[0])
    assert 0 < np.abs(logits[0] - logits[1]).max() < 0.1 * max(1, np.abs(logits[0]).max())


def test_random_noise_is_each_genomes_own(noisy: Path) -> None:
    random, const, none = (load(noisy, f"noise={kind}") for kind in ("random", "const", "none"))
    rows = genomes(9)
    drawn = draw(random, rows)
    assert np.array_equal(draw(random, rows[::-1].copy()), drawn[::-1])
    assert np.array_equal(draw(load(noisy, "noise=random"), rows), drawn)
    for other in (const, none):
        assert np.abs(draw(other, rows) - drawn).mean() > 1
    same = np.repeat(rows[:1], 2, axis=0)
    same[1, 0] += 1e-6  # nearly the same picture under other noise
    one, two = draw(random, same)
    assert np.abs(one - two).mean() > 1
    one, two = draw(none, same)
    assert np.abs(one - two).max() <= 1


def test_a_class_of_stylegan2_can_be_fixed(noisy: Path) -> None:
    fixed, free = load(noisy, "class=1"), load(noisy)
    assert isinstance(fixed.info.about, GeneratorInfo)
    assert [space.name for space in fixed.info.about.spaces] == ["z", "w"]
    assert fixed.info.about.spaces[0].size == 8  # and no gene for the class
    rows = genomes(9)
    assert np.array_equal(draw(fixed, rows[:, :8].copy()), draw(free, rows))
    with pytest.raises(BadRequestError, match="has no class 3; its classes are 0 to 2"):
        load(noisy, "class=3")


def test_truncation_can_end_after_some_layers(noisy: Path) -> None:
    rows = genomes(9)
    full, cut = load(noisy), load(noisy, "truncation_cutoff=0")
    assert np.array_equal(draw(cut, rows, 0.5), draw(full, rows, 1.0))
    half = draw(load(noisy, "truncation_cutoff=3"), rows, 0.5)
    assert not np.array_equal(half, draw(full, rows, 0.5))
    assert not np.array_equal(half, draw(full, rows, 1.0))
    with pytest.raises(BadRequestError, match="has 6 ws"):
        load(noisy, "truncation_cutoff=7")


def test_classes_of_biggan_can_be_fixed_and_mixed(tmp_path: Path) -> None:
    path = tiny.save_biggan(tmp_path / "biggan.safetensors")
    role = load(path, "class=2+5")
    assert isinstance(role.info.about, GeneratorInfo)
    assert [space.name for space in role.info.about.spaces] == ["z"]
    z = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32).clip(-2, 2)
    mixed = np.concatenate([z, np.tile(np.float32([2, 5, 5, 1, 1, -2]), (3, 1))], axis=1)
    found, wanted = draw(role, z), draw(load(path), mixed, space="z+mixture")
    assert np.abs(found - wanted).max() <= 1
    assert np.abs(found - draw(load(path, "class=2"), z)).max() > 1
    with pytest.raises(BadRequestError, match="no class 6; the classes are 0 to 5"):
        load(path, "class=6")
    with pytest.raises(BadRequestError, match="no class 'tabby'; give a number"):
        load(path, "class=tabby")


def test_imagenets_classes_have_names() -> None:
    assert find_classes("golden_retriever+281+Tiger cat", 1000) == [207, 281, 282]
    with pytest.raises(BadRequestError, match="did you mean golden retriever"):
        find_classes("golden_retreiver", 1000)


def test_classes_of_a_file_have_the_names_in_its_card() -> None:
    names = ["sedan", "truck", "round clock"]
    assert find_classes("truck+Round_clock+0", 3, names) == [1, 2, 0]
    assert find_classes("SUV+suv", 2, ["sedan", "SUV"]) == [1, 1]
    with pytest.raises(BadRequestError, match="no class 'trucks'; did you mean truck"):
        find_classes("trucks", 3, names)


def test_gpt2_writes_in_half_precision(tmp_path: Path) -> None:
    path = tiny.save_gpt2(tmp_path / "gpt2.safetensors")
    assert load(path, "precision=bf16").info.digest != load(path).info.digest


def test_mistakes_are_said_in_a_sentence(tiny_models: Models) -> None:
    path = tiny_models["generator"]
    with pytest.raises(BadRequestError, match="no option 'nose'; its options: class, conv"):
        load(path, "nose=none")
    with pytest.raises(BadRequestError, match="noise is one of const, random, none; it was 'loud'"):
        load(path, "noise=loud")
    with pytest.raises(BadRequestError, match=r"augment cannot be that: .*; it was 'many'"):
        load(tiny_models["clip"], "augment=many", "clip")
    with pytest.raises(BadRequestError, match="no option 'augment'"):
        load(path, "augment=4")
