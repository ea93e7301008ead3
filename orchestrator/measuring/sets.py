"""Inception Score, FID, KID and LPIPS of a whole set of pictures.

They are torchmetrics', in a process of the services (`services/measuring.py` defines them), because
they need torch. A figure whose set is too small to mean anything is refused here, in a sentence:

- the Inception Score below 10 pictures for each class and 500: with fewer, the mean over the
  pictures of p(class) is itself a guess;
- FID below 5 pictures for each feature and 1000, in either set: its covariances have a number for
  each pair of features, and the fewer pictures, the further apart any two sets;
- KID below 200, in either set: it is unbiased, but its subsets, half of a set, scatter;
- LPIPS for sides below 64 pixels, and where AlexNet's weights are not on this machine: nothing is
  fetched.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
import numpy as np

from orchestrator.evaluation.evaluator import Float32, Images
from orchestrator.measuring.figures import Figure
from protocol.errors import ServiceError

LEAST_PER_CLASS: Final = 10
LEAST_FOR_INCEPTION: Final = 500
LEAST_PER_FEATURE: Final = 5
LEAST_FOR_FID: Final = 1_000
LEAST_FOR_KID: Final = 200
LEAST_SIDE: Final = 64
ALEXNET: Final = "alexnet-owt-7be5be79.pth"
TIMEOUT_S: Final = 900.0
MOST_PICTURES: Final = 200
"""Random ones, whose pairs are compared by LPIPS."""
NAMES: Final = {
    "inception": "Inception Score",
    "frechet": "Fréchet distance (FID)",
    "kernel": "kernel distance (KID)",
    "lpips": "LPIPS of pairs",
}


class Told(msgspec.Struct):
    """One figure as `service measure` prints it."""

    name: str
    value: float
    spread: float | None


@dataclass(frozen=True, eq=False)
class Described:
    """A set of pictures, and what one classifier says of it.

    Attributes:
        by: the classifier.
        features: (n, d) float32.
        logits: (n, classes) float32 of one head.
        pictures: n of them, in whole levels.
        against: (m, d) float32, features of the other set; None where there is none.
    """

    by: str
    features: Float32
    logits: Float32
    pictures: Sequence[Images]
    against: Float32 | None = None

    def refusals(self) -> dict[str, str]:
        """Figure that can be asked for -> why it is refused; empty where it is not."""
        return {
            "inception": self._inception(),
            **({} if self.against is None else self._distances(self.against)),
            "lpips": self._lpips(),
        }

    def _inception(self) -> str:
        classes = self.logits.shape[1]
        least = max(LEAST_FOR_INCEPTION, LEAST_PER_CLASS * classes)
        return _few(len(self.logits), least, f"{LEAST_PER_CLASS} for each of {classes} classes")

    def _distances(self, against: Float32) -> dict[str, str]:
        rows, size = min(len(self.features), len(against)), self.features.shape[1]
        least = max(LEAST_FOR_FID, LEAST_PER_FEATURE * size)
        return {
            "frechet": _few(rows, least, f"{LEAST_PER_FEATURE} for each of {size} features"),
            "kernel": _few(rows, LEAST_FOR_KID, "its subsets hold half of them"),
        }

    def _lpips(self) -> str:
        shapes = {picture.shape for picture in self.pictures}
        side = min((min(shape[:2]) for shape in shapes), default=0)
        weights = _alexnet()
        if len(self.pictures) < 2 or len(shapes) > 1:
            return "it compares pairs of pictures of one size"
        if side < LEAST_SIDE:
            return f"the pictures have sides of {side} pixels; AlexNet wants {LEAST_SIDE}"
        if not weights.is_file():
            return (
                f"AlexNet's weights are not at {weights}; fetch them with: python -c "
                "\"import torchvision; torchvision.models.alexnet(weights='DEFAULT')\""
            )
        return ""


def set_figures(described: Described) -> list[Figure]:
    """What torchmetrics says of a set of pictures, or why it is not asked.

    Raises:
        ServiceError: the process failed without saying why.
    """
    refusals = described.refusals()
    wanted = [name for name, refused in refusals.items() if not refused]
    told, refused = _ask(described, wanted) if wanted else ({}, "")
    return [
        Figure(
            NAMES[name],
            told[name].value if name in told else None,
            spread=told[name].spread if name in told else None,
            count=len(described.pictures) if name in told else 0,
            by="AlexNet" if name == "lpips" else described.by,
            refused=why or ("" if name in told else refused),
        )
        for name, why in refusals.items()
    ]


def _ask(described: Described, wanted: Sequence[str]) -> tuple[dict[str, Told], str]:
    """Figures by name, or the sentence that says why there are none."""
    arrays = {"features": described.features, "logits": described.logits}
    if described.against is not None:
        arrays["against"] = described.against
    if "lpips" in wanted:
        few = min(MOST_PICTURES, len(described.pictures))
        rows = np.random.default_rng(0).choice(len(described.pictures), few, replace=False)
        arrays["pictures"] = np.stack([described.pictures[row] for row in rows])
    with TemporaryDirectory() as folder:
        file = Path(folder, "arrays.npz")
        np.savez(file, allow_pickle=False, **arrays)
        command = [sys.executable, "-P", "-m", "services", "measure", str(file), *wanted]
        try:
            done = subprocess.run(  # noqa: S603 # our own command, no shell
                command, capture_output=True, timeout=TIMEOUT_S, check=False
            )
            if not done.returncode:
                told = msgspec.json.decode(done.stdout, type=list[Told])
                return {one.name: one for one in told}, ""
        except (subprocess.TimeoutExpired, OSError, msgspec.MsgspecError) as error:
            raise ServiceError(f"service measure failed: {error}") from error
    lines = done.stderr.decode(errors="replace").splitlines()
    said = [line.removeprefix("service: ") for line in lines if line.startswith("service: ")]
    if not said:
        raise ServiceError(
            f"service measure ended with exit code {done.returncode}: {''.join(lines[-1:])}"
        )
    return {}, said[-1]


def _few(rows: int, least: int, why: str) -> str:
    return f"{rows} pictures are too few; it wants {least} ({why})" if rows < least else ""


def _alexnet() -> Path:
    """Where torch keeps the weights that torchvision fetches."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TORCH_HOME") or Path(cache, "torch"), "hub", "checkpoints", ALEXNET)
