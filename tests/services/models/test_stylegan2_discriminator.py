"""The discriminator's score, its minibatch statistics and its names."""

import pytest
import torch
from torch.nn import functional

from services.models.stylegan2_discriminator import (
    Discriminator,
    DiscriminatorConfig,
    with_minibatch_std,
)
from services.models.stylegan2_layers import Convolution, resample_kernel

TINY = DiscriminatorConfig(resolution=16, channel_base=128, channel_max=12)


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(1)
    made = Discriminator(TINY)
    with torch.no_grad():
        for name, tensor in made.named_parameters():
            if name.endswith("bias"):
                tensor.add_(torch.randn_like(tensor) * 0.3)
    return made.eval().requires_grad_(requires_grad=False)


@torch.inference_mode()
def test_alone_in_its_group_a_score_does_not_depend_on_the_others(
    discriminator: Discriminator,
) -> None:
    """In a batch of fixed shape, bit for bit."""
    images = torch.randn(8, 3, 16, 16)
    scores = discriminator(images)
    assert scores.shape == (8,)
    assert torch.equal(discriminator(images.flip(0)).flip(0), scores)
    others = torch.cat([images[:1], torch.randn(7, 3, 16, 16)])
    assert torch.equal(discriminator(others)[0], scores[0])


@torch.inference_mode()
def test_in_groups_of_four_it_does(discriminator: Discriminator) -> None:
    images = torch.randn(8, 3, 16, 16)
    others = torch.cat([images[:1], torch.randn(7, 3, 16, 16)])
    assert discriminator(images, 4)[0] != discriminator(others, 4)[0]


def test_minibatch_std_is_the_mean_deviation_of_strided_groups() -> None:
    x = torch.randn(8, 5, 4, 4)
    channel = with_minibatch_std(x, 4)[:, 5]
    for row in range(8):
        group = x[row % 2 :: 2]
        wanted = (group.var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
        torch.testing.assert_close(channel[row], wanted.expand(4, 4))


def test_minibatch_std_of_one_is_nearly_zero() -> None:
    channel = with_minibatch_std(torch.randn(3, 5, 4, 4), 1)[:, 5]
    torch.testing.assert_close(channel, torch.full((3, 4, 4), 1e-4))


def test_a_batch_that_groups_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of group_size 4, got 6 rows"):
        with_minibatch_std(torch.randn(6, 5, 4, 4), 4)


@pytest.mark.parametrize("size", [1, 3])
def test_halving_is_a_low_pass_then_a_stride(size: int) -> None:
    """For 1x1 kernels the filter runs at stride one and every second pixel is kept."""
    torch.manual_seed(2)
    layer = Convolution(4, 6, size, resample="down", bias=False)
    x = torch.randn(2, 4, 16, 16)
    pad = (size + 1) // 2
    fir = resample_kernel().expand(4, 1, 4, 4)
    smooth = functional.conv2d(functional.pad(x, (pad,) * 4), fir, groups=4)
    wanted = functional.conv2d(smooth, layer.weight / (4 * size * size) ** 0.5)[:, :, ::2, ::2]
    torch.testing.assert_close(layer(x), wanted)


def test_names_and_shapes_are_those_of_the_released_networks(discriminator: Discriminator) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in discriminator.state_dict().items()}
    assert shapes["b16.fromrgb.weight"] == (8, 3, 1, 1)
    assert shapes["b16.conv1.weight"] == (12, 8, 3, 3)
    assert shapes["b8.skip.weight"] == (12, 12, 1, 1)
    assert "b8.skip.bias" not in shapes
    assert "b8.fromrgb.weight" not in shapes
    assert shapes["b4.conv.weight"] == (12, 13, 3, 3)
    assert shapes["b4.fc.weight"] == (12, 192)
    assert shapes["b4.out.weight"] == (1, 12)


def test_the_full_size_has_the_known_parameters() -> None:
    with torch.device("meta"):
        names = [name for name, _ in Discriminator(DiscriminatorConfig()).named_parameters()]
    assert len(names) == 2 + 8 * 5 + 6
