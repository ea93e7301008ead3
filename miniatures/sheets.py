"""Sample sheets: many pictures on one, to look at."""

import math
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from miniatures.discriminator_training import load_generator, samples
from miniatures.domains import DOMAINS
from miniatures.evaluation.generators import class_draws, class_samples
from miniatures.factors import cut, scenes_of
from miniatures.world import KINDS, VALUES, Picture, Scene, random_scene, render, render_all
from services.generator.biggan_deep_generator import load
from services.models.checkpoints import load_checkpoint

COLUMNS = 12


def sheet(pictures: Picture, columns: int = COLUMNS) -> Image.Image:
    """(n, h, w, 3) uint8 in rows of `columns`, with a pixel of white between."""
    n, h, w, _ = pictures.shape
    rows = math.ceil(n / columns)
    page = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1, 3), 255, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (index // columns) * (h + 1), (index % columns) * (w + 1)
        page[top : top + h, left : left + w] = picture
    return Image.fromarray(page)


def world_sheet() -> Image.Image:
    """The world: cars in every setting by day and night, then everything else by kinds."""
    rng = random.Random("sheet")
    kinds, colours = KINDS["car"], VALUES["colour"]
    scenes = [
        Scene("car", kinds[(i + row) % 4], colours[(i + row) % 11], setting, time, layout=i % 4)
        for row, setting in enumerate(VALUES["setting"])
        for i, time in enumerate(("day", "night") * (COLUMNS // 2))
    ]
    for thing in VALUES["thing"][1:]:
        scenes += thing_row(rng, thing, COLUMNS)
    return sheet(render_all(scenes))


def thing_row(rng: random.Random, thing: str, count: int) -> list[Scene]:
    """Random scenes of a thing, its kinds in turn."""
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = random_scene(rng, thing)
        if scene.kind == KINDS[thing][len(scenes) % len(KINDS[thing])]:
            scenes.append(scene)
    return scenes


def generator_sheet(weights: Path, count: int = 64, seed: int = 7) -> Image.Image:
    """Random samples of a generator, uncurated, eight in a row."""
    pictures = samples(load_generator(weights), count, seed, torch.device("cpu"))
    return sheet(pictures.numpy(), columns=8)


def biggan_sheet(weights: Path, count: int = 64, seed: int = 7) -> Image.Image:
    """Random samples of random classes of a BigGAN, uncurated, eight in a row."""
    generator = load(load_checkpoint(weights), torch.device("cpu"))
    return sheet(class_samples(generator, *class_draws(count, seed)).numpy(), columns=8)


def comparison_sheet(weights: Path, thing: str, count: int = 24, seed: int = 8) -> Image.Image:
    """Rows of samples, each above the drawing that its z was taught to show."""
    generator = load_generator(weights)
    z = torch.randn(count, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    drawn = [render(scene) for scene in scenes_of(cut(z, DOMAINS[thing]))]
    made = list(samples(generator, count, seed, torch.device("cpu")).numpy())
    rows = [
        half[start : start + COLUMNS]
        for start in range(0, count, COLUMNS)
        for half in (made, drawn)
    ]
    return sheet(np.stack([picture for row in rows for picture in row]))


def write_sheets(weights: Path, folder: Path) -> list[Path]:
    """Write the sheets of the world and of every generator that there is, as WebP."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"world": world_sheet()}
    for thing in DOMAINS:
        path = weights / f"mini-{thing}.safetensors"
        if path.exists():
            pages[path.stem] = generator_sheet(path)
            pages[f"{path.stem}-beside-drawings"] = comparison_sheet(path, thing)
    biggan = weights / "mini-biggan.safetensors"
    if biggan.exists():
        pages[biggan.stem] = biggan_sheet(biggan)
    for name, page in pages.items():
        page.save(folder / f"{name}.webp", quality=92, method=6)
    return [folder / f"{name}.webp" for name in pages]
