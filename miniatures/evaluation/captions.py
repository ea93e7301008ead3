"""Figures of the caption generator: are they captions of the world, and of what it was given?"""

import random
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from miniatures.caption_parsing import parse
from miniatures.caption_training import PREFIX, prefix_of, random_text
from miniatures.evaluation.measures import share
from miniatures.world import UNCLAIMED
from services.generator.gpt2_generator import GPT2, load
from services.models.causal_lm import build_tokenizer
from services.models.checkpoints import load_checkpoint

SAMPLES: Final = 1000
ROWS: Final = 50


def caption_figures(path: Path, count: int = SAMPLES) -> dict[str, float]:
    """Over random genomes, and over genomes that hold the words of a caption."""
    checkpoint = load_checkpoint(path)
    model = load(checkpoint, torch.device("cpu"))
    end = checkpoint.config["end_of_text"]
    seeded = torch.Generator().manual_seed(5)
    captions = written(model, torch.randint(end, (count, PREFIX), generator=seeded))
    rng, tokenizer = random.Random("captions"), build_tokenizer(checkpoint.config["tokenizer"])
    texts = [random_text(rng) for _ in range(count)]
    again = written(model, torch.tensor([prefix_of(rng, text, tokenizer) for text in texts]))
    return {
        "samples that parse as captions of the world": share(
            torch.tensor([parse(text) is not None for text in captions])
        ),
        "distinct captions among samples": len(set(captions)) / count,
        "claims that come back from a caption's words": claims_back(texts, again),
    }


def written(model: GPT2, genomes: Tensor) -> list[str]:
    """The likeliest captions of (n, PREFIX) tokens."""
    space = model.spaces[0].name
    parts = [model.write(space, part.float(), 0.0, 0) for part in torch.split(genomes, ROWS)]
    return [text for part in parts for text in part]


def claims_back(texts: list[str], again: list[str]) -> float:
    """Of all claims of the texts, the share that the captions written from their words make too."""
    hits = [
        (found := parse(other)) is not None and found[place] == claim
        for text, other in zip(texts, again, strict=True)
        for place, claim in enumerate(parse(text) or ())
        if claim != UNCLAIMED
    ]
    return share(torch.tensor(hits))
