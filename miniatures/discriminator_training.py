"""Training of the discriminators beside the bundled generators.

Logistic loss: drawings of the world and the generator's whole pictures are real; the same, spoilt
(blurred, noised, two of them blended, or with a piece of another pasted in), are false. So the
score falls for what goes wrong in a search, and not for one generator's habits, by which every
picture of a search would be false. R1 penalty every few steps (Mescheder et al. 2018, lazily as in
Karras et al. 2020). Each picture is its own group for the minibatch statistic, as when it is
asked: taught in groups of 4, it told .994 of spoilt drawings in groups of 4 and .848 alone.
"""

import random
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from miniatures.domains import DOMAINS
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
SAMPLES_SHARE: Final = 0.5
"""How much of what is real, and of what is spoilt, the generator drew."""


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


def train_discriminator(job: Job, thing: str) -> None:
    """Train against mini-THING.safetensors, resuming from a snapshot, and write the weights."""
    steps = job.steps or STEPS
    torch.manual_seed(job.seed + 2)
    generator = load_generator(job.weights / f"mini-{thing}.safetensors").to(job.device)
    network = Discriminator(CONFIG).to(job.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99))
    average = Average(network, horizon=200)
    snapshot = job.work / f"{thing}-discriminator.pt"
    first = resume(snapshot, network, optimizer, average, job.device)
    drawn = draw_pool(DOMAINS[thing], f"{job.seed}/real", min(DRAWINGS, steps * BATCH))[1]
    made = samples(generator, min(SAMPLES, steps * BATCH), job.seed + 3, job.device)
    with progress(f"{thing} discriminator", first, steps) as report:
        for step in range(first, steps):
            optimizer.param_groups[0]["lr"] = PEAK_RATE * cosine(step, steps)
            loss = _step(network, optimizer, _pick(drawn, made, step, job), step)
            average.update(network, step)
            report(step + 1, loss=loss)
            if (step + 1) % SNAPSHOT_EVERY == 0 or step + 1 == steps:
                save_snapshot(snapshot, network, optimizer, average, step + 1)
    write_discriminator(job, average.tensors, thing, steps)


def write_discriminator(job: Job, tensors: dict[str, Tensor], thing: str, steps: int) -> None:
    """Write mini-THING-discriminator.safetensors with its card."""
    card = {
        "name": f"mini-{thing}-discriminator",
        "what": f"discriminator for mini-{thing}; larger logits are more like the drawings",
        "training": f"{steps} steps of {BATCH} real and {BATCH} spoilt pictures, R1 {R1_GAMMA}",
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


def _pick(drawn: Tensor, made: Tensor, step: int, job: Job) -> tuple[Tensor, Tensor]:
    """Real and false pixels of a step, (BATCH, 3, 64, 64) each."""
    rng = random.Random(f"{job.seed}/discriminator/{step}")

    def some(pool: Tensor, count: int) -> Tensor:
        rows = torch.tensor([rng.randrange(len(pool)) for _ in range(count)])
        return pixels_of(pool[rows].to(job.device))

    def mixed() -> Tensor:
        count = round(BATCH * SAMPLES_SHARE)
        return torch.cat([some(drawn, BATCH - count), some(made, count)])

    return mixed(), spoilt(rng, mixed()[rng.sample(range(BATCH), BATCH)])


def _step(
    network: Discriminator,
    optimizer: torch.optim.Optimizer,
    pair: tuple[Tensor, Tensor],
    step: int,
) -> float:
    real, false = pair
    penalise = step % R1_EVERY == 0
    real.requires_grad_(penalise)
    scores = network(real)
    loss = functional.softplus(-scores).mean() + functional.softplus(network(false)).mean()
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
