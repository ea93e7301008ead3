"""Training of the bundled StyleGAN2s, one per domain, in a way that one CPU core can afford.

1. `train_renderer`: a small network turns a scene's factors into w, the synthesis network draws
w, and both are taught to draw what the world draws: squared error with the object's pixels
weighted, turning into L1 of pixels and of neighbours' differences, which makes edges sharp. 2.
`assemble`: the mapping network is written down, not learnt, so that z ~ N(0, 1) gives the w of
each scene about equally often (`miniatures.factors`, `miniatures.mapping_construction`). The
result is an ordinary StyleGAN2 generator.

Networks: Karras et al. 2020. Why it is not trained adversarially: docs/miniatures.md.
"""

import math
import random
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from miniatures.domains import DOMAINS, Domain
from miniatures.factors import cut, features_of, scenes_of
from miniatures.mapping_construction import construct_mapping, move_w
from miniatures.progress import progress
from miniatures.training import (
    SNAPSHOT_EVERY,
    Average,
    Job,
    cosine,
    pixels_of,
    resume,
    save_snapshot,
    set_rates,
)
from miniatures.world import render_with_mask
from services.models.checkpoints import save_checkpoint
from services.models.stylegan2 import Generator, GeneratorConfig, Synthesis

ARCHITECTURE: Final = "stylegan2-generator"
CONFIG: Final = GeneratorConfig(
    resolution=64,
    z_dim=64,
    w_dim=128,
    mapping_layers=5,
    channel_base=1024,
    channel_max=128,
    mapping_lr_multiplier=1.0,
)
STEPS: Final = 14_000
BATCH: Final = 16
DRAWINGS: Final = 32_768
OBJECT_WEIGHT: Final = 3.0
EDGE_WEIGHT: Final = 0.5
SMALL_WEIGHT: Final = 0.5
RATES: Final = {"affine": 1e-2, "factors": 2e-3, "other": 1e-2}


