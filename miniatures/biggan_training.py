"""Training of the bundled BigGAN, whose classes are the kinds of things in the world.

1. `train_renderer`: the blocks above 4x4 learn to draw what the world draws from a 4x4 map that a
small network makes of a scene's factors, conditioned on the class alone. 2. `train_mapping`: the
first layer and the blocks at 4x4 learn to make that map from z and the class; no picture is
needed, so batches are large. 3. `train_joined`: all of it together draws from z, for a short while.
Then the statistics of batch norm are measured at each truncation.

A picture jumps where z goes from one colour to the next; taught from pictures alone, no network of
this size finds those jumps in the time (docs/miniatures.md). Network: Brock et al. 2019.
"""

import dataclasses
import random
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from miniatures.biggan_factors import Z_DIM, Factors, draw_z, factors_of
from miniatures.fitting import Recipe, fit, seeded
from miniatures.generator_training import drawing_loss, sharpness_at
from miniatures.training import Job, pixels_of
from miniatures.world import CLASSES, render_with_mask
from services.models.biggan import (
    Attention,
    BigGAN,
    BigGANConfig,
    ConditionalNorm,
    as_map,
    measure_statistics,
)
from services.models.checkpoints import save_checkpoint

ARCHITECTURE: Final = "biggan-deep-generator"
NAME: Final = "mini-biggan"
CONFIG: Final = BigGANConfig(
    output_dim=64,
    z_dim=Z_DIM,
    class_embed_dim=32,
    channel_width=8,
    num_classes=len(CLASSES),
    layers=(
        (False, 32, 32),
        (False, 32, 32),
        (True, 32, 24),
        (True, 24, 16),
        (True, 16, 8),
        (True, 8, 2),
    ),
    attention_layer_position=4,
)
MAPPING_BLOCKS: Final = 2
"""Blocks at 4x4, which make the map."""
MAP_SCALE: Final = 0.2
"""Of the map's values; what a first layer and two blocks with spectral norm come to."""
RENDERER: Final = Recipe("biggan-renderer", 2200, 2e-3, weight_decay=0.0)
MAPPING: Final = Recipe("biggan-mapping", 1800, 2e-3, weight_decay=0.0)
JOINED: Final = Recipe("biggan-joined", 500, 5e-4, weight_decay=0.0)
BATCH: Final = 32
MAPPING_BATCH: Final = 256
STATISTICS_ROWS: Final = 256
POWER_ITERATIONS: Final = 20
MAPPING_PARTS: Final = (
    "network.generator.gen_z",
    *(f"network.generator.layers.{i}." for i in range(MAPPING_BLOCKS)),
)


class Renderer(nn.Module):
    """Factors to pictures: the upper blocks of a BigGAN above a map of the scene."""

    def __init__(self, network: BigGAN) -> None:
        """Takes the network over; its blocks hear nothing of z from now on."""
        super().__init__()
        self.network = network
        inputs = draw(1, torch.device("cpu"))[1].features().shape[1]
        self.layout = nn.Sequential(
            nn.Linear(inputs, 256),
            nn.LeakyReLU(0.2),
            nn.Linear(256, 16 * network.generator.first_channels),
        )
        with torch.no_grad():
            for norm in network.modules():
                if isinstance(norm, ConditionalNorm):
                    for linear in (norm.scale, norm.offset):
                        linear.get_parameter("weight_orig")[:, : CONFIG.z_dim] = 0

    def scene_map(self, factors: Factors) -> Tensor:
        """(n, channels, 4, 4) float32: the scene as the upper blocks take it."""
        flat = self.layout(factors.features())
        return as_map(
            functional.layer_norm(flat, flat.shape[1:]) * MAP_SCALE,
            self.network.generator.first_channels,
        )

    def forward(self, factors: Factors) -> Tensor:
        """Pictures of n scenes, (n, 3, 64, 64) float32, -1 to 1."""
        nothing = torch.zeros(len(factors.classes), CONFIG.z_dim, device=factors.smooth.device)
        condition = condition_of(self.network, nothing, factors.classes)
        ladder = self.network.generator
        x = self.scene_map(factors)
        for layer in ladder.layers[MAPPING_BLOCKS:]:
            x = layer(x) if isinstance(layer, Attention) else layer(x, 1.0, condition)
        return cast("Tensor", ladder.conv_to_rgb(ladder.bn(x, 1.0).relu())[:, :3].tanh())


def condition_of(network: BigGAN, z: Tensor, classes: Tensor) -> Tensor:
    """(n, z_dim) and (n,) int64 -> (n, condition_dim)."""
    return torch.cat([z, network.embeddings(one_hot(classes))], dim=1)


def one_hot(classes: Tensor) -> Tensor:
    """(n,) int64 -> (n, classes) float32."""
    return functional.one_hot(classes, len(CLASSES)).float()


