"""From picture to text: does the search name what a drawing shows?

Held-out drawings are captioned as a user does it, with `orchestrator run --caption` and its default
settings. A caption is right if it names the thing and its colour; of a face, the hair.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from miniatures.caption_parsing import parse
from miniatures.evaluation.goals import Row
from miniatures.evaluation.growing import ensemble, missing
from miniatures.world import ATTRIBUTES, Scene, random_scene, render

DRAWINGS: Final = 50


def describing_figures(
    weights: Path, work: Path, count: int = DRAWINGS, options: Sequence[str] = ()
) -> Iterator[Row]:
    """Model, figure and share of drawings that the best caption names rightly.

    Args:
        weights: folder of the models.
        work: folder of the runs; those that are done there are not repeated.
        count: drawings.
        options: of `orchestrator run` besides; the default settings without.
    """
    models = {
        "generator": weights / "mini-captions.safetensors",
        "clip": weights / "mini-clip.safetensors",
    }
    if said := missing(list(models.values())):
        yield "mini-captions", said, None
        return
    rng = random.Random("describing")
    scenes = [random_scene(rng, held_out=True) for _ in range(count)]
    work.mkdir(parents=True, exist_ok=True)
    with ensemble(models) as services:
        hits = []
        for seed, scene in enumerate(scenes):
            picture = work / f"drawing-{seed:02}.png"
            Image.fromarray(render(scene)).save(picture)
            words = ("--caption", str(picture), "--seed", str(seed), *options)
            folder = services.grow(work / f"captions-{seed:02}", "best.txt", *words)
            hits.append(named(scene, best_caption(folder)))
    yield "mini-captions", "drawings whose thing and colour are named", sum(hits) / count


def best_caption(folder: Path) -> str:
    """What a run offers as its best caption; the file has its similarity before it."""
    return (folder / "best.txt").read_text().partition("  ")[2].strip()


def named(scene: Scene, caption: str) -> bool:
    """Whether a caption names the scene's thing and colour."""
    claims = parse(caption)
    if claims is None:
        return False
    wanted = ("thing", "hair" if scene.thing == "face" else "colour")
    places = [ATTRIBUTES.index(name) for name in wanted]
    return all(claims[place] == scene.labels[place] for place in places)
