"""The loop that trainings share: steps, averages, reports and snapshots.

Promises: a training that was interrupted and resumed ends in the same bits as one that was not
(on one device, with as many threads), since all that is random in a step comes from the seed and
the step's number.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from miniatures.progress import progress
from miniatures.training import (
    SNAPSHOT_EVERY,
    Average,
    Job,
    cosine,
    resume,
    save_snapshot,
    set_rates,
)

Step = Callable[[random.Random, float], tuple[Tensor, Mapping[str, float]]]
"""One step's loss, with figures to show, from the step's own randomness (torch's is seeded too) and
the share of the training that is done, 0 to 1."""


@dataclass(frozen=True)
class Recipe:
    """How a network is fitted."""

    name: str
    """Of the snapshot and in reports."""
    steps: int
    peak_rate: float
    weight_decay: float = 0.01
    horizon: float = 200.0
    """Steps that the average remembers."""
    clip_norm: float = 1.0


Write = Callable[[dict[str, Tensor], int], None]
"""Takes the averaged tensors after so many steps."""


def fit(
    job: Job, recipe: Recipe, network: nn.Module, step: Step, write: Write | None = None
) -> dict[str, Tensor]:
    """Fit a network with AdamW, resuming from its snapshot; returns its averaged tensors.

    `write` is called with them at each snapshot.
    """
    steps = job.steps or recipe.steps
    optimizer = adamw(network, recipe)
    average = Average(network, recipe.horizon)
    snapshot = job.work / f"{recipe.name}.pt"
    first = resume(snapshot, network, optimizer, average, job.device)
    network.train()
    with progress(recipe.name, first, steps) as report:
        for done in range(first, steps):
            set_rates(optimizer, cosine(done, steps))
            loss, figures = step(seeded(f"{job.seed}/{recipe.name}/{done}"), done / steps)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
            optimizer.step()
            average.update(network, done)
            report(done + 1, loss=loss.item(), **figures)
            if (done + 1) % SNAPSHOT_EVERY == 0 or done + 1 == steps:
                save_snapshot(snapshot, network, optimizer, average, done + 1)
                if write:
                    write(average.tensors, done + 1)
    return average.tensors


def seeded(seed: str) -> random.Random:
    """Randomness from a seed in words; torch's global generator is seeded from it as well."""
    rng = random.Random(seed)
    torch.manual_seed(rng.getrandbits(62))
    return rng


def adamw(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW that decays matrices and kernels, and neither biases nor scales."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {
            "params": [p for p in trained if p.ndim >= 2],
            "peak": recipe.peak_rate,
            "weight_decay": recipe.weight_decay,
        },
        {
            "params": [p for p in trained if p.ndim < 2],
            "peak": recipe.peak_rate,
            "weight_decay": 0.0,
        },
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.98))
