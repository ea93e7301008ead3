"""BigGAN-deep against Hugging Face's own, and what training and drawing rely on.

`biggan.npz` was computed by pytorch-pretrained-biggan 0.1.1 in float64, with the weights that
`filled` makes: pictures of `Z` and `CLASSES` for each truncation in `TRUNCATIONS`. So was
`golden/biggan_thin.npz`: of the published networks' own layers with 4 channels in place of 128,
what `summary` keeps of their pictures.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from services.models.biggan import (
    PUBLISHED,
    BatchNorm,
    BigGAN,
    BigGANConfig,
    at_truncation,
    measure_statistics,
    read_config,
)
from services.models.biggan_folded import FoldedBigGAN, Maps

TINY = BigGANConfig(
    output_dim=16,
    z_dim=5,
    class_embed_dim=5,
    channel_width=4,
    num_classes=7,
    layers=((False, 16, 8), (True, 8, 4), (True, 4, 2), (False, 2, 1)),
    attention_layer_position=2,
)
THIN = {
    side: replace(published, z_dim=5, class_embed_dim=5, channel_width=4, num_classes=7)
    for side, published in PUBLISHED.items()
}
TRUNCATIONS = (1.0, 0.5, 0.14, 0.33)
RNG = np.random.RandomState(0)  # its stream never changes
Z = torch.from_numpy(RNG.standard_normal((2, 5)).clip(-2, 2))
CLASSES = torch.from_numpy(RNG.dirichlet(np.full(7, 0.5), 2))


def filled(network: nn.Module) -> None:
    """Weights that depend on nothing but their names' order; u and v are the singular vectors."""
    rng = np.random.RandomState(1)
    state = network.state_dict()
    for name in sorted(state):
        values = torch.from_numpy(rng.standard_normal(tuple(state[name].shape)))
        if name.endswith("running_vars"):
            values = 0.5 + values.square()
        state[name] = values * (0.3 if name.endswith(("means", "bias")) else 1.0)
    for name in [name for name in state if name.endswith("weight_orig")]:
        u, _, v = torch.linalg.svd(state[name].flatten(1), full_matrices=False)
        state[name.replace("_orig", "_u")], state[name.replace("_orig", "_v")] = u[:, 0], v[0]
    network.load_state_dict(state)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(Path(__file__).with_name("biggan.npz")) as file:
        return {key: torch.from_numpy(file[key]) for key in file}


@pytest.fixture
def network() -> BigGAN:
    made = BigGAN(TINY).double()
    filled(made)
    return made.eval().requires_grad_(requires_grad=False)


