"""The latent space w: principal axes of what the mapping network makes, and a leash."""

from pathlib import Path

import numpy as np
import pytest
import torch

from services.generator.stylegan2_generator import (
    SHARE,
    StyleGAN2,
    fresh_w,
    leashed,
    load,
    principal_axes,
)
from services.models.checkpoints import Checkpoint, load_checkpoint
from services.models.stylegan2 import Generator, GeneratorConfig
from tests import tiny

CPU = torch.device("cpu")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return load_checkpoint(tiny.save_generator(tmp_path / "net.safetensors"))


@pytest.fixture
def network(checkpoint: Checkpoint) -> Generator:
    generator = Generator(GeneratorConfig(**checkpoint.config)).eval()
    generator.load_state_dict(checkpoint.tensors)
    return generator


@pytest.fixture
def served(checkpoint: Checkpoint) -> StyleGAN2:
    return load(checkpoint, CPU)


def genes(served: StyleGAN2) -> int:
    return {space.name: space.size for space in served.spaces}["w"]


def test_fresh_genomes_of_w_lie_as_what_the_mapping_network_makes(network: Generator) -> None:
    w = fresh_w(network, CPU)
    axes = principal_axes(w)
    made = torch.randn(200_000, len(axes), generator=torch.Generator().manual_seed(1)) @ axes
    wanted, found = torch.cov(w.T), torch.cov(made.T)
    assert (found - wanted).norm() < 0.03 * wanted.norm()
    assert SHARE <= found.trace() / wanted.trace() < 1.01
    assert len(axes) <= w.shape[1]
    lengths = axes.norm(dim=1)
    assert (lengths[:-1] >= lengths[1:]).all()
    assert (axes.gather(1, axes.abs().argmax(1, keepdim=True)) > 0).all()


def test_a_q_in_reach_is_w_along_the_axes_and_truncation_pulls_it_to_the_mean(
    network: Generator, served: StyleGAN2
) -> None:
    w = fresh_w(network, CPU)
    q = 0.5 * torch.randn(3, genes(served), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        for psi in (1.0, 0.6, 0.0):
            wanted = network.synthesis(w.mean(0) + psi * (q @ principal_axes(w)))
            torch.testing.assert_close(served.draw("w", q, psi), wanted)


def test_a_long_q_is_drawn_as_one_of_the_usual_length(served: StyleGAN2) -> None:
    usual = genes(served) ** 0.5
    q = torch.randn(4, genes(served), generator=torch.Generator().manual_seed(3))
    q = q / q.norm(dim=1, keepdim=True) * usual
    with torch.inference_mode():
        torch.testing.assert_close(served.draw("w", 9 * q, 1.0), served.draw("w", q, 1.0))
        shorter = served.draw("w", 0.5 * q, 1.0)
        assert (shorter - served.draw("w", q, 1.0)).abs().max() > 0.01
    torch.testing.assert_close(leashed(torch.zeros(1, 5)), torch.zeros(1, 5))


@pytest.mark.parametrize("length", [0.5, 3.0])
def test_what_is_drawn_can_be_differentiated_on_both_sides_of_the_leash(
    served: StyleGAN2, length: float
) -> None:
    rng = torch.Generator().manual_seed(4)
    q = torch.randn(1, genes(served), generator=rng)
    q = (q / q.norm() * length * genes(served) ** 0.5).requires_grad_()
    (slope,) = torch.autograd.grad(served.draw("w", q, 1.0).square().mean(), q)
    assert slope.isfinite().all()
    assert slope.abs().max() > 0
    reach = q.detach()
    along = float((slope * reach).sum().abs() / (slope.norm() * reach.norm()))
    assert (along < 1e-3) == (length > 1), "beyond it, length changes nothing"


def test_files_of_before_are_served_with_axes(checkpoint: Checkpoint) -> None:
    older = Checkpoint(
        checkpoint.architecture,
        checkpoint.config,
        {**checkpoint.tensors, "w_std": torch.ones(16)},
        checkpoint.card,
        checkpoint.digest,
    )
    q = torch.from_numpy(np.random.default_rng(5).standard_normal((2, genes(load(older, CPU)))))
    with torch.inference_mode():
        one, other = (load(c, CPU).draw("w", q.float(), 1.0) for c in (checkpoint, older))
    torch.testing.assert_close(one, other)
