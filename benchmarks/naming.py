"""What the best caption names: by the plain cosine, and where random captions are white.

`python -m benchmarks.naming [--drawings N] [--sets N]`. Every drawing has its own pool of captions,
all of them true, so that neither a generator nor a search is at fault: what the best of a pool
leaves out is left out because CLIP does not miss it. Drawings of the miniatures' held-out split.
"""

import random
from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.timing import spread
from miniatures.evaluation.captions import written
from miniatures.evaluation.describing import named
from miniatures.training import WEIGHTS
from miniatures.world import Scene, describe, random_mention, random_scene, render
from orchestrator.evaluation.chance import CHANCE_SEED, RANDOM
from orchestrator.evaluation.evaluator import Float32
from orchestrator.evaluation.whitening import whitened
from orchestrator.search import sample
from services.generator.gpt2_generator import load
from services.models.checkpoints import load_checkpoint
from services.models.clip import ClipModel, load_clip

Turn = Callable[[Float32], Float32]
Pool = tuple[Scene, Float32, list[str], Float32]


def naming(
    drawings: Annotated[int, typer.Option(min=1, help="Drawings in a set.")] = 50,
    sets: Annotated[int, typer.Option(min=1, help="Sets of drawings.")] = 5,
    captions: Annotated[int, typer.Option(min=1, help="Captions drawn for a drawing.")] = 600,
) -> None:
    """Shares of drawings whose best true caption names their thing and colour (of faces, hair)."""
    clip = load_clip(WEIGHTS / "mini-clip.safetensors")
    texts: Float32 = clip.embed_texts(random_captions()).numpy()
    turns: dict[str, Turn] = {
        "plain cosine": lambda target: target,
        "where captions are white": lambda target: whitened(target, texts),
    }
    found: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(sets):
        rng = random.Random(f"naming/{number}")
        pools = [pool(rng, clip, captions) for _ in range(drawings)]
        for name, turn in turns.items():
            found[name].append(sum(best_names(one, turn) for one in pools) / drawings)
    table = Table(
        "", "median share", "least to most", title=f"{sets} sets of {drawings} drawings: named"
    )
    for name, shares in found.items():
        table.add_row(name, *spread(shares, 1, 2))
    Console(width=100).print(table)


def pool(rng: random.Random, clip: ClipModel, count: int) -> Pool:
    """A scene, its embedding (d,), and true captions of it with theirs, (n, d)."""
    scene = random_scene(rng, held_out=True)
    picture: Float32 = clip.embed_images(torch.from_numpy(render(scene))[None]).numpy()[0]
    mentions = [random_mention(rng, thing=scene.thing) for _ in range(count)]
    texts = sorted({describe(rng, scene, mention).text for mention in mentions})
    return scene, picture, texts, clip.embed_texts(texts).numpy()


def best_names(one: Pool, turn: Turn) -> bool:
    """Whether the best caption of a pool names the scene's thing and colour."""
    scene, picture, texts, embeddings = one
    return named(scene, texts[int(np.argmax(embeddings @ turn(picture)))])


def random_captions() -> list[str]:
    """Of the genomes that a run whitens by."""
    checkpoint = load_checkpoint(WEIGHTS / "mini-captions.safetensors")
    model = load(checkpoint, torch.device("cpu"))
    genomes = sample(model.spaces[0], RANDOM, np.random.default_rng(CHANCE_SEED))
    return written(model, torch.from_numpy(genomes))


if __name__ == "__main__":
    typer.run(naming)
