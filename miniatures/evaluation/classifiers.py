"""Figures of the attribute classifiers, on held-out drawings."""

import random
from typing import Final

import torch

from miniatures.classifier_training import labels_of, scene_of
from miniatures.evaluation.measures import accuracy, share
from miniatures.world import render_all
from services.models.attribute_classifier import Classifier

HELD_OUT: Final = 2000


def classifier_figures(
    classifier: Classifier, domain: str, count: int = HELD_OUT
) -> dict[str, float]:
    """Accuracy of each head, and of all heads together."""
    rng = random.Random(f"held out/{domain}")
    scenes = [scene_of(rng, domain, held_out=True) for _ in range(count)]
    labels = labels_of(scenes, classifier.heads)
    found = classifier.read(torch.from_numpy(render_all(scenes)))
    figures = {f"{name} accuracy": accuracy(found[name], labels[name]) for name in found}
    hits = torch.stack([found[name] == labels[name] for name in found])
    return {**figures, "all attributes right": share(hits.all(dim=0))}
