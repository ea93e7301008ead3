"""Figures of the generators: random samples beside drawings of the same domain.

What samples show is read by the classifiers, which had no part in any training. Fréchet distances
and diversity are taken of the classifiers' features (`Classifier.describe`), so they compare only
with one another.
"""

from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from miniatures.biggan_factors import draw_z, factors_of
from miniatures.classifier_training import labels_of
from miniatures.classifiers import OBJECT, classifier_path
from miniatures.discriminator_training import load_generator, samples
from miniatures.domains import DOMAINS
from miniatures.evaluation.measures import accuracy, diversity, frechet_distance, share, spread
from miniatures.factors import cut, scenes_of
from miniatures.training import pictures_of
from miniatures.world import CLASSES, VALUES, Scene, render_all
from services.generator.biggan_deep_generator import MIXED, BigGANDeep, load
from services.models.attribute_classifier import Classifier, load_classifier
from services.models.checkpoints import load_checkpoint

SAMPLES: Final = 2000
ROWS: Final = 50
SEED: Final = 5
SPREADS: Final = ("colour", "setting")


def generator_figures(weights: Path, thing: str, count: int = SAMPLES) -> dict[str, float]:
    """Of mini-THING: what its samples show, how evenly, and how far they are from drawings."""
    generator = load_generator(weights / f"mini-{thing}.safetensors")
    pictures = samples(generator, count, SEED, torch.device("cpu"))
    taught = domain_scenes(thing, count, SEED, generator.config.z_dim)
    others = domain_scenes(thing, count, SEED + 1)
    classifier = load_classifier(classifier_path(thing, weights))
    recognised = load_classifier(classifier_path(OBJECT, weights)).read(pictures)["thing"]
    things = torch.full((count,), VALUES["thing"].index(thing))
    figures = {f"samples that are a {thing}": accuracy(recognised, things)}
    read, truth = classifier.read(pictures), labels_of(taught, classifier.heads)
    for name in DOMAINS[thing].attributes:
        figures[f"{name} as its z was taught"] = accuracy(read[name], truth[name])
    return figures | beside_drawings(classifier, pictures, taught, others)


def biggan_figures(weights: Path, count: int = SAMPLES) -> dict[str, float]:
    """The same of mini-biggan, over all its classes."""
    generator = load(load_checkpoint(weights / "mini-biggan.safetensors"), torch.device("cpu"))
    classifier = load_classifier(classifier_path(OBJECT, weights))
    z, classes = class_draws(count, SEED)
    pictures = class_samples(generator, z, classes)
    found = classifier.read(pictures)
    truth = [CLASSES[index] for index in classes.tolist()]
    things = torch.tensor([VALUES["thing"].index(thing) for thing, _ in truth])
    kinds = torch.tensor([VALUES["kind"].index(kind) for _, kind in truth])
    figures = {
        "samples of their class's thing": accuracy(found["thing"], things),
        "samples of their class's kind": accuracy(found["kind"], kinds),
    }
    scenes = factors_of(z, classes).scenes()
    others = factors_of(*class_draws(count, SEED + 1)).scenes()
    return figures | beside_drawings(classifier, pictures, scenes, others)


def beside_drawings(
    classifier: Classifier, pictures: Tensor, scenes: list[Scene], others: list[Scene]
) -> dict[str, float]:
    """(n, 64, 64, 3) uint8 samples beside the drawings of n scenes, and those beside n others."""
    drawn, again = (torch.from_numpy(render_all(part)) for part in (scenes, others))
    figures = {}
    read, truth = classifier.read(pictures), classifier.read(drawn)
    for name in SPREADS:
        values = len(classifier.heads[name])
        whole = spread(truth[name], values)
        figures[f"{name} entropy, samples / drawings"] = spread(read[name], values) / whole
    made, known, more = (classifier.describe(part) for part in (pictures, drawn, again))
    return {
        **figures,
        "Fréchet distance, samples to drawings": frechet_distance(made, known),
        "Fréchet distance, drawings to drawings": frechet_distance(more, known),
        "diversity of pairs, samples / drawings": diversity(made) / diversity(known),
        "equal pictures": share((pictures[1:] == pictures[:1]).flatten(1).all(dim=1)),
    }


def domain_scenes(thing: str, count: int, seed: int, z_dim: int = 64) -> list[Scene]:
    """Random scenes of a domain, as its generator is meant to draw the z of this seed."""
    z = torch.randn(count, z_dim, generator=torch.Generator().manual_seed(seed))
    return scenes_of(cut(z, DOMAINS[thing]))


@torch.inference_mode()
def class_samples(generator: BigGANDeep, z: Tensor, classes: Tensor) -> Tensor:
    """(n, z_dim) and (n,) int64 -> (n, 64, 64, 3) uint8; a mixture of one class is the class."""
    mixed = classes[:, None].expand(-1, MIXED).float()
    genomes = torch.cat([z, mixed, torch.zeros_like(mixed)], dim=1)
    rows = [generator.draw("z+mixture", part, 1.0) for part in torch.split(genomes, ROWS)]
    return torch.cat([pictures_of(row) for row in rows])


def class_draws(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random z and classes: (count, z_dim) float32 and (count,) int64."""
    seeded = torch.Generator().manual_seed(seed)
    return draw_z(count, seeded), torch.randint(len(CLASSES), (count,), generator=seeded)
