"""The generator against direct definitions, and what the services rely on."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from services.models.stylegan2 import Generator, GeneratorConfig, normalised
from services.models.stylegan2_layers import modulated_conv, resample_kernel, upsampled

TINY = GeneratorConfig(
    resolution=16, z_dim=8, w_dim=12, mapping_layers=2, channel_base=128, channel_max=12
)


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(1)
    made = Generator(TINY)
    with torch.no_grad():
        for name, tensor in made.named_parameters():
            if name.endswith(("bias", "noise_strength")):
                tensor.add_(torch.randn_like(tensor) * 0.3)
        made.mapping.w_avg.copy_(torch.randn(12))
    return made.eval().requires_grad_(requires_grad=False)


def fused(x: Tensor, weight: Tensor, styles: Tensor, *, up: bool, demodulate: bool) -> Tensor:
    """The definition: each row has its own weight, one grouped convolution runs them all."""
    n, inputs = styles.shape
    own = weight[None] * styles[:, None, :, None, None]
    if demodulate:
        own = own * torch.rsqrt(own.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
    packed = x.reshape(1, n * inputs, *x.shape[2:])
    if up:
        kernel = own.transpose(1, 2).reshape(n * inputs, -1, 3, 3)
        y = functional.conv_transpose2d(packed, kernel, stride=2, groups=n)
        y = y.reshape(n, -1, *y.shape[2:])
        fir = (resample_kernel() * 4).expand(y.shape[1], 1, 4, 4)
        return functional.conv2d(functional.pad(y, (1, 1, 1, 1)), fir, groups=y.shape[1])
    kernel = own.reshape(-1, inputs, *weight.shape[2:])
    y = functional.conv2d(packed, kernel, padding=weight.shape[-1] // 2, groups=n)
    return y.reshape(n, -1, *y.shape[2:])


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_unfused_modulation_equals_a_weight_per_row(*, up: bool, demodulate: bool) -> None:
    torch.manual_seed(2)
    x, styles = torch.randn(3, 5, 8, 8), torch.randn(3, 5) + 1
    weight = torch.randn(7, 5, 3, 3)
    kernel = resample_kernel() if up else None
    got = modulated_conv(x, weight, styles, kernel, demodulate=demodulate)
    wanted = fused(x, weight, styles, up=up, demodulate=demodulate)
    assert got.shape == (3, 7, 16, 16) if up else (3, 7, 8, 8)
    torch.testing.assert_close(got, wanted, atol=1e-4 * float(wanted.std()), rtol=0)


def test_demodulated_noise_keeps_unit_variance() -> None:
    torch.manual_seed(3)
    styles = torch.exp(torch.randn(4, 32))
    out = modulated_conv(torch.randn(4, 32, 64, 64), torch.randn(16, 32, 3, 3), styles)
    assert out.std(dim=(1, 2, 3)).tolist() == pytest.approx([1.0] * 4, abs=0.06)


def test_demodulation_forgets_the_scale_of_the_styles() -> None:
    torch.manual_seed(4)
    x, weight, styles = torch.randn(2, 6, 4, 4), torch.randn(5, 6, 3, 3), torch.rand(2, 6) + 0.5
    once, scaled = (modulated_conv(x, weight, styles * factor) for factor in (1.0, 1000.0))
    torch.testing.assert_close(once, scaled)


def test_upsampling_keeps_a_constant_away_from_the_border() -> None:
    out = upsampled(torch.full((1, 3, 8, 8), 0.7), resample_kernel())
    assert out.shape == (1, 3, 16, 16)
    torch.testing.assert_close(out[..., 2:-2, 2:-2], torch.full((1, 3, 12, 12), 0.7))


def test_upsampling_is_zero_insertion_and_a_low_pass() -> None:
    """A lone pixel becomes the filter itself, times four, padded (2, 1)."""
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 1, 1] = 1.0
    wanted = torch.zeros(8, 8)
    wanted[1:5, 1:5] = resample_kernel() * 4
    torch.testing.assert_close(upsampled(image, resample_kernel())[0, 0], wanted)


def test_names_and_shapes_are_those_of_the_released_networks(generator: Generator) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in generator.state_dict().items()}
    assert shapes["mapping.fc0.weight"] == (12, 8)
    assert shapes["mapping.w_avg"] == (12,)
    assert shapes["synthesis.b4.const"] == (12, 4, 4)
    assert shapes["synthesis.b16.conv0.weight"] == (8, 12, 3, 3)
    assert shapes["synthesis.b16.conv0.affine.weight"] == (12, 12)
    assert shapes["synthesis.b16.conv1.noise_const"] == (16, 16)
    assert shapes["synthesis.b16.conv1.noise_strength"] == ()
    assert shapes["synthesis.b16.torgb.weight"] == (3, 8, 1, 1)
    assert shapes["synthesis.b8.resample_filter"] == (4, 4)
    assert "synthesis.b4.conv0.weight" not in shapes


@pytest.mark.parametrize(("resolution", "layers", "tensors"), [(1024, 8, 182), (256, 8, 144)])
def test_the_full_sizes_have_the_known_number_of_tensors(
    resolution: int, layers: int, tensors: int
) -> None:
    with torch.device("meta"):
        made = Generator(GeneratorConfig(resolution=resolution, mapping_layers=layers))
    assert len(made.state_dict()) == tensors


def test_mapping_is_normalised_scaled_dense_and_leaky(generator: Generator) -> None:
    z = torch.randn(5, 8)
    x = z / z.square().mean(dim=1, keepdim=True).add(1e-8).sqrt()
    for layer in (generator.mapping.get_submodule("fc0"), generator.mapping.get_submodule("fc1")):
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        y = x @ weight.T * (0.01 / math.sqrt(x.shape[1])) + bias * 0.01
        x = functional.leaky_relu(y, 0.2) * math.sqrt(2)
    torch.testing.assert_close(generator.mapping(z), x)


def test_truncation_moves_towards_the_mean(generator: Generator) -> None:
    z = torch.randn(3, 8)
    w, average = generator.mapping(z), generator.mapping.w_avg
    torch.testing.assert_close(generator.mapping(z, 0.0), average.expand(3, -1))
    torch.testing.assert_close(generator.mapping(z, 0.25), average + 0.25 * (w - average))


def test_only_the_direction_of_z_counts() -> None:
    z = torch.randn(4, 64)
    torch.testing.assert_close(normalised(z), normalised(z * 7), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_row_does_not_depend_on_its_place_or_its_mates(generator: Generator) -> None:
    """In a batch of fixed shape, bit for bit."""
    z = torch.randn(6, 8)
    images = generator(z)
    assert images.shape == (6, 3, 16, 16)
    assert torch.equal(generator(z.flip(0)).flip(0), images)
    mates = torch.cat([z[:1], torch.randn(5, 8)])
    assert torch.equal(generator(mates)[0], images[0])


@torch.inference_mode()
def test_noise_modes(generator: Generator) -> None:
    z = torch.randn(2, 8)
    assert torch.equal(generator(z), generator(z, noise_mode="const"))
    assert not torch.equal(generator(z), generator(z, noise_mode="none"))
    assert not torch.equal(generator(z, noise_mode="random"), generator(z, noise_mode="random"))


@pytest.mark.parametrize("resolution", [0, 4, 48, -64])
def test_odd_resolutions_are_refused(resolution: int) -> None:
    with pytest.raises(ValueError, match=f"power of two from 8 up, got {resolution}"):
        GeneratorConfig(resolution=resolution)


def test_layers_that_take_a_w() -> None:
    assert [GeneratorConfig(resolution=r).num_ws for r in (1024, 512, 256)] == [18, 16, 14]
