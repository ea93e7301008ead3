"""The constructed mapping network against what it stands for."""

import pytest
import torch
from torch import nn

from miniatures.domains import DOMAINS, Domain
from miniatures.factors import cut, features_of
from miniatures.generator_training import CONFIG, Renderer, assemble, with_joint
from miniatures.mapping_construction import construct_mapping, joint_members
from services.models.stylegan2 import Mapping


@pytest.fixture(scope="module", params=DOMAINS)
def domain(request: pytest.FixtureRequest) -> Domain:
    return DOMAINS[request.param]


@pytest.fixture(scope="module")
def renderer(domain: Domain) -> Renderer:
    torch.manual_seed(0)
    return Renderer(CONFIG, domain)


def test_w_is_the_factor_networks_moved_by_a_constant(renderer: Renderer, domain: Domain) -> None:
    layers = [layer for layer in renderer.factors.layers if isinstance(layer, nn.Linear)]
    mapping = Mapping(CONFIG)
    shift = construct_mapping(mapping, layers, domain)
    z = torch.randn(2000, CONFIG.z_dim)
    with torch.inference_mode():
        wanted = renderer.factors(features_of(cut(z, domain)))
        error = (mapping(z) - shift - wanted).abs().amax(dim=1) / wanted.std()
    assert error.median() < 0.1
    assert (error > 0.3).float().mean() < 0.06


def test_joint_members_are_the_order_of_the_joint_one_hots(domain: Domain) -> None:
    features = features_of(cut(torch.randn(9, 64), domain))
    members = joint_members(domain)
    products = torch.stack([features[:, group].prod(dim=1) for group in members], dim=1)
    assert torch.equal(products, with_joint(features, domain)[:, domain.size :])


def test_the_assembled_generator_draws_what_the_renderer_draws(
    renderer: Renderer, domain: Domain
) -> None:
    generator = assemble(renderer.state_dict(), domain)
    z = torch.randn(64, CONFIG.z_dim)
    with torch.inference_mode():
        wanted = renderer(features_of(cut(z, domain)))[-1]
        error = (generator(z, noise_mode="none") - wanted).abs().mean(dim=(1, 2, 3))
    assert error.median() < 0.02 * wanted.std()


def test_every_unit_fits_in_the_network(domain: Domain) -> None:
    steps = sum(len(values) - 1 for values in domain.categories.values())
    assert 2 * steps + 4 * 7 <= CONFIG.w_dim
    assert domain.size + domain.joint_size <= CONFIG.w_dim


def test_w_avg_is_the_mean_of_w(renderer: Renderer, domain: Domain) -> None:
    generator = assemble(renderer.state_dict(), domain)
    with torch.inference_mode():
        w = generator.mapping(torch.randn(20_000, CONFIG.z_dim))
    torch.testing.assert_close(generator.mapping.w_avg, w.mean(dim=0), atol=0.1, rtol=0)
