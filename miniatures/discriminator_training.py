"""Training of the discriminator beside the bundled generator.

Logistic loss: drawings of the world are real; false ones are the generator's pictures and
drawings that were spoilt (blurred, noised, two of them blended, or with a piece of another pasted
in), so that the score falls for what goes wrong in a search and not for this one generator's
habits alone. R1 penalty every few steps (Mescheder et al. 2018, lazily as in Karras et al. 2020).
Minibatch statistics in groups of 4 while training.
"""

import random
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from miniatures.generator_training import draw_pool
from miniatures.progress import progress
from miniatures.training import (
    SNAPSHOT_EVERY,
    Average,
    Job,
    cosine,
    pictures_of,
    pixels_of,
    resume,
    save_snapshot,
)
from services.models.checkpoints import load_checkpoint, save_checkpoint
from services.models.stylegan2 import Generator, GeneratorConfig
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig

ARCHITECTURE: Final = "stylegan2-discriminator"
CONFIG: Final = DiscriminatorConfig(resolution=64, channel_base=1024, channel_max=128)
STEPS: Final = 1600
BATCH: Final = 16
DRAWINGS: Final = 12_000
SAMPLES: Final = 6_000
PEAK_RATE: Final = 6e-3
R1_GAMMA: Final = 0.02
R1_EVERY: Final = 8
GROUP: Final = 4


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
    """(n, 3, 64, 64) drawings, each spoilt in one of four ways."""
    others = pixels.roll(1, dims=0)
    blended = pixels.lerp(others, rng.uniform(0.25, 0.75))
    noisy = pixels + torch.randn_like(pixels) * rng.uniform(0.08, 0.4)
    soft = functional.interpolate(pixels, scale_factor=1 / rng.choice((2, 4)), mode="area")
    soft = functional.interpolate(soft, size=pixels.shape[-1], mode="bilinear")
    pasted = pixels.clone()
    top, left, side = rng.randrange(36), rng.randrange(36), rng.randint(14, 28)
    window = (..., slice(top, top + side), slice(left, left + side))
    pasted[window] = others[window]
    ways = torch.stack([blended, noisy, soft, pasted])
    choice = torch.tensor([rng.randrange(4) for _ in range(len(pixels))], device=pixels.device)
    return ways[choice, torch.arange(len(pixels), device=pixels.device)]


def train_discriminator(job: Job) -> None:
    """Train against mini-car.safetensors, resuming from a snapshot, and write the weights."""
    steps = job.steps or STEPS
    torch.manual_seed(job.seed + 2)
    generator = load_generator(job.weights / "mini-car.safetensors").to(job.device)
    network = Discriminator(CONFIG).to(job.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99))
    average = Average(network, horizon=200)
    snapshot = job.work / "car-discriminator.pt"
    first = resume(snapshot, network, optimizer, average, job.device)
    drawn = draw_pool(f"{job.seed}/real", min(DRAWINGS, steps * BATCH), generator.config.z_dim)[1]
    made = samples(generator, min(SAMPLES, steps * BATCH), job.seed + 3, job.device)
    with progress("car discriminator", first, steps) as report:
        for step in range(first, steps):
            optimizer.param_groups[0]["lr"] = PEAK_RATE * cosine(step, steps)
            loss = _step(network, optimizer, _pick(drawn, made, step, job), step)
            average.update(network, step)
            report(step + 1, loss=loss)
            if (step + 1) % SNAPSHOT_EVERY == 0 or step + 1 == steps:
                save_snapshot(snapshot, network, optimizer, average, step + 1)
    write_discriminator(job, average.tensors, steps)


def write_discriminator(job: Job, tensors: dict[str, Tensor], steps: int) -> None:
    """Write mini-car-discriminator.safetensors with its card."""
    card = {
        "name": "mini-car-discriminator",
        "what": "StyleGAN2 discriminator for mini-car; larger logits are more like the drawings",
        "training": f"{steps} steps of {BATCH} drawings and {BATCH} false pictures, R1 {R1_GAMMA}",
        "data": "drawn by miniatures.world and by mini-car; no photographs",
        "licence": "MIT",
    }
    entries = {
        "resolution": CONFIG.resolution,
        "channel_base": CONFIG.channel_base,
        "channel_max": CONFIG.channel_max,
    }
    path = job.weights / "mini-car-discriminator.safetensors"
    save_checkpoint(path, ARCHITECTURE, entries, tensors, card, half=True)


def _pick(drawn: Tensor, made: Tensor, step: int, job: Job) -> tuple[Tensor, Tensor]:
    """Real and false pixels of a step, (BATCH, 3, 64, 64) each; half the false are spoilt."""
    rng = random.Random(f"{job.seed}/discriminator/{step}")

    def some(pool: Tensor, count: int) -> Tensor:
        rows = torch.tensor([rng.randrange(len(pool)) for _ in range(count)])
        return pixels_of(pool[rows].to(job.device))

    real = some(drawn, BATCH)
    false = torch.cat([some(made, BATCH // 2), spoilt(rng, some(drawn, BATCH // 2))])
    order = torch.tensor(rng.sample(range(BATCH), BATCH), device=job.device)
    return real, false[order]


def _step(
    network: Discriminator,
    optimizer: torch.optim.Optimizer,
    pair: tuple[Tensor, Tensor],
    step: int,
) -> float:
    real, false = pair
    penalise = step % R1_EVERY == 0
    real.requires_grad_(penalise)
    scores = network(real, GROUP)
    loss = functional.softplus(-scores).mean() + functional.softplus(network(false, GROUP)).mean()
    if penalise:
        (slope,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
        norm = slope.square().sum(dim=(1, 2, 3)).mean()
        total = loss + norm * (R1_GAMMA / 2 * R1_EVERY)
    else:
        total = loss
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()
    return loss.item()
