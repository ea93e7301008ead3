"""Where the attribute classifiers of the world lie; what they are: services/models."""

from pathlib import Path
from typing import Final

from miniatures.training import WEIGHTS

OBJECT: Final = "object"
"""The classifier over all things; the others are named after their thing."""


def classifier_path(domain: str, weights: Path = WEIGHTS) -> Path:
    """Where the classifier of a domain lies."""
    return weights / f"mini-{domain}-classifier.safetensors"
