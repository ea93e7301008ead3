"""BigGAN-deep's latent spaces: what their genes mean to the network."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from protocol.errors import WeightsError
from services.catalogue import find_model
from services.generator.biggan_deep_generator import BigGANDeep, load, whitening
from services.loading import load_role
from services.models.biggan import BigGAN
from services.models.checkpoints import load_checkpoint, save_checkpoint
from tests import tiny


@pytest.fixture(scope="module")
def network() -> BigGAN:
    return tiny.biggan().requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> BigGANDeep:
    path = tiny.save_biggan(tmp_path_factory.mktemp("weights") / "biggan.safetensors")
    return load(load_checkpoint(path), torch.device("cpu"))


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-4 * float(wanted.std()), rtol=0)


Z = torch.tensor([[0.5, -1.0, 1.5, 0.0]])


def test_spaces_are_announced_with_the_usual_one_first(generator: BigGANDeep) -> None:
    assert [space.name for space in generator.spaces] == ["z+embedding", "z+mixture", "z+bits"]
    assert [space.size for space in generator.spaces] == [8, 10, 10]
    for space in generator.spaces:
        space.check()
    assert generator.spaces[2].segments[1].probability == 0.005


def test_a_mixture_of_one_class_alone_is_that_class(generator: BigGANDeep, network: BigGAN) -> None:
    for weights in ([2.0, 0.0, -2.0], [0.3, 0.3, 0.3]):
        genome = torch.cat([Z, torch.tensor([[2.0, 2.0, 2.0]]), torch.tensor([weights])], dim=1)
        close(generator.draw("z+mixture", genome, 1.0), network(Z, torch.eye(6)[2:3]))


def test_a_mixture_shares_by_sharpened_weights(generator: BigGANDeep, network: BigGAN) -> None:
    genome = torch.cat([Z, torch.tensor([[0.0, 5.0, 3.0, 1.0, 0.5, -2.0]])], dim=1)
    shares = torch.softmax(torch.tensor([4.0, 2.0, -8.0]), 0)
    classes = torch.zeros(1, 6)
    classes[0, [0, 5, 3]] = shares
    close(generator.draw("z+mixture", genome, 1.0), network(Z, classes))


def test_bits_are_softened_as_clip_glass_does(generator: BigGANDeep, network: BigGAN) -> None:
    bits = torch.tensor([[0.0, 1.0, 0.0, 0.0, 1.0, 0.0]])
    found = generator.draw("z+bits", torch.cat([Z, bits], dim=1), 1.0)
    close(found, network(Z, torch.softmax(bits, dim=1)))


def test_the_origin_of_the_embedding_is_the_mean_class(
    generator: BigGANDeep, network: BigGAN
) -> None:
    found = generator.draw("z+embedding", torch.cat([Z, torch.zeros(1, 4)], dim=1), 1.0)
    close(found, network(Z, torch.full((1, 6), 1 / 6)))


def test_whitening_gives_back_mean_and_covariance() -> None:
    torch.manual_seed(0)
    rows = torch.randn(6, 4) @ torch.randn(4, 4) + 3
    mean, root = whitening(rows)
    torch.testing.assert_close(mean, rows.mean(0))
    torch.testing.assert_close(root @ root, torch.cov(rows.T, correction=0))
    torch.testing.assert_close(root, root.T)


def test_fewer_classes_than_dimensions_can_be_whitened() -> None:
    mean, root = whitening(torch.eye(8)[:3])
    assert torch.isfinite(root).all()
    torch.testing.assert_close((torch.randn(5, 8) @ root)[:, 3:], torch.zeros(5, 5))
    assert mean.shape == (8,)


def test_truncation_pulls_z_and_chooses_statistics(generator: BigGANDeep, network: BigGAN) -> None:
    genome = torch.cat([Z, torch.zeros(1, 4)], dim=1)
    mean = torch.full((1, 6), 1 / 6)
    close(generator.draw("z+embedding", genome, 0.5), network(Z * 0.5, mean, 0.5))
    close(generator.draw("z+embedding", genome, 2.0), network(Z * 2, mean, 1.0))


def test_gradients_reach_every_real_gene(generator: BigGANDeep) -> None:
    genome = torch.randn(2, 8).clamp(-2, 2).requires_grad_()
    picture = generator.draw("z+embedding", genome, 0.5)
    (gradient,) = torch.autograd.grad(picture.square().sum(), genome)
    assert gradient.abs().min() > 0


def test_a_service_serves_it(tmp_path: Path) -> None:
    path = tiny.save_biggan(tmp_path / "tiny-biggan.safetensors")
    role = load_role(find_model(str(path), "generator"), "cpu")
    assert role.info.about.height == tiny.RESOLUTION


def test_other_tensors_are_refused_in_a_sentence(tmp_path: Path) -> None:
    config = {"output_dim": 16, "layers": [[False, 1, 1], [True, 1, 1], [True, 1, 1]]}
    path = tmp_path / "wrong.safetensors"
    save_checkpoint(path, "biggan-deep-generator", config, {"w": torch.zeros(1)}, {})
    with pytest.raises(WeightsError, match="not those of a BigGAN generator"):
        load_role(find_model(str(path), "generator"), "cpu")
    save_checkpoint(path, "biggan-deep-generator", {"z_dim": "many"}, {}, {})
    with pytest.raises(WeightsError, match="configuration of a BigGAN"):
        load_role(find_model(str(path), "generator"), "cpu")