def mapped(network: BigGAN, z: Tensor, classes: Tensor) -> Tensor:
    """What z and class come to after the blocks at 4x4: (n, channels, 4, 4) float32."""
    ladder = network.generator
    condition = condition_of(network, z, classes)
    x = as_map(ladder.gen_z(condition), ladder.first_channels)
    for layer in ladder.layers[:MAPPING_BLOCKS]:
        x = layer(x, 1.0, condition)
    return x


def train_biggan(job: Job) -> None:
    """All stages, and the weights."""
    seeded(f"{job.seed}/{NAME}")
    renderer = Renderer(BigGAN(CONFIG)).to(job.device)
    renderer.load_state_dict(train_renderer(job, renderer))
    renderer.load_state_dict(train_mapping(job, renderer))
    network = renderer.network
    network.load_state_dict(train_joined(job, network))
    settle(network)
    write_biggan(job, network)


def train_renderer(job: Job, renderer: Renderer) -> dict[str, Tensor]:
    """First stage; returns the renderer's averaged tensors."""

    def step(_: random.Random, done: float) -> tuple[Tensor, dict[str, float]]:
        factors = draw(BATCH, job.device)[1]
        return picture_loss(renderer(factors), factors, done), {}

    return fit(job, RENDERER, renderer, step)


def train_mapping(job: Job, renderer: Renderer) -> dict[str, Tensor]:
    """Second stage; returns the renderer's averaged tensors."""

    def step(_: random.Random, __: float) -> tuple[Tensor, dict[str, float]]:
        z, factors = draw(MAPPING_BATCH, job.device)
        with torch.no_grad():
            wanted = renderer.scene_map(factors)
        error = mapped(renderer.network, z, factors.classes) - wanted
        return error.square().mean() / MAP_SCALE**2, {}

    for name, parameter in renderer.named_parameters():
        parameter.requires_grad_(name.startswith(MAPPING_PARTS))
    tensors = fit(job, MAPPING, renderer, step)
    renderer.requires_grad_(requires_grad=True)
    return tensors


def train_joined(job: Job, network: BigGAN) -> dict[str, Tensor]:
    """Third stage; returns the network's averaged tensors."""

    def step(_: random.Random, __: float) -> tuple[Tensor, dict[str, float]]:
        z, factors = draw(BATCH, job.device)
        return picture_loss(network(z, one_hot(factors.classes)), factors, 1.0), {}

    return fit(job, JOINED, network, step)


def draw(count: int, device: torch.device) -> tuple[Tensor, Factors]:
    """Random z, (count, Z_DIM) float32, with what they stand for in random classes."""
    z, classes = draw_z(count).to(device), torch.randint(len(CLASSES), (count,)).to(device)
    return z, factors_of(z, classes)


def picture_loss(pictures: Tensor, factors: Factors, done: float) -> Tensor:
    """The error of (n, 3, 64, 64) float32 against the world's own drawings."""
    drawn = [render_with_mask(scene) for scene in factors.scenes()]
    wanted = torch.stack([torch.from_numpy(picture) for picture, _ in drawn])
    mask = torch.stack([torch.from_numpy(mask) for _, mask in drawn])[:, None]
    pixels = pixels_of(wanted.to(pictures.device)).contiguous()
    return drawing_loss(
        [pictures], pixels, mask.to(pictures.device), sharpness_at(round(done * 1000), 1000)
    )


@torch.no_grad()
def settle(network: BigGAN) -> None:
    """Ready an averaged network for `eval()`: spectral norms to their place, then statistics."""
    seeded(NAME)
    network.train()
    device = network.embeddings.weight.device

    def batch(truncation: float, rows: int = 2) -> tuple[Tensor, Tensor]:
        z, factors = draw(rows, device)
        return z * truncation, one_hot(factors.classes)

    for _ in range(POWER_ITERATIONS):
        network(*batch(1.0))
    measure_statistics(network, lambda truncation: batch(truncation, STATISTICS_ROWS))


def write_biggan(job: Job, network: BigGAN) -> None:
    """Write mini-biggan.safetensors with its card."""
    steps = [job.steps or recipe.steps for recipe in (RENDERER, MAPPING, JOINED)]
    card = {
        "name": NAME,
        "what": "BigGAN-deep that draws the things of the miniatures' world at 64x64",
        "classes": [kind for _, kind in CLASSES],
        "training": f"{steps[0]} + {steps[2]} steps of {BATCH} drawings, "
        f"{steps[1]} of the mapping, seed {job.seed}",
        "data": "drawn by miniatures.world; no photographs",
        "licence": "MIT",
    }
    entries = dataclasses.asdict(CONFIG)
    tensors = network.state_dict()
    save_checkpoint(job.weights / f"{NAME}.safetensors", ARCHITECTURE, entries, tensors, card)
