"""Figures over whole sets of pictures that need torch: through torchmetrics, as it defines them.

`service measure FILE.npz` prints them as JSON; `orchestrator evaluate` starts it as a process of
its own, for those figures that the set is large enough for (`orchestrator/measuring/sets.py`).

The features are whatever network gave them: figures compare only with those over the same features.
Published values of the Inception Score, FID and KID are over Inception-v3's.
"""

import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from protocol.errors import BadRequestError, WeightsError
from services.models.torchvision_ops import ensure_torchvision

MOST_KID_SUBSET: Final = 1_000
LPIPS_PAIRS: Final = 200
LPIPS_ROWS: Final = 20
SEED: Final = 0


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: of the figure.
        value: of it.
        spread: standard deviation over the subsets or pairs that it is the mean of; None where it
            is no mean.
    """

    name: str
    value: float
    spread: float | None = None


def measure(path: Path, wanted: Sequence[str]) -> Iterator[Figure]:
    """Figures over the arrays of a file.

    Args:
        path: an .npz with those arrays of `features` (n, d) and `against` (m, d), `logits`
            (n, classes) and `pictures` (n, height, width, 3) uint8 that the figures are of.
        wanted: their names, see `FIGURES`.

    Raises:
        BadRequestError: it is no such file, or an unknown figure.
        WeightsError: torchmetrics is not installed.
    """
    arrays = _read(path)
    for name in wanted:
        if name not in FIGURES or not set(FIGURES[name][1]) <= arrays.keys():
            known = ", ".join(f"{one} (of {' and '.join(of)})" for one, (_, of) in FIGURES.items())
            raise BadRequestError(f"{path} cannot give '{name}'; figures: {known}")
    try:
        ensure_torchvision()  # torchmetrics imports it
        import torchmetrics  # noqa: F401 # the import is the question
    except ImportError as error:
        raise WeightsError(
            "torchmetrics is not installed; install it with: pip install 'glasshouse[metrics]'"
        ) from error
    warnings.filterwarnings("ignore", "Metric .* will save all extracted features")
    torch.manual_seed(SEED)  # splits and subsets are drawn at random
    for name in wanted:
        figure, needs = FIGURES[name]
        yield figure(*(arrays[need] for need in needs))


def inception_score(logits: Tensor) -> Figure:
    """Exp of the mean of KL(p(class | picture) || p(class)), over the whole set at once.

    From 1 (all alike, or nothing recognised) to the number of classes (each picture surely of one
    class, all classes equally often). Salimans et al. 2016, arXiv 1606.03498, who split 50,000 in
    ten; smaller sets that are split come out too low: by 40 % at ten pictures a class.

    Args:
        logits: (n, classes) float32.
    """
    from torchmetrics.image.inception import InceptionScore

    score = InceptionScore(feature=_Given(logits.shape[1]), splits=1)
    score.update(logits)
    with warnings.catch_warnings():  # one split has no deviation
        warnings.filterwarnings("ignore", "std.*: degrees of freedom")
        value, _ = score.compute()
    return Figure("inception", float(value))


def frechet_distance(features: Tensor, against: Tensor) -> Figure:
    """Fréchet distance of the normal distributions nearest to two sets, from 0 (alike).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). Biased: smaller sets are further apart. Heusel et
    al. 2017, arXiv 1706.08500.

    Args:
        features: (n, d) float32.
        against: (m, d) float32.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    size = features.shape[1]
    distance = FrechetInceptionDistance(feature=_Given(size)).set_dtype(torch.float64)
    distance.update(against.double(), real=True)
    distance.update(features.double(), real=False)
    return Figure("frechet", float(distance.compute()))


def kernel_distance(features: Tensor, against: Tensor) -> Figure:
    """Squared maximum mean discrepancy with the kernel (x.y / d + 1)^3, the mean over 100 subsets.

    Unbiased: about 0, and either side of it, where the sets are alike; larger the further apart.
    Binkowski et al. 2018, arXiv 1801.01401.

    Args:
        features: (n, d) float32.
        against: (m, d) float32.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    subset = min(MOST_KID_SUBSET, len(features) // 2, len(against) // 2)
    distance = KernelInceptionDistance(feature=_Given(features.shape[1]), subset_size=subset)
    distance.update(against, real=True)
    distance.update(features, real=False)
    mean, spread = distance.compute()
    return Figure("kernel", float(mean), float(spread))


def perceptual_diversity(pictures: Tensor) -> Figure:
    """Mean LPIPS distance of random pairs of pictures, from 0 (alike) to about 1.

    The distance of AlexNet's activations, weighted as people judged (Zhang et al. 2018, arXiv
    1801.03924). AlexNet's weights are torchvision's.

    Args:
        pictures: (n, height, width, 3) uint8, n at least 2.
    """
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity as lpips

    pixels = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
    first = torch.randint(len(pixels), (LPIPS_PAIRS,))
    second = (first + torch.randint(1, len(pixels), (LPIPS_PAIRS,))) % len(pixels)
    distance = cast("Callable[..., Tensor]", lpips)
    found = [
        distance(pixels[first[part]], pixels[second[part]], "alex", reduction="none").flatten()
        for part in torch.arange(LPIPS_PAIRS).view(-1, LPIPS_ROWS)
    ]
    distances = torch.cat(found)
    return Figure("lpips", float(distances.mean()), float(distances.std()))


class _Given(nn.Module):
    """A feature network that has been asked already: what torchmetrics gets are its features."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size

    def forward(self, features: Tensor) -> Tensor:
        """(n, size) -> the same."""
        return features


FIGURES: Final[dict[str, tuple[Callable[..., Figure], tuple[str, ...]]]] = {
    "inception": (inception_score, ("logits",)),
    "frechet": (frechet_distance, ("features", "against")),
    "kernel": (kernel_distance, ("features", "against")),
    "lpips": (perceptual_diversity, ("pictures",)),
}
"""What there is, and of which arrays."""


def _read(path: Path) -> Mapping[str, Tensor]:
    wanted = {"features": 2, "against": 2, "logits": 2, "pictures": 4}
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found: dict[str, Any] = {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise BadRequestError(f"{path} is no file of arrays (.npz): {error}") from error
    if any(name not in wanted or found[name].ndim != wanted[name] for name in found):
        shapes = {name: tuple(array.shape) for name, array in found.items()}
        raise BadRequestError(f"{path} holds {shapes}, but wanted some of {', '.join(wanted)}")
    sizes = {found[name].shape[1] for name in ("features", "against") if name in found}
    if len(sizes) > 1:
        raise BadRequestError(f"{path}: both sets must be described by the same network")
    return found