def summary(pictures: Tensor) -> dict[str, Tensor]:
    """Of (n, 3, side, side): every so many-th pixel, and means of squares that hold all of them."""
    step = pictures.shape[-1] // 8
    return {
        "pixels": pictures[:, :, step // 3 :: step, step // 5 :: step],
        "squares": nn.functional.avg_pool2d(pictures, step),
        "energy": nn.functional.avg_pool2d(pictures.square(), step),
    }


def condition(network: BigGAN, z: Tensor, classes: Tensor) -> Tensor:
    return torch.cat([z, network.embeddings(classes)], dim=1)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_pictures_are_those_of_hugging_face(
    network: BigGAN, golden: dict[str, Tensor], truncation: float
) -> None:
    wanted = golden[str(truncation)]
    own = network(Z, CLASSES, truncation)
    folded = FoldedBigGAN(network, Maps(torch.float64))(condition(network, Z, CLASSES), truncation)
    torch.testing.assert_close(own, wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(folded, wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("side", [128, 256, 512])
@pytest.mark.parametrize("truncation", [1.0, 0.33])
@torch.inference_mode()
def test_the_published_layers_draw_as_hugging_faces(side: int, truncation: float) -> None:
    """Which layers double, where attention is, and what feeds what, at full resolution."""
    network = BigGAN(THIN[side]).double()
    filled(network)
    network.eval()
    given = condition(network, Z, CLASSES)
    folded = FoldedBigGAN(network, Maps(torch.float64))(given, truncation)
    with np.load(Path(__file__).parent / "golden" / "biggan_thin.npz") as wanted:
        for drawn in (network(Z, CLASSES, truncation), folded):
            for name, found in summary(drawn).items():
                kept = torch.from_numpy(wanted[f"{side}/{truncation}/{name}"])
                assert kept.std() > 0.01
                torch.testing.assert_close(found, kept, atol=1e-11, rtol=0)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_in_float32_they_are_the_same_within_rounding(
    network: BigGAN, golden: dict[str, Tensor], truncation: float
) -> None:
    wanted = golden[str(truncation)]
    network.float()
    z, classes = Z.float(), CLASSES.float()
    close = {"atol": 1e-4 * float(wanted.std()), "rtol": 0.0}
    torch.testing.assert_close(network(z, classes, truncation).double(), wanted, **close)
    folded = FoldedBigGAN(network, Maps())(condition(network, z, classes), truncation)
    torch.testing.assert_close(folded.double(), wanted, **close)


def test_in_bfloat16_they_are_alike(network: BigGAN, golden: dict[str, Tensor]) -> None:
    network.float()
    maps = Maps(torch.bfloat16, channels_last=True)
    found = FoldedBigGAN(network, maps)(condition(network, Z.float(), CLASSES.float()), 0.5)
    assert found.dtype == torch.float32
    error = float((found.double() - golden["0.5"]).square().mean().sqrt())
    assert 0 < error < 0.03 * float(golden["0.5"].std())


@pytest.mark.parametrize(
    ("side", "entries", "parameters"),
    [(128, 506, 50_388_609), (256, 602, 55_880_833), (512, 698, 56_163_905)],
)
def test_the_published_sizes(side: int, entries: int, parameters: int) -> None:
    with torch.device("meta"):
        made = BigGAN(PUBLISHED[side])
    assert len(made.state_dict()) == entries
    assert sum(tensor.numel() for tensor in made.parameters()) == parameters


def test_statistics_between_two_rows_are_weighed_as_released() -> None:
    rows = torch.arange(51.0)[:, None]
    assert at_truncation(rows, 1.0).item() == 50
    assert at_truncation(rows, 0.5).item() == 25
    assert at_truncation(rows, 0.505).item() == pytest.approx(25.75)  # a quarter along, and yet
    assert at_truncation(rows, 0.14).item() == pytest.approx(8)  # 7, but for a float's last bit
    assert at_truncation(rows, 0.0).item() == 0


@torch.inference_mode()
def test_a_row_does_not_depend_on_its_place_or_its_mates(network: BigGAN) -> None:
    """In a batch of fixed shape, bit for bit."""
    draw = FoldedBigGAN(network.float(), Maps())
    rows = torch.randn(4, TINY.condition_dim)
    pictures = draw(rows, 0.5)
    assert torch.equal(draw(rows.flip(0), 0.5).flip(0), pictures)
    mates = torch.cat([rows[:1], torch.randn(3, TINY.condition_dim)])
    assert torch.equal(draw(mates, 0.5)[0], pictures[0])


def test_training_reaches_every_parameter_and_learns() -> None:
    torch.manual_seed(0)
    network = BigGAN(TINY).train()
    nn.init.ones_(network.get_parameter("generator.layers.2.gamma"))  # 0 at first, as published
    z, classes = torch.randn(8, 5), torch.eye(7)[torch.arange(8) % 7]
    wanted = torch.rand(8, 3, 16, 16) * 2 - 1
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for step in range(40):
        loss = (network(z, classes) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        if step == 1:
            silent = [
                n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()
            ]
            # a batch norm takes away again what a bias adds
            assert not [name for name in silent if "bias" not in name]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_measured_statistics_draw_what_training_saw() -> None:
    torch.manual_seed(0)
    network = BigGAN(TINY).train()
    z, classes = torch.randn(16, 5), torch.eye(7)[torch.arange(16) % 7]
    for _ in range(30):
        network(z, classes)
    measure_statistics(network, lambda truncation: (z * truncation, classes))
    assert not network.training
    with torch.no_grad():
        for truncation in (0.0, 0.5, 1.0):
            stored = network(z * truncation, classes, truncation)
            for module in network.modules():
                if isinstance(module, BatchNorm):
                    module.training = True
            fresh = network(z * truncation, classes, truncation)
            network.eval()
            torch.testing.assert_close(stored, fresh, atol=1e-4, rtol=0)


def test_weights_without_their_singular_vectors_are_refused(network: BigGAN) -> None:
    network.generator.layers[0].conv_1.weight_u.neg_()
    with pytest.raises(ValueError, match="sigma above 0, found -"):
        FoldedBigGAN(network, Maps())


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"output_dim": 64}, "draw 128 pixels, but output_dim is 64"),
        ({"layers": [[False, 16, 16], [True, 8, 8]]}, "layer 1 takes 8 .* wanted 16"),
        ({"layers": [[False, 1, 2]], "output_dim": 4}, "layer 0 .* gives 2"),
        ({"layers": []}, "at least one layer"),
        ({"layers": "many"}, "wanted the configuration of a BigGAN"),
        ({"z_dim": "128"}, "wanted the configuration of a BigGAN.*z_dim"),
        ({"n_stats": 1}, "n_stats must be at least 2"),
    ],
)
def test_configurations_that_cannot_be_are_refused(entries: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_config(entries)


def test_a_published_configuration_is_read() -> None:
    layers = [list(layer) for layer in PUBLISHED[512].layers]
    assert read_config({"output_dim": 512, "layers": layers, "z_dim": 128}) == PUBLISHED[512]
