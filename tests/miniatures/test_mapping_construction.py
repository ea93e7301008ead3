"""The constructed mapping network against what it stands for."""

import pytest
import torch
from torch import nn

from miniatures.factors import CATEGORIES, FEATURES, cut, directions, features_of
from miniatures.generator_training import CONFIG, JOINT, Renderer, assemble, with_joint
from miniatures.mapping_construction import construct_mapping, joint_members
from services.models.stylegan2 import Mapping


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    torch.manual_seed(0)
    return Renderer(CONFIG)


def test_w_is_the_factor_networks_moved_by_a_constant(renderer: Renderer) -> None:
    layers = [layer for layer in renderer.factors.layers if isinstance(layer, nn.Linear)]
    mapping = Mapping(CONFIG)
    shift = construct_mapping(mapping, layers, JOINT)
    z = torch.randn(2000, CONFIG.z_dim)
    with torch.inference_mode():
        wanted = renderer.factors(features_of(cut(z, directions(CONFIG.z_dim))))
        error = (mapping(z) - shift - wanted).abs().amax(dim=1) / wanted.std()
    assert error.median() < 0.1
    assert (error > 0.3).float().mean() < 0.06


def test_joint_members_are_the_order_of_the_joint_one_hots() -> None:
    features = features_of(cut(torch.randn(9, 64), directions(64)))
    members = joint_members(JOINT)
    products = torch.stack([features[:, group].prod(dim=1) for group in members], dim=1)
    assert torch.equal(products, with_joint(features)[:, FEATURES:])


def test_the_assembled_generator_draws_what_the_renderer_draws(renderer: Renderer) -> None:
    generator = assemble(renderer.state_dict())
    z = torch.randn(64, CONFIG.z_dim)
    with torch.inference_mode():
        wanted = renderer(features_of(cut(z, directions(CONFIG.z_dim))))[-1]
        error = (generator(z, noise_mode="none") - wanted).abs().mean(dim=(1, 2, 3))
    assert error.median() < 0.02 * wanted.std()


def test_every_unit_fits_in_the_network() -> None:
    steps = sum(len(values) - 1 for values in CATEGORIES.values())
    assert 2 * steps + 4 * 7 <= CONFIG.w_dim
    assert FEATURES + len(joint_members(JOINT)) <= CONFIG.w_dim


def test_w_avg_is_the_mean_of_w(renderer: Renderer) -> None:
    generator = assemble(renderer.state_dict())
    with torch.inference_mode():
        w = generator.mapping(torch.randn(20_000, CONFIG.z_dim))
    torch.testing.assert_close(generator.mapping.w_avg, w.mean(dim=0), atol=0.1, rtol=0)
