"""Training of the discriminators beside the bundled generators.

Logistic loss: drawings of the world and the generator's whole pictures are real; the very same,
spoilt (blurred, noised, two of them blended, or with a piece of another pasted in), are false. So
the score falls for what goes wrong in a search, and not for what is shown or for one generator's
habits, by which every picture of a search would be false. R1 penalty at some steps (Mescheder et
al. 2018, lazily as in Karras et al. 2020). Each picture is its own group for the minibatch
statistic, as when it is asked: taught in groups of 4, it told .994 of spoilt drawings in groups of
4 and .848 alone.
"""

import math
import random
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from miniatures.domains import DOMAINS
from miniatures.fitting import Recipe, fit, seeded
from miniatures.generator_training import draw_pool
from miniatures.training import Job, channels_last, pictures_of, pixels_of
from services.models.checkpoints import load_checkpoint, save_checkpoint
from services.models.stylegan2 import Generator, GeneratorConfig
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig

ARCHITECTURE: Final = "stylegan2-discriminator"
CONFIG: Final = DiscriminatorConfig(resolution=64, channel_base=1024, channel_max=128)
STEPS: Final = 3_500
BATCH: Final = 16
DRAWINGS: Final = 12_000
SAMPLES: Final = 6_000
PEAK_RATE: Final = 6e-3
R1_GAMMA: Final = 0.02
R1_SHARE: Final = 1 / 8
"""Of the steps that have the penalty."""
PASTED_WEIGHT: Final = 3
"""Of pasting, the hardest to see, beside 1 of each other way of spoiling."""


def load_generator(path: Any) -> Generator:
    """The generator in a checkpoint of ours, in evaluation mode."""
    checkpoint = load_checkpoint(path).expect("stylegan2-generator")
    generator = Generator(GeneratorConfig(**checkpoint.config))
    generator.load_state_dict(checkpoint.tensors)
    return generator.eval().requires_grad_(requires_grad=False)


def load_discriminator(path: Any) -> Discriminator:
    """The discriminator in a checkpoint of ours, in evaluation mode."""
    checkpoint = load_checkpoint(path).expect(ARCHITECTURE)
    discriminator = Discriminator(DiscriminatorConfig(**checkpoint.config))
    discriminator.load_state_dict(checkpoint.tensors)
    return discriminator.eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def samples(generator: Generator, count: int, seed: int, device: torch.device) -> Tensor:
    """`count` pictures of random z: (count, 64, 64, 3) uint8, on the CPU."""
    seeded = torch.Generator().manual_seed(seed)
    z = torch.randn(count, generator.config.z_dim, generator=seeded)
    rows = [pictures_of(generator(part.to(device))).cpu() for part in torch.split(z, 64)]
    return torch.cat(rows)


def spoilt(rng: random.Random, pixels: Tensor) -> Tensor:
    """(n, 3, 64, 64) drawings, each spoilt in one of four ways, half of them by pasting."""
    others = pixels.roll(1, dims=0)
    blended = pixels.lerp(others, rng.uniform(0.25, 0.75))
    noisy = pixels + torch.randn_like(pixels) * rng.uniform(0.08, 0.4)
    soft = functional.interpolate(pixels, scale_factor=1 / rng.choice((2, 4)), mode="area")
    soft = functional.interpolate(soft, size=pixels.shape[-1], mode="bilinear")
    pasted = torch.stack([_pasted(rng, *pair) for pair in zip(pixels, others, strict=True)])
    ways = torch.stack([pasted, blended, noisy, soft])
    weights = (PASTED_WEIGHT, 1, 1, 1)
    choice = rng.choices(range(len(ways)), weights, k=len(pixels))
    return ways[torch.tensor(choice), torch.arange(len(pixels))]


def _pasted(rng: random.Random, pixels: Tensor, other: Tensor) -> Tensor:
    """(3, 64, 64) with a square of the other in it."""
    top, left, side = rng.randrange(36), rng.randrange(36), rng.randint(14, 28)
    window = (..., slice(top, top + side), slice(left, left + side))
    whole = pixels.clone()
    whole[window] = other[window]
    return whole


def train_discriminator(job: Job, thing: str) -> None:
    """Train against mini-THING.safetensors, resuming from a snapshot, and write the weights."""
    recipe = Recipe(
        f"{thing}-discriminator", STEPS, PEAK_RATE, weight_decay=0.0, clip_norm=math.inf
    )
    steps = job.steps or STEPS
    seeded(f"{job.seed}/{recipe.name}")
    generator = load_generator(job.weights / f"mini-{thing}.safetensors").to(job.device)
    network = channels_last(Discriminator(CONFIG).to(job.device))
    if job.warm:
        begun = load_discriminator(job.weights / f"mini-{thing}-discriminator.safetensors")
        network.load_state_dict(begun.state_dict())
    drawn = draw_pool(DOMAINS[thing], f"{job.seed}/real", min(DRAWINGS, steps * BATCH))[1]
    made = samples(generator, min(SAMPLES, steps * BATCH), job.seed + 3, job.device)

    def step(rng: random.Random, _: float) -> tuple[Tensor, dict[str, float]]:
        half = BATCH // 2  # of the real ones are the generator's
        real = torch.cat([some(rng, drawn, BATCH - half), some(rng, made, half)]).to(job.device)
        real = real[torch.tensor(rng.sample(range(BATCH), BATCH))]
        false = spoilt(rng, real)
        with job.precision:
            return logistic_loss(network, real, false, penalise=rng.random() < R1_SHARE)

    write_discriminator(job, fit(job, recipe, network, step), thing, steps)


def some(rng: random.Random, pool: Tensor, count: int) -> Tensor:
    """(count, 3, 64, 64) random rows of (n, 64, 64, 3) uint8, as pixels."""
    return pixels_of(pool[torch.tensor([rng.randrange(len(pool)) for _ in range(count)])])


def logistic_loss(
    network: Discriminator, real: Tensor, false: Tensor, *, penalise: bool
) -> tuple[Tensor, dict[str, float]]:
    """Logistic loss of (n, 3, 64, 64) pixels, with R1 if it is this step's turn."""
    scores, others = network(real.requires_grad_(penalise)), network(false)
    loss = functional.softplus(-scores).mean() + functional.softplus(others).mean()
    figures = {"real": scores.mean().item(), "false": others.mean().item()}
    if not penalise:
        return loss, figures
    (slope,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
    norm = slope.square().sum(dim=(1, 2, 3)).mean()
    return loss + norm * (R1_GAMMA / 2 / R1_SHARE), figures


def write_discriminator(job: Job, tensors: dict[str, Tensor], thing: str, steps: int) -> None:
    """Write mini-THING-discriminator.safetensors with its card."""
    card = {
        "name": f"mini-{thing}-discriminator",
        "what": f"discriminator for mini-{thing}; larger logits are more like the drawings",
        "training": f"{steps} steps of {BATCH} real pictures and the same spoilt{job.beginning}, "
        f"R1 {R1_GAMMA}",
        "data": f"drawn by miniatures.world and by mini-{thing}; no photographs",
        "licence": "MIT",
    }
    entries = {
        "resolution": CONFIG.resolution,
        "channel_base": CONFIG.channel_base,
        "channel_max": CONFIG.channel_max,
    }
    path = job.weights / f"mini-{thing}-discriminator.safetensors"
    save_checkpoint(path, ARCHITECTURE, entries, tensors, card, half=True)
