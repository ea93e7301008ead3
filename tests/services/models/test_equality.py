"""The networks against independent ones: the equations in float64, and another project's code.

Tolerances are of the output's standard deviation and ten times what the reference differs from
itself between float32 and float64. Golden values come from BasicSR 1.4.2 (PyPI, Apache-2.0, whose
StyleGAN2 descends from rosinality's) run in float64 with the weights that `randomised` makes here,
its fused bias and activation replaced by the same in plain torch; truncation 0.7, noise `const`,
each picture scored alone.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from services.models.stylegan2 import Generator, GeneratorConfig
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig
from services.models.stylegan2_layers import Execution
from tests.services.importing.writers import randomised
from tests.services.models import reference

GOLDEN = Path(__file__).parent / "golden"
IMAGE_TOLERANCE = 5e-5
LOGIT_TOLERANCE = 1e-5


def doubled(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in network.state_dict().items()}


def one_hot(count: int, rows: int) -> Tensor | None:
    return torch.eye(count)[torch.arange(rows) % count] if count else None


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    """What generators and discriminators have in common."""
    resolution = draw(st.sampled_from([8, 16, 32]))
    count = resolution.bit_length() - 2
    return {
        "resolution": resolution,
        "widths": tuple(draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))),
        "architecture": draw(st.sampled_from(["skip", "resnet", "orig"])),
        "conv_clamp": draw(st.sampled_from([None, 256.0, 0.5])),
        "c_dim": draw(st.sampled_from([0, 1, 3])),
        "mapping_layers": draw(st.integers(1, 3)),
        "mapping_lr_multiplier": draw(st.sampled_from([1.0, 0.01])),
    }


executions = st.builds(Execution, channels_last=st.booleans(), fused=st.booleans())


@settings(max_examples=40, deadline=None)
@given(
    shape=shapes(),
    execution=executions,
    psi=st.sampled_from([1.0, 0.7, 0.0]),
    cutoff=st.sampled_from([None, 0, 1, 3]),
    seed=st.integers(0, 1000),
)
@torch.inference_mode()
def test_generators_draw_what_the_equations_say(
    shape: dict[str, Any], execution: Execution, psi: float, cutoff: int | None, seed: int
) -> None:
    config = GeneratorConfig(**shape, z_dim=3, w_dim=5, truncation_cutoff=cutoff)
    generator = randomised(Generator(config), seed)
    generator.synthesis.execution = execution
    z = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed))
    labels = one_hot(config.c_dim, 3)
    drawn = generator(z, psi, labels=labels)
    tensors = doubled(generator)
    for row in range(3):
        label = None if labels is None else labels[row].double()
        wanted = reference.draw(tensors, config, z[row].double(), psi, label)
        limit = IMAGE_TOLERANCE * float(wanted.std())
        assert float((drawn[row] - wanted).abs().max()) <= limit


@settings(max_examples=40, deadline=None)
@given(
    shape=shapes(),
    execution=executions,
    features=st.sampled_from([0, 1]),
    seed=st.integers(0, 1000),
)
@torch.inference_mode()
def test_discriminators_score_what_the_equations_say(
    shape: dict[str, Any], execution: Execution, features: int, seed: int
) -> None:
    config = DiscriminatorConfig(**shape, cmap_dim=4, minibatch_features=features)
    discriminator = randomised(Discriminator(config), seed)
    discriminator.execution = execution
    size = config.resolution
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(seed))
    labels = one_hot(config.c_dim, 3)
    scores = discriminator(images, labels=labels)
    tensors = doubled(discriminator)
    for row in range(3):
        label = None if labels is None else labels[row].double()
        wanted = float(reference.score(tensors, config, images[row].double(), label))
        assert float(scores[row]) == pytest.approx(wanted, abs=LOGIT_TOLERANCE, rel=1e-4)


def golden(name: str) -> dict[str, Any]:
    with np.load(GOLDEN / name) as arrays:
        return {key: arrays[key] for key in arrays}


@torch.inference_mode()
def drawn_and_scored(
    shape: dict[str, int], mapping: dict[str, int], rows: int
) -> tuple[Tensor, Tensor]:
    """Pictures (rows, 3, r, r), and the logits of them scaled into [-1, 1]."""
    generator = randomised(Generator(GeneratorConfig(**shape, **mapping)), 5)
    z = torch.randn(rows, mapping["z_dim"], generator=torch.Generator().manual_seed(6))
    pictures = generator(z, 0.7)
    discriminator = randomised(Discriminator(DiscriminatorConfig(**shape)), 7)
    images = (pictures.double() / (2 * pictures.double().std())).clamp(-1, 1).float()
    return pictures, discriminator(images)


def test_a_small_network_equals_another_projects() -> None:
    pictures, logits = drawn_and_scored(
        {"resolution": 64, "channel_base": 1024, "channel_max": 16},
        {"z_dim": 16, "w_dim": 16, "mapping_layers": 3},
        2,
    )
    wanted = golden("stylegan2_64.npz")
    error = np.abs(pictures.numpy() - wanted["pictures"])
    assert error.max() <= IMAGE_TOLERANCE * wanted["pictures"].std()
    np.testing.assert_allclose(logits.numpy(), wanted["logits"], rtol=0, atol=LOGIT_TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(("resolution", "rows"), [(256, 2), (1024, 1)])
def test_full_size_equals_another_projects(resolution: int, rows: int) -> None:
    """Config F as released; a thousand pixels of each picture are kept."""
    pictures, logits = drawn_and_scored({"resolution": resolution}, {"z_dim": 512}, rows)
    wanted = golden(f"stylegan2_{resolution}.npz")
    found = pictures.flatten(1).numpy()[:, wanted["places"]]
    assert np.abs(found - wanted["pixels"]).max() <= IMAGE_TOLERANCE * wanted["std"]
    assert float(pictures.mean()) == pytest.approx(float(wanted["mean"]), abs=1e-5)
    np.testing.assert_allclose(logits.numpy(), wanted["logits"], rtol=0, atol=5 * LOGIT_TOLERANCE)


@pytest.mark.parametrize(
    ("dtype", "least_decibels"), [(torch.bfloat16, 40.0), (torch.float16, 55.0)]
)
@pytest.mark.parametrize("fused", [False, True])
@torch.inference_mode()
def test_sixteen_bits_are_near(dtype: torch.dtype, least_decibels: float, fused: bool) -> None:
    """Peak signal to noise against float32, the peak being four standard deviations."""
    shape = {"resolution": 32, "channel_base": 512, "channel_max": 32}
    generator = randomised(Generator(GeneratorConfig(**shape, z_dim=16, w_dim=16)), 5)
    discriminator = randomised(Discriminator(DiscriminatorConfig(**shape)), 7)
    z = torch.randn(4, 16, generator=torch.Generator().manual_seed(6))
    wanted = generator(z)
    logits = discriminator(wanted / wanted.abs().max())
    execution = Execution(dtype, blocks=2, channels_last=True, fused=fused)
    generator.synthesis.execution = discriminator.execution = execution
    found = generator(z)
    assert found.dtype == torch.float32
    noise = float((found - wanted).square().mean().sqrt())
    assert noise > 0
    assert 20 * np.log10(4 * float(wanted.std()) / noise) > least_decibels
    torch.testing.assert_close(
        discriminator(wanted / wanted.abs().max()), logits, atol=0, rtol=5e-3
    )


@torch.inference_mode()
def test_float16_stays_finite_where_features_are_large() -> None:
    """Styles of thousands overflow without normalisation, biases of thousands without a clamp."""
    generator = randomised(Generator(GeneratorConfig(8, 4, 4, widths=(8, 8))), 1)
    for name, tensor in generator.named_parameters():
        if name.endswith("affine.bias") and "conv" in name:
            tensor.mul_(1e5)
        if name.endswith("conv1.bias"):
            tensor.mul_(1e5)
    generator.synthesis.execution = Execution(torch.float16)
    assert torch.isfinite(generator.synthesis(torch.randn(2, 4))).all()


def test_the_lower_blocks_stay_float32() -> None:
    execution = Execution(torch.bfloat16, blocks=4)
    types = [execution.dtype_at(resolution, 256) for resolution in (4, 8, 16, 32, 64, 128, 256)]
    assert types == [torch.float32] * 3 + [torch.bfloat16] * 4
