"""The main job: does what is asked for appear?

Prompts are grown as a user grows them, with the command line, its default settings and living
services; then the classifiers, which no search ever sees, read the best picture and the median one
(by similarity) of the last population. A prompt is fulfilled if they find every attribute that it
claims. A run that is done already is not grown again, so an interrupted measurement goes on.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from miniatures.caption_parsing import parse
from miniatures.classifiers import OBJECT, classifier_path
from miniatures.discriminator_training import load_generator
from miniatures.evaluation.generators import domain_scenes
from miniatures.evaluation.goals import Row
from miniatures.evaluation.growing import ensemble, missing
from miniatures.training import pictures_of
from miniatures.world import ATTRIBUTES, UNCLAIMED, VALUES, describe, random_mention
from services.models.attribute_classifier import Classifier, load_classifier
from services.models.stylegan2 import Generator

ALGORITHMS: Final = ("ga", "de", "nsga2")
PROMPTS: Final = 20
"""Of each thing."""
PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "car": (
        "a yellow car in the city",
        "a blue car in the snow",
        "a red truck in a street",
        "a yellow beetle in an intersection",
        "a black suv in the snow",
    ),
    "church": (
        "a red gothic church",
        "a gothic church in a grass field",
        "an orthodox church in moscow",
    ),
    "face": (
        "the face of a blonde girl with glasses",
        "the face of a bald man with beard and brown eyes",
        "a blond girl with a smile",
        "a ginger boy",
    ),
}
"""The papers' own prompts."""


@dataclass(frozen=True)
class Prompt:
    """A text and what it asks for."""

    thing: str
    text: str
    wanted: tuple[tuple[str, str], ...]
    """Attribute and value of each claim but the thing."""


@dataclass(frozen=True)
class Judges:
    """What reads the pictures of one thing, and what draws its genomes again."""

    thing: str
    recognise: Classifier
    classifier: Classifier
    generator: Generator

    @classmethod
    def load(cls, weights: Path, thing: str) -> "Judges":
        """From a folder of weights."""
        return cls(
            thing,
            load_classifier(classifier_path(OBJECT, weights)),
            load_classifier(classifier_path(thing, weights)),
            load_generator(weights / f"mini-{thing}.safetensors"),
        )

    def missed(self, prompt: Prompt, picture: Tensor) -> list[str]:
        """The attributes that a (64, 64, 3) uint8 picture shows otherwise than wanted."""
        thing = int(self.recognise.read(picture[None])["thing"])
        found = self.classifier.read(picture[None])
        heads = self.classifier.heads
        wrong = [name for name, value in prompt.wanted if heads[name][int(found[name])] != value]
        return wrong if VALUES["thing"][thing] == prompt.thing else ["thing", *wrong]

    @torch.inference_mode()
    def draw(self, genome: Tensor) -> Tensor:
        """(z_dim,) float32 -> (64, 64, 3) uint8, as the service draws it."""
        return pictures_of(self.generator(genome[None]))[0]


def prompts(thing: str, count: int = PROMPTS) -> list[Prompt]:
    """The papers' prompts, then captions of random scenes that the generator is meant to draw."""
    rng = random.Random(f"main job/{thing}")
    scenes = domain_scenes(thing, count, 11)
    mentions = [random_mention(rng, frozenset({"thing"}), thing) for _ in scenes]
    captions = [describe(rng, *row).text for row in zip(scenes, mentions, strict=True)]
    return [prompt_of(thing, text) for text in (*PHRASES[thing], *captions)[:count]]


def prompt_of(thing: str, text: str) -> Prompt:
    """What a caption of the world asks for.

    Raises:
        ValueError: it is no caption of the world.
    """
    claims = parse(text)
    if claims is None:
        raise ValueError(f"wanted a caption of the miniatures' world, got {text!r}")
    named = zip(ATTRIBUTES, claims, strict=True)
    wanted = [(name, VALUES[name][claim]) for name, claim in named if claim != UNCLAIMED]
    return Prompt(thing, text, tuple(pair for pair in wanted if pair[0] != "thing"))


def main_job_figures(
    weights: Path,
    work: Path,
    things: Sequence[str] = tuple(PHRASES),
    algorithms: Sequence[str] = ALGORITHMS,
    count: int = PROMPTS,
    options: Sequence[str] = (),
) -> Iterator[Row]:
    """Thing, figure and share of prompts fulfilled, as they are measured.

    A prompt whose best picture misses something is named before, without a value.

    Args:
        weights: folder of the models.
        work: folder of the runs; those that are done there are not repeated.
        things: whose prompts.
        algorithms: of the search.
        count: prompts of each thing.
        options: of `orchestrator run` besides; the default settings without.
    """
    for thing in things:
        models = models_of(weights, thing)
        readers = [classifier_path(domain, weights) for domain in (OBJECT, thing)]
        if said := missing([*models.values(), *readers]):
            yield thing, said, None
            continue
        with ensemble(models) as services:
            for algorithm in algorithms:
                judges = Judges.load(weights, thing)
                best, median = [], []
                for seed, prompt in enumerate(prompts(thing, count)):
                    words = (prompt.text, "--algorithm", algorithm, "--seed", str(seed), *options)
                    runs = work / f"{thing}-{algorithm}-{seed:02}"
                    folder = services.grow(runs, "populations", *words)
                    wrong = judges.missed(prompt, best_picture(folder))
                    if wrong:
                        yield thing, f"{algorithm}: '{prompt.text}' misses {', '.join(wrong)}", None
                    best.append(not wrong)
                    median.append(not judges.missed(prompt, median_picture(folder, judges)))
                yield thing, f"{algorithm}: prompts fulfilled by the best", sum(best) / count
                yield thing, f"{algorithm}: by the median", sum(median) / count


def models_of(weights: Path, thing: str) -> dict[str, Path]:
    """Role -> weights of a thing's ensemble; a generator without a discriminator does without."""
    models = {
        "generator": weights / f"mini-{thing}.safetensors",
        "clip": weights / "mini-clip.safetensors",
    }
    discriminator = weights / f"mini-{thing}-discriminator.safetensors"
    return {**models, "discriminator": discriminator} if discriminator.is_file() else models


def best_picture(folder: Path) -> Tensor:
    """What the run offers as its best: (64, 64, 3) uint8."""
    with Image.open(folder / "best.png") as image:
        return torch.from_numpy(np.array(image.convert("RGB")))


def median_picture(folder: Path, judges: Judges) -> Tensor:
    """The individual of median similarity in the last population: (64, 64, 3) uint8."""
    with np.load(_last_population(folder)) as population:
        genomes, objectives = population["genomes"], population["objectives"]
    order = objectives[:, 0].argsort(kind="stable")
    genome = genomes[order[len(order) // 2]]
    return judges.draw(torch.from_numpy(genome).float())


def _last_population(folder: Path) -> Path:
    return max((folder / "populations").glob("*.npz"))
