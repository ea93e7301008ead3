"""The figures of the bundled models, measured on what they have never seen.

CLIP: pictures of held-out combinations of (thing, colour, setting, time). The generator: random
samples, read by the CLIP. The discriminator: fresh drawings against fresh samples and spoilt
drawings.
"""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from miniatures.discriminator_training import load_discriminator, load_generator, samples, spoilt
from miniatures.factors import cut, directions, scenes_of
from miniatures.generator_training import draw_pool
from miniatures.training import pixels_of
from miniatures.world import (
    VALUES,
    Scene,
    claims_hold,
    describe,
    full_caption,
    random_scene,
    render_all,
)
from miniatures.world.captions import HOURS, NOUNS, PLACES, random_mention, with_article
from miniatures.world.scene import KINDS
from services.models.clip import ClipModel, load_clip

HELD_OUT: Final = 512
SAMPLES: Final = 1000
FALSE: Final = 400
ROWS: Final = 64

PROMPTS: Final[dict[str, tuple[str, ...]]] = {
    "thing": tuple(with_article(NOUNS[value][0]) for value in VALUES["thing"]),
    "kind": tuple(with_article(NOUNS[value][0]) for value in KINDS["car"]),
    "colour": tuple(with_article(f"{value} car") for value in VALUES["colour"]),
    "setting": tuple(f"a car {PLACES[value][0]}" for value in VALUES["setting"]),
    "time": tuple(f"a car {HOURS[value][0]}" for value in VALUES["time"]),
}
"""Attribute -> one prompt per value, to classify cars (`thing`: anything) zero-shot."""


def embed(clip: ClipModel, pictures: Tensor) -> Tensor:
    """(n, 64, 64, 3) uint8 -> (n, embed_dim) float32, in batches."""
    return torch.cat([clip.embed_images(part) for part in torch.split(pictures, ROWS)])


def zero_shot(clip: ClipModel, embeddings: Tensor, attribute: str) -> Tensor:
    """(n, embed_dim) -> (n,) int64: the index of the best of PROMPTS[attribute]."""
    return (embeddings @ clip.embed_texts(PROMPTS[attribute]).T).argmax(dim=1)


def clip_figures(clip: ClipModel, count: int = HELD_OUT) -> dict[str, float]:
    """Retrieval among held-out scenes of distinct captions, and zero-shot accuracies."""
    rng = random.Random("held out")
    scenes: dict[str, Scene] = {}
    while len(scenes) < count:
        scene = random_scene(rng, held_out=True)
        mention = random_mention(rng, frozenset(VALUES))
        scenes.setdefault(describe(rng, scene, mention).text, scene)
    texts = clip.embed_texts(list(scenes))
    pictures = embed(clip, torch.from_numpy(render_all(list(scenes.values()))))
    figures = {"R@1 of full captions": _recall(texts @ pictures.T, list(scenes.values()))}
    things = [scene.labels[0] for scene in scenes.values()]
    figures["zero-shot thing"] = _accuracy(zero_shot(clip, pictures, "thing"), things)
    cars = [random_scene(rng, "car", held_out=True) for _ in range(count)]
    pictures = embed(clip, torch.from_numpy(render_all(cars)))
    for attribute in ("kind", "colour", "setting", "time"):
        truth = [VALUES[attribute].index(getattr(scene, attribute)) for scene in cars]
        figures[f"zero-shot {attribute}"] = _accuracy(zero_shot(clip, pictures, attribute), truth)
    return figures


def generator_figures(clip: ClipModel, weights: Path, count: int = SAMPLES) -> dict[str, float]:
    """What `count` random samples show, read by the CLIP."""
    generator = load_generator(weights)
    seeded = torch.Generator().manual_seed(5)
    z = torch.randn(count, generator.config.z_dim, generator=seeded)
    scenes = scenes_of(cut(z, directions(generator.config.z_dim)))
    pictures = samples(generator, count, 5, torch.device("cpu"))
    drawn = torch.from_numpy(render_all(scenes))
    found = embed(clip, pictures)
    figures = {"samples that are cars": _share(zero_shot(clip, found, "thing") == 0)}
    for attribute in ("kind", "colour", "setting", "time"):
        read = zero_shot(clip, found, attribute)
        truth = [VALUES[attribute].index(getattr(scene, attribute)) for scene in scenes]
        figures[f"{attribute} as taught"] = _accuracy(read, truth)
        figures[f"{attribute} entropy (1 = even)"] = _entropy(read, len(PROMPTS[attribute]))
    error = (pixels_of(pictures) - pixels_of(drawn)).square().mean(dim=(1, 2, 3)) / 4
    figures["PSNR dB against the drawing, median"] = float(-10 * error.median().log10())
    captions = clip.embed_texts([full_caption(scene) for scene in scenes])
    figures["similarity to own caption, samples"] = float((found * captions).sum(dim=1).mean())
    figures["similarity to own caption, drawings"] = float(
        (embed(clip, drawn) * captions).sum(1).mean()
    )
    return figures


def discriminator_figures(weights: Path, generator: Path, count: int = FALSE) -> dict[str, float]:
    """Area under the curve of drawings against false pictures."""
    network, made = load_discriminator(weights), load_generator(generator)
    real = draw_pool("evaluate/real", count, made.config.z_dim)[1]
    other = pixels_of(draw_pool("evaluate/spoilt", count, made.config.z_dim)[1])
    torch.manual_seed(9)
    worse = torch.cat(
        [spoilt(random.Random(i), part) for i, part in enumerate(torch.split(other, 20))]
    )
    false = pixels_of(samples(made, count, 6, torch.device("cpu")))
    with torch.inference_mode():
        high, low, low2 = (
            torch.cat([network(part) for part in torch.split(images, ROWS)])
            for images in (pixels_of(real), false, worse)
        )
    return {
        "AUC drawings / samples": area_under_curve(high, low),
        "AUC drawings / spoilt drawings": area_under_curve(high, low2),
        "AUC samples / spoilt drawings": area_under_curve(low, low2),
    }


def all_figures(weights: Path) -> dict[str, dict[str, float]]:
    """Every figure of the three bundled models in a folder."""
    clip = load_clip(weights / "mini-clip.safetensors")
    car = weights / "mini-car.safetensors"
    return {
        "mini-clip": clip_figures(clip),
        "mini-car": generator_figures(clip, car),
        "mini-car-discriminator": discriminator_figures(
            weights / "mini-car-discriminator.safetensors", car
        ),
    }


def area_under_curve(high: Tensor, low: Tensor) -> float:
    """Probability that a random one of `high` (n,) exceeds a random one of `low` (m,)."""
    above = (high[:, None] > low[None]).float() + 0.5 * (high[:, None] == low[None]).float()
    return float(above.mean())


def _recall(similarity: Tensor, scenes: Sequence[Scene]) -> float:
    """Share of texts whose nearest picture has the very labels that the text claims."""
    best = similarity.argmax(dim=1).tolist()
    hits = [
        claims_hold(scene.labels, scenes[b].labels) for scene, b in zip(scenes, best, strict=True)
    ]
    return sum(hits) / len(hits)


def _accuracy(found: Tensor, truth: Sequence[int]) -> float:
    return _share(found.cpu() == torch.tensor(truth))


def _share(hits: Tensor) -> float:
    return float(hits.float().mean())


def _entropy(found: Tensor, values: int) -> float:
    """Entropy of the values found, over that of an even spread."""
    shares = torch.bincount(found.cpu(), minlength=values).double() / len(found)
    return float(-(shares * shares.clamp(min=1e-12).log()).sum() / math.log(values))
