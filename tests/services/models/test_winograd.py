"""Convolutions with fewer products: the same as direct ones, alone and within the networks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from services.models import winograd
from services.models.biggan_folded import FoldedBigGAN, Maps
from services.models.stylegan2 import Generator, GeneratorConfig
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig
from services.models.stylegan2_layers import FLOAT32, execution_of
from services.models.winograd import LEAST_CHANNELS, Winograd, pays
from tests.services.importing.writers import randomised
from tests.tiny import BIGGAN, biggan

SHAPE = {"resolution": 32, "widths": (8, LEAST_CHANNELS, LEAST_CHANNELS, LEAST_CHANNELS)}
FASTER = execution_of("float32", "winograd")


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    side=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    last=st.booleans(),
)
def test_it_is_a_convolution(
    rows: int, channels: tuple[int, int], side: tuple[int, int], *, last: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(rows, channels[0], *side, dtype=torch.float64)
    weight = torch.randn(channels[1], channels[0], 3, 3, dtype=torch.float64)
    layout = torch.channels_last if last else torch.contiguous_format
    found = Winograd(weight)(x.contiguous(memory_format=layout))
    torch.testing.assert_close(found, functional.conv2d(x, weight, padding=1), atol=1e-12, rtol=0)


def test_in_float32_it_errs_as_little_as_the_direct_form_with_channels_last() -> None:
    """Measured at 512 channels: 2e-5 of a standard deviation, the direct form 1.4e-5."""
    torch.manual_seed(0)
    x, weight = torch.randn(1, 256, 16, 16), torch.randn(256, 256, 3, 3)
    wanted = functional.conv2d(x.double(), weight.double(), padding=1)
    found = Winograd(weight)(x)
    assert float((found - wanted).abs().max()) < 5e-5 * float(wanted.std())


def test_a_row_does_not_depend_on_its_place_its_mates_or_their_number() -> None:
    torch.manual_seed(0)
    convolve = Winograd(torch.randn(128, 128, 3, 3))
    x = torch.randn(5, 128, 16, 16)
    whole = convolve(x)
    assert torch.equal(convolve(x.flip(0)).flip(0), whole)
    assert torch.equal(convolve(x[2:3]), whole[2:3])


def test_it_is_used_where_it_pays() -> None:
    wide = torch.zeros(LEAST_CHANNELS, LEAST_CHANNELS, 3, 3)
    x = torch.zeros(1, LEAST_CHANNELS, 16, 16)
    assert pays(x, wide)
    assert not pays(x[:, :, :8], wide)
    assert not pays(x, wide[:64])
    assert not pays(x, wide[:, :, :1, :1])
    assert not pays(x.bfloat16(), wide)


def test_stylegan2_draws_and_scores_the_same() -> None:
    generator = randomised(Generator(GeneratorConfig(**SHAPE, z_dim=8, w_dim=8)), 1)  # type: ignore[arg-type] # of SHAPE
    discriminator = randomised(Discriminator(DiscriminatorConfig(**SHAPE)), 2)  # type: ignore[arg-type] # of SHAPE
    w = torch.randn(3, 8)
    with torch.inference_mode():
        pictures = generator.synthesis(w)
        logits = discriminator(pictures / pictures.abs().max())
        generator.synthesis.execution = discriminator.execution = FASTER
        found = generator.synthesis(w)
        error = float((found - pictures).abs().max())
        assert 0 < error < 5e-5 * float(pictures.std())
        assert torch.equal(generator.synthesis(w.flip(0)).flip(0), found)
        again = discriminator(pictures / pictures.abs().max())
    torch.testing.assert_close(again, logits, atol=1e-5, rtol=1e-4)


def test_autograd_follows_it_after_it_has_drawn() -> None:
    """A service draws in inference mode first, and is asked for gradients then."""
    generator = randomised(Generator(GeneratorConfig(**SHAPE, z_dim=8, w_dim=8)), 1)  # type: ignore[arg-type] # of SHAPE
    gradients = []
    for execution in (FLOAT32, FASTER):
        generator.synthesis.execution = execution
        with torch.inference_mode():
            generator.synthesis(torch.zeros(1, 8))
        w = torch.ones(2, 8, requires_grad=True)
        gradients += torch.autograd.grad(generator.synthesis(w).square().mean(), w)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-3)


def test_biggan_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 1)
    monkeypatch.setattr(winograd, "LEAST_SIDE", 4)
    network = biggan()
    condition = torch.randn(3, BIGGAN.condition_dim)
    with torch.inference_mode():
        wanted = FoldedBigGAN(network, Maps())(condition)
        found = FoldedBigGAN(network, Maps(channels_last=True, winograd=True))(condition)
    error = float((found - wanted).abs().max())
    assert 0 < error < 1e-4 * float(wanted.std())
