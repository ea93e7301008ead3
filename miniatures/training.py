"""What the trainings share: schedules, averages, snapshots to resume from, pixel ranges.

A snapshot is torch's own format, read with `weights_only=True`, and lives in the working folder;
only finished weights (safetensors, through `services.models.checkpoints`) go to
`miniatures/weights/`.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
WEIGHTS: Final = Path(__file__).parent / "weights"
CLIP_WEIGHTS: Final = WEIGHTS / "mini-clip.safetensors"
CAR_WEIGHTS: Final = WEIGHTS / "mini-car.safetensors"
CAR_DISCRIMINATOR_WEIGHTS: Final = WEIGHTS / "mini-car-discriminator.safetensors"
SNAPSHOT_EVERY: Final = 200
KERNEL_DIMENSIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Job:
    """How a training is run."""

    device: torch.device
    work: Path
    """Folder of snapshots."""
    seed: int = 0
    steps: int | None = None
    """Fewer or more steps than the recipe says."""
    weights: Path = WEIGHTS
    """Folder that the finished weights go to."""
    compiled: bool = False
    """Whether torch.compile is used: a third faster on a CPU, after a minute of compiling."""
    warm: bool = False
    """Whether it begins with the weights that are there, where the training can."""
    bfloat16: bool = False
    """Whether it computes in bfloat16 where that does: a third faster on a CPU that knows it."""

    @property
    def beginning(self) -> str:
        """What a card says of a training that began with weights."""
        return ", on from the weights before" if self.warm else ""

    @property
    def precision(self) -> torch.autocast:
        """A context in which networks compute as the job says."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)


def default_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def channels_last(network: Network) -> Network:
    """The network with its kernels as convolutions on a CPU compute fastest."""
    for tensor in network.parameters():
        if tensor.ndim == KERNEL_DIMENSIONS:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return network


def cosine(step: int, steps: int, warmup: int = 100, floor: float = 0.02) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set each group's learning rate to `share` of its own `peak`."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


class Average:
    """An exponential moving average of a network's tensors."""

    def __init__(self, network: nn.Module, horizon: float = 500.0) -> None:
        """`horizon` steps is about how far back it remembers."""
        self.tensors = {name: t.detach().clone() for name, t in network.state_dict().items()}
        self._horizon = horizon

    def update(self, network: nn.Module, step: int) -> None:
        """Take in the tensors after `step` steps; early on it remembers less."""
        keep = min(1 - 1 / self._horizon, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                mine = self.tensors[name]
                if mine.is_floating_point():
                    mine.lerp_(tensor, 1 - keep)
                else:
                    mine.copy_(tensor)


def save_snapshot(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, average: Average, step: int
) -> None:
    """Write in one step what `resume` needs to go on after `step` steps."""
    content = {
        "step": step,
        "model": network.state_dict(),
        "average": average.tensors,
        "optimizer": optimizer.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    torch.save(content, draft)
    draft.replace(path)


def resume(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average,
    device: torch.device,
) -> int:
    """Take up the snapshot and return its step; 0 where there is none."""
    if not path.exists():
        return 0
    found: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    network.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    average.tensors = found["average"]
    return int(found["step"])


def pixels_of(pictures: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, 3, h, w) float32, -1 to 1: `level / 127.5 - 1`."""
    return pictures.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0


def pictures_of(pixels: Tensor) -> Tensor:
    """(n, 3, h, w) float32, about -1 to 1 -> (n, h, w, 3) uint8: `round((x + 1) 127.5)`."""
    levels = ((pixels + 1.0) * 127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
