"""The bundled judges know the drawings, and the bundled writer writes captions of the world."""

import random
from pathlib import Path

import pytest
import torch

from miniatures.caption_parsing import parse
from miniatures.classifier_training import DOMAINS, labels_of, scene_of
from miniatures.classifiers import classifier_path
from miniatures.evaluation.captions import PREFIX, written
from miniatures.training import WEIGHTS
from miniatures.world import render_all
from services.generator.gpt2_generator import load
from services.models.attribute_classifier import load_classifier
from services.models.checkpoints import load_checkpoint

CAPTIONS = WEIGHTS / "mini-captions.safetensors"


@pytest.mark.parametrize("path", [*map(classifier_path, DOMAINS), CAPTIONS], ids=lambda p: p.stem)
def test_cards_say_what_it_is(path: Path) -> None:
    card = load_checkpoint(path).card
    assert {"name", "what", "training", "data", "licence"} <= card.keys()
    assert card["name"] == path.stem


@pytest.mark.parametrize("domain", DOMAINS)
def test_classifiers_read_held_out_drawings(domain: str) -> None:
    rng = random.Random(21)
    scenes = [scene_of(rng, domain, held_out=True) for _ in range(96)]
    classifier = load_classifier(classifier_path(domain))
    found = classifier.read(torch.from_numpy(render_all(scenes)))
    for name, labels in labels_of(scenes, classifier.heads).items():
        assert float((found[name] == labels).float().mean()) > 0.93, name


def test_random_genomes_are_captions_of_the_world() -> None:
    checkpoint = load_checkpoint(CAPTIONS)
    end = checkpoint.config["end_of_text"]
    genomes = torch.randint(end, (64, PREFIX), generator=torch.Generator().manual_seed(1))
    captions = written(load(checkpoint, torch.device("cpu")), genomes)
    assert sum(parse(text) is not None for text in captions) >= 58
    assert len(set(captions)) > 40
