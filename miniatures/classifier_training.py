"""Training of the attribute classifiers.

Drawings of training scenes and their exact labels, cross-entropy summed over the heads; the
drawings are roughened as the CLIP's are, so that a generator's softer pictures are read as well.
What is held out of the world's training (`miniatures.world.is_held_out`) is what they are measured
on.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from miniatures.classifiers import OBJECT, classifier_path
from miniatures.clip_training import roughened
from miniatures.fitting import Recipe, fit, seeded
from miniatures.naming import names_of
from miniatures.training import Job, pixels_of
from miniatures.world import (
    ATTRIBUTES,
    FACE_ATTRIBUTES,
    KINDS,
    VALUES,
    Scene,
    random_scene,
    render_all,
)
from services.models.attribute_classifier import ARCHITECTURE, Classifier
from services.models.checkpoints import save_checkpoint

DOMAINS: Final = (OBJECT, "car", "church", "face")
STEPS: Final = 500
OBJECT_STEPS: Final = 1000
BATCH: Final = 64
PEAK_RATE: Final = 2e-3


def heads_of(domain: str) -> dict[str, tuple[str, ...]]:
    """Attribute -> values that the classifier of a domain tells apart."""
    heads = {name: VALUES[name] for name in ATTRIBUTES if name not in FACE_ATTRIBUTES}
    if domain == OBJECT:
        return heads
    heads = {**heads, "kind": KINDS[domain]}
    del heads["thing"]
    faces = {name: VALUES[name] for name in FACE_ATTRIBUTES}
    return {**heads, **faces} if domain == "face" else heads


def scene_of(rng: random.Random, domain: str, *, held_out: bool = False) -> Scene:
    """A random scene of a domain; every thing is as likely as any other."""
    thing = rng.choice(VALUES["thing"]) if domain == OBJECT else domain
    return random_scene(rng, thing, held_out=held_out)


def labels_of(scenes: Sequence[Scene], heads: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
    """Attribute -> (n,) int64 index of each scene's value."""
    return {
        name: torch.tensor([values.index(getattr(scene, name)) for scene in scenes])
        for name, values in heads.items()
    }


def train_classifiers(job: Job) -> None:
    """Train the classifier of every domain."""
    for domain in DOMAINS:
        train_classifier(job, domain)


def train_classifier(job: Job, domain: str) -> None:
    """Train one, resuming from its snapshot, and write mini-DOMAIN-classifier.safetensors."""
    steps = OBJECT_STEPS if domain == OBJECT else STEPS
    recipe = Recipe(f"{domain}-classifier", steps, PEAK_RATE)
    seeded(f"{job.seed}/{recipe.name}")
    classifier = Classifier(heads_of(domain)).to(job.device)

    def step(rng: random.Random, _: float) -> tuple[Tensor, dict[str, float]]:
        scenes = [scene_of(rng, domain) for _ in range(BATCH)]
        pixels = pixels_of(torch.from_numpy(render_all(scenes)).to(job.device))
        return loss_of(classifier(roughened(pixels)), labels_of(scenes, classifier.heads))

    tensors = fit(job, recipe, classifier, step)
    card = {
        "name": classifier_path(domain).stem,
        "what": f"attribute classifier of 64x64 drawings: {domain}",
        "training": f"{job.steps or steps} steps of {BATCH} drawings, AdamW {PEAK_RATE}, "
        f"seed {job.seed}",
        "data": "drawn by miniatures.world; no photographs",
        "licence": "MIT",
    }
    entries = {
        "heads": {name: list(values) for name, values in classifier.heads.items()},
        "names": names_of(classifier.heads),
    }
    path = classifier_path(domain, job.weights)
    save_checkpoint(path, ARCHITECTURE, entries, tensors, card, half=True)


def loss_of(
    logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy summed over the heads, and the share of rows that every head has right."""
    losses, right = [], []
    for name, rows in logits.items():
        wanted = labels[name].to(rows.device)
        losses.append(functional.cross_entropy(rows, wanted))
        right.append(rows.argmax(dim=1) == wanted)
    return torch.stack(losses).sum(), {"all right": float(torch.stack(right).all(0).float().mean())}
