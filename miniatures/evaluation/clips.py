"""Figures of a CLIP: retrieval and zero-shot classification on scenes that were held out."""

import random
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from miniatures.domains import DOMAINS
from miniatures.evaluation.measures import accuracy
from miniatures.world import (
    KINDS,
    VALUES,
    Scene,
    claims_hold,
    describe,
    random_scene,
    render_all,
    words,
)
from miniatures.world.captions import with_article
from services.models.clip import ClipModel

HELD_OUT: Final = 512
ROWS: Final = 64
PERSON_WITH: Final = {"glasses": words.GLASSES, "beard": words.BEARD, "smile": words.SMILE}


def values_of(attribute: str, thing: str) -> tuple[str, ...]:
    """The values among which a `thing` is classified."""
    return KINDS[thing] if attribute == "kind" else VALUES[attribute]


def prompts(attribute: str, thing: str = "car") -> list[str]:
    """One text per value of `values_of`, that says nothing else of a `thing`."""
    noun = words.NOUNS[thing][0]
    values = values_of(attribute, thing)
    if attribute in {"thing", "kind"}:
        return [with_article(words.NOUNS[value][0]) for value in values]
    if attribute in {"setting", "time"}:
        table = words.PLACES if attribute == "setting" else words.HOURS
        return [f"{with_article(noun)} {table[value][0]}" for value in values]
    if thing != "face":
        return [with_article(f"{value} {noun}") for value in values]
    return [_person_with(attribute, value) for value in values]


def _person_with(attribute: str, value: str) -> str:
    if attribute == "colour":
        return f"a person in {with_article(value)} shirt"
    if attribute == "hair":
        return with_article(f"{words.HAIRED[value][0]} person")
    if attribute == "eyes":
        return f"a person with {value} eyes"
    who = "man" if attribute == "beard" else "person"
    return f"a {who} with {PERSON_WITH[attribute][value][0]}"


def embed(clip: ClipModel, pictures: Tensor) -> Tensor:
    """(n, 64, 64, 3) uint8 -> (n, embed_dim) float32, in batches."""
    return torch.cat([clip.embed_images(part) for part in torch.split(pictures, ROWS)])


def zero_shot(clip: ClipModel, embeddings: Tensor, attribute: str, thing: str = "car") -> Tensor:
    """(n, embed_dim) -> (n,) int64: the index of the best of `prompts`."""
    return (embeddings @ clip.embed_texts(prompts(attribute, thing)).T).argmax(dim=1)


def judged(scenes: Sequence[Scene], attribute: str, thing: str) -> tuple[list[int], Tensor]:
    """The rows in which the attribute can be told, and its index there: a beard is a man's."""
    rows = [i for i, one in enumerate(scenes) if attribute != "beard" or one.kind == "man"]
    values = values_of(attribute, thing)
    return rows, torch.tensor([values.index(getattr(scenes[row], attribute)) for row in rows])


def clip_figures(clip: ClipModel, count: int = HELD_OUT) -> dict[str, float]:
    """Retrieval among held-out scenes of distinct captions, and zero-shot accuracies."""
    rng = random.Random("held out")
    figures = retrieval_figures(clip, rng, count)
    anything = [random_scene(rng, t, held_out=True) for t in KINDS for _ in range(count // 8)]
    found = zero_shot(clip, embed(clip, torch.from_numpy(render_all(anything))), "thing")
    figures["zero-shot thing"] = accuracy(found, judged(anything, "thing", "car")[1])
    for thing, domain in DOMAINS.items():
        shown = [random_scene(rng, thing, held_out=True) for _ in range(count)]
        pictures = embed(clip, torch.from_numpy(render_all(shown)))
        for attribute in domain.attributes:
            rows, truth = judged(shown, attribute, thing)
            read = zero_shot(clip, pictures[rows], attribute, thing)
            figures[f"zero-shot {thing} {attribute}"] = accuracy(read, truth)
    return figures


def retrieval_figures(clip: ClipModel, rng: random.Random, count: int) -> dict[str, float]:
    """R@1 both ways among `count` held-out scenes of distinct full captions."""
    scenes: dict[str, Scene] = {}
    while len(scenes) < count:
        scene = random_scene(rng, held_out=True)
        scenes.setdefault(describe(rng, scene, frozenset(VALUES)).text, scene)
    pictured = list(scenes.values())
    pictures = embed(clip, torch.from_numpy(render_all(pictured)))
    similarity = clip.embed_texts(list(scenes)) @ pictures.T
    return {
        "R@1 text to image": recall(similarity, pictured),
        "R@1 image to text": recall(similarity.T, pictured),
    }


def recall(similarity: Tensor, scenes: Sequence[Scene]) -> float:
    """Of (n, n) similarities, the share of rows whose best column has the very same labels."""
    best = similarity.argmax(dim=1).tolist()
    hits = [
        claims_hold(scene.labels, scenes[b].labels) for scene, b in zip(scenes, best, strict=True)
    ]
    return sum(hits) / len(hits)