class FactorNetwork(nn.Module):
    """Factors to w; only training needs it."""

    def __init__(self, w_dim: int, domain: Domain) -> None:
        """Three layers of `w_dim` units, scaled so that w varies by about one from the start."""
        super().__init__()
        self._domain = domain
        inputs = domain.size + domain.joint_size
        self.layers = nn.Sequential(
            nn.Linear(inputs, w_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(w_dim, w_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(w_dim, w_dim),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                active = len(domain.categories) + len(domain.joint)
                hot = active if layer is self.layers[0] else w_dim
                nn.init.normal_(layer.weight, std=math.sqrt(2 / hot))

    def forward(self, features: Tensor) -> Tensor:
        """(n, domain.size) float32 -> (n, w_dim) float32."""
        return cast("Tensor", self.layers(with_joint(features, self._domain)))


def with_joint(features: Tensor, domain: Domain) -> Tensor:
    """Features, followed by a one-hot for each joint group: its categories' outer product.

    A background is one of setting x time x layout; a network finds it sooner when it is told which.
    """
    parts, start = {}, 0
    for name, values in domain.categories.items():
        parts[name] = features[:, start : start + len(values)]
        start += len(values)
    rows = [features]
    for group in domain.joint:
        joint = parts[group[0]]
        for name in group[1:]:
            joint = (joint[:, :, None] * parts[name][:, None]).flatten(1)
        rows.append(joint)
    return torch.cat(rows, dim=1)


class Renderer(nn.Module):
    """Factors to pictures: what the first stage trains."""

    def __init__(self, config: GeneratorConfig, domain: Domain) -> None:
        """Fresh weights, without noise: every pixel is to be decided by the factors."""
        super().__init__()
        self.factors = FactorNetwork(config.w_dim, domain)
        self.synthesis = Synthesis(config)
        self._resolutions = config.resolutions
        for name, parameter in self.named_parameters():
            if name.endswith("noise_strength"):
                parameter.requires_grad_(False)  # noqa: FBT003 - torch types it positional-only

    def forward(self, features: Tensor) -> list[Tensor]:
        """(n, domain.size) float32 -> pictures so far at 4, 8, ... 64: (n, 3, r, r) float32."""
        w = self.factors(features)
        x: Tensor | None = None
        image: Tensor | None = None
        images = []
        for resolution in self._resolutions:
            block = self.synthesis.get_submodule(f"b{resolution}")
            x, image = block(x, image, [w] * 3, "none")
            images.append(cast("Tensor", image))
        return images


def drawing_loss(images: list[Tensor], wanted: Tensor, mask: Tensor, sharpness: float) -> Tensor:
    """Weighted squared error, turning with `sharpness` into L1 of pixels and of their differences.

    L1, and more so L1 of differences, leaves out what is small and bright, such as lit windows,
    until it is known exactly; squared error finds it, but leaves soft edges. So the one comes first
    and the other last. The smaller pictures on the way are compared with smaller drawings.

    Args:
        images: pictures at growing resolutions, the last (n, 3, h, w) float32.
        wanted: (n, 3, h, w) float32.
        mask: (n, 1, h, w) bool, the object's pixels.
        sharpness: 0 for squared error alone, 1 for L1 alone.
    """
    weight = 1.0 + (OBJECT_WEIGHT - 1.0) * mask.to(wanted.dtype)
    error = images[-1] - wanted
    across = (error[..., 1:] - error[..., :-1]).abs() * weight[..., 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]
    sharp = (error.abs() * weight).mean() + EDGE_WEIGHT * (across.mean() + down.mean())
    soft = (error.square() * weight).mean()
    for image in images[2:-1]:
        factor = wanted.shape[-1] // image.shape[-1]
        small = image - functional.avg_pool2d(wanted, factor)
        soft = soft + SMALL_WEIGHT * (small.square() * functional.avg_pool2d(weight, factor)).mean()
    return (sharpness * sharp + (1 - sharpness) * 2 * soft) / weight.mean()


def sharpness_at(step: int, steps: int) -> float:
    """The loss's sharpness: 0.1 for most of the training, then rising to 1."""
    return 0.1 + 0.9 * min(1.0, max(0.0, (step / steps - 0.65) / 0.2))


def draw_pool(
    domain: Domain, seed: str, count: int, z_dim: int = CONFIG.z_dim
) -> tuple[Tensor, Tensor, Tensor]:
    """Scenes: features (n, domain.size), pictures (n, 64, 64, 3) uint8, masks (n, 64, 64)."""
    generator = torch.Generator().manual_seed(random.Random(seed).getrandbits(62))
    factors = cut(torch.randn(count, z_dim, generator=generator), domain)
    pictures = torch.empty(count, 64, 64, 3, dtype=torch.uint8)
    masks = torch.empty(count, 64, 64, dtype=torch.bool)
    for index, scene in enumerate(scenes_of(factors)):
        picture, mask = render_with_mask(scene)
        pictures[index], masks[index] = torch.from_numpy(picture), torch.from_numpy(mask)
    return features_of(factors), pictures, masks


def train_renderer(job: Job, domain: Domain) -> dict[str, Tensor]:
    """First stage; returns the averaged tensors of the Renderer. Resumes from its snapshot."""
    steps = job.steps or STEPS
    torch.manual_seed(job.seed)
    renderer = Renderer(CONFIG, domain).to(job.device)
    optimizer = _optimizer(renderer)
    average = Average(renderer)
    snapshot = job.work / f"{domain.thing}-renderer.pt"
    first = resume(snapshot, renderer, optimizer, average, job.device)
    for group, peak in zip(optimizer.param_groups, RATES.values(), strict=True):
        group["peak"] = peak  # the recipe's, also where the snapshot has another
    if first >= steps:
        return average.tensors
    pool = draw_pool(domain, f"{job.seed}/{domain.thing}", min(DRAWINGS, steps * BATCH))
    forward = torch.compile(renderer) if job.compiled else renderer
    with progress(f"{domain.thing} renderer", first, steps) as report:
        for step in range(first, steps):
            set_rates(optimizer, cosine(step, steps))
            features, wanted, mask = _pick(pool, step, job)
            loss = drawing_loss(forward(features), wanted, mask, sharpness_at(step, steps))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            average.update(renderer, step)
            report(step + 1, loss=loss.item() if step % 50 == 49 else 0.0)
            if (step + 1) % SNAPSHOT_EVERY == 0 or step + 1 == steps:
                save_snapshot(snapshot, renderer, optimizer, average, step + 1)
    return average.tensors


def assemble(tensors: dict[str, Tensor], domain: Domain) -> Generator:
    """Second stage: a whole generator, on the CPU, from the tensors of a trained Renderer."""
    renderer = Renderer(CONFIG, domain)
    renderer.load_state_dict({name: tensor.cpu() for name, tensor in tensors.items()})
    generator = Generator(CONFIG)
    generator.synthesis.load_state_dict(renderer.synthesis.state_dict())
    layers = [layer for layer in renderer.factors.layers if isinstance(layer, nn.Linear)]
    shift = construct_mapping(generator.mapping, layers, domain)
    move_w(generator, shift)
    set_w_avg(generator)
    return generator


@torch.no_grad()
def set_w_avg(generator: Generator, rows: int = 20_000) -> None:
    """Set the truncation's centre to the mean w of `rows` fixed z."""
    seeded = torch.Generator().manual_seed(0)
    z = torch.randn(rows, generator.config.z_dim, generator=seeded)
    device = generator.mapping.w_avg.device
    generator.mapping.w_avg.copy_(generator.mapping(z.to(device)).mean(dim=0))


def write_generator(job: Job, generator: Generator, thing: str, steps: int) -> None:
    """Write mini-THING.safetensors with its card."""
    card = {
        "name": f"mini-{thing}",
        "what": f"StyleGAN2 that draws a {thing} at 64x64",
        "training": f"{steps} steps of {BATCH} drawings; mapping network constructed",
        "data": "drawn by miniatures.world; no photographs",
        "licence": "MIT",
    }
    path = job.weights / f"mini-{thing}.safetensors"
    save_checkpoint(
        path, ARCHITECTURE, config_entries(CONFIG), generator.state_dict(), card, half=True
    )


def config_entries(config: GeneratorConfig) -> dict[str, Any]:
    """The config as a checkpoint holds it: GeneratorConfig(**entries) is the config."""
    return {
        "resolution": config.resolution,
        "z_dim": config.z_dim,
        "w_dim": config.w_dim,
        "mapping_layers": config.mapping_layers,
        "channel_base": config.channel_base,
        "channel_max": config.channel_max,
        "mapping_lr_multiplier": config.mapping_lr_multiplier,
    }


def train_generator(job: Job, thing: str) -> None:
    """Both stages of the generator of a domain, and its weights."""
    domain = DOMAINS[thing]
    tensors = train_renderer(job, domain)
    write_generator(job, assemble(tensors, domain), thing, job.steps or STEPS)


def _pick(
    pool: tuple[Tensor, Tensor, Tensor], step: int, job: Job
) -> tuple[Tensor, Tensor, Tensor]:
    """A step's batch on the device: features, pixels (n, 3, 64, 64), mask (n, 1, 64, 64)."""
    features, pictures, masks = pool
    seeded = torch.Generator().manual_seed(job.seed * 1_000_003 + step)
    rows = torch.randint(len(features), (BATCH,), generator=seeded)
    wanted = pixels_of(pictures[rows].to(job.device)).contiguous()
    return features[rows].to(job.device), wanted, masks[rows, None].to(job.device)


def _optimizer(renderer: Renderer) -> torch.optim.Optimizer:
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in RATES}
    for name, parameter in renderer.named_parameters():
        if parameter.requires_grad:
            group = "factors" if name.startswith("factors") else "other"
            groups["affine" if ".affine." in name else group].append(parameter)
    settings = [{"params": groups[name], "peak": RATES[name]} for name in RATES]
    return torch.optim.Adam(settings, lr=1e-3, betas=(0.9, 0.99))
