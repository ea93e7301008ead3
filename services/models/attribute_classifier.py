"""Attribute classifiers: what a picture shows, read by networks that share nothing with any CLIP.

A classifier has a head for each attribute. The bundled ones read the miniatures' world: one for
each domain (cars, churches, faces) and one over all things. They judge; no search ever sees them.

Checkpoint: architecture "attribute-classifier", config `heads` (attribute -> its values, in the
order of the outputs) and, optionally, `names` (attribute -> value -> what it is called in prompts).
The network is a residual one (He et al. 2016) of three stages with batch normalisation, so a row's
answer depends on its own picture alone.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.models.checkpoints import Checkpoint, fit_tensors, load_checkpoint

ARCHITECTURE: Final = "attribute-classifier"
SIDE: Final = 64
"""Of the pictures that it reads, in pixels."""
WIDTHS: Final = (32, 64, 128, 128)
FEATURES: Final = 128
ROWS: Final = 64

Heads = Mapping[str, Sequence[str]]


class _Block(nn.Module):
    """Two convolutions and a shortcut; the first one halves height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) float32 -> (n, outputs, h / 2, w / 2) float32."""
        y = functional.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return functional.relu(y + self.shortcut(functional.avg_pool2d(x, 2)))


class Classifier(nn.Module):
    """Pictures to attributes."""

    def __init__(self, heads: Heads) -> None:
        """`heads`: attribute -> its values. Fresh weights."""
        super().__init__()
        self.heads = {attribute: tuple(values) for attribute, values in heads.items()}
        self.stem = nn.Conv2d(3, WIDTHS[0], 5, 2, 2)
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairwise(WIDTHS)))
        self.last = nn.Linear(WIDTHS[-1] * 4 * 4, FEATURES)
        self.outputs = nn.ModuleDict(
            {attribute: nn.Linear(FEATURES, len(values)) for attribute, values in heads.items()}
        )

    def features(self, pixels: Tensor) -> Tensor:
        """(n, 3, 64, 64) float32, -1 to 1 -> (n, FEATURES) float32, before the heads."""
        x = self.blocks(functional.relu(self.stem(pixels)))
        return functional.relu(self.last(x.flatten(1)))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """(n, 3, 64, 64) float32, -1 to 1 -> attribute -> (n, values) logits."""
        features = self.features(pixels)
        return {attribute: head(features) for attribute, head in self.outputs.items()}

    @torch.inference_mode()
    def read(self, pictures: Tensor) -> dict[str, Tensor]:
        """(n, 64, 64, 3) uint8 -> attribute -> (n,) int64 index of the likeliest value."""
        parts = [self(pixels_of(part)) for part in torch.split(pictures, ROWS)]
        return {
            attribute: torch.cat([part[attribute].argmax(dim=1) for part in parts])
            for attribute in self.heads
        }

    @torch.inference_mode()
    def describe(self, pictures: Tensor) -> Tensor:
        """(n, 64, 64, 3) uint8 -> (n, FEATURES) float32, what Fréchet distances are taken of."""
        parts = [self.features(pixels_of(part)) for part in torch.split(pictures, ROWS)]
        return torch.cat(parts)


def load_classifier(path: Path) -> Classifier:
    """A classifier from its file, in evaluation mode.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not hold one.
    """
    return classifier_of(load_checkpoint(path))


def classifier_of(checkpoint: Checkpoint) -> Classifier:
    """The classifier in a checkpoint, in evaluation mode.

    Raises:
        ValueError: it does not hold one.
    """
    try:
        classifier = Classifier(checkpoint.expect(ARCHITECTURE).config["heads"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not configured as an {ARCHITECTURE} is: {error}") from error
    fit_tensors(classifier, checkpoint.tensors, f"an {ARCHITECTURE}")
    return classifier.eval().requires_grad_(requires_grad=False)


def pixels_of(pictures: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, 3, h, w) float32, -1 to 1: `level / 127.5 - 1`."""
    return pictures.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
