"""Training of the bundled CLIPs: the one that searches, and the judge that no search ever sees.

Contrastive, with hard negatives: a batch is made of groups of four scenes that differ in one
attribute (or in time and one other), each with a random caption that mentions it. Captions may be
partial, so a caption can be true of other pictures of its batch too; such pairs are left out of
the loss, by the exact claims of the captions. Besides, one table of prototypes must tell the
attributes of a picture from its embedding, and what a caption says of them from its own: that
teaches what is small to see (a smile) far sooner, and is thrown away in the end. Pictures are
blurred, noised and shaded a little, so that a generator's softer pictures are not strange to it.
The judge has another encoder, other first weights and other lots, so that the two do not share
their mistakes. Sources: Radford et al. 2021 (CLIP); hard negatives measured in docs/miniatures.md.
"""

import dataclasses
import random
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from miniatures.fitting import Recipe, fit
from miniatures.training import Job, channels_last
from miniatures.world import (
    UNCLAIMED,
    VALUES,
    describe,
    hard_group,
    random_mention,
    render_all,
    vocabulary,
)
from services.models.checkpoints import save_checkpoint
from services.models.clip import ARCHITECTURE, ClipModel, load_clip
from services.models.tokenizer import FIRST_WORD

STEPS: Final = 3000
GROUPS: Final = 24
PEAK_RATE: Final = 1e-3
GENERAL_ODDS: Final = 0.4
TERSE_ODDS: Final = 0.3
ATTRIBUTE_SCALE: Final = 20.0
ATTRIBUTE_WEIGHT: Final = 0.5
CONTEXT: Final = 32
MEAN: Final = [0.39, 0.44, 0.47]
STD: Final = [0.31, 0.31, 0.32]


@dataclasses.dataclass(frozen=True)
class Batch:
    """n pictures with their captions."""

    pictures: Tensor
    """(n, 64, 64, 3) uint8."""
    texts: list[str]
    labels: Tensor
    """(n, attributes) int64 of the pictures, -1 being none."""
    claims: Tensor
    """(n, attributes) int64 of the texts, -1 where they say nothing."""

    @property
    def clashes(self) -> Tensor:
        """(n, n) bool: caption i is also true of picture j, though j is another row."""
        return clashes(self.claims, self.labels)


@dataclasses.dataclass(frozen=True)
class Variant:
    """One of the bundled CLIPs."""

    name: str
    """Of its weights."""
    training: str
    """Of its snapshot and in reports."""
    what: str
    vision: Mapping[str, Any]
    """Its picture encoder, as open_clip takes it."""
    lots: str
    """What its pictures and captions are drawn from, besides the seed."""
    first_seed: int
    """Of its first weights, added to the seed."""


SEARCH: Final = Variant(
    "mini-clip",
    "clip-mini",
    "CLIP for 64x64 drawings of the miniatures' world",
    {"layers": [1, 1, 1, 1], "width": 20, "head_width": 64, "image_size": 64},
    "clip",
    0,
)
"""A ModifiedResNet of 1-1-1-1 blocks."""
JUDGE: Final = Variant(
    "mini-judge-clip",
    "judge-clip",
    "a second CLIP for drawings of the miniatures' world, to judge what the first has searched",
    {"layers": 4, "width": 128, "head_width": 32, "patch_size": 8, "image_size": 64},
    "judge",
    1,
)
"""A vision transformer over patches of 8x8 pixels."""


def clip_config(variant: Variant = SEARCH) -> dict[str, Any]:
    """The config of a bundled CLIP; all have a 128x2 text tower."""
    words = vocabulary()
    return {
        "embed_dim": 128,
        "vision_cfg": dict(variant.vision),
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": FIRST_WORD + len(words) + 1,
            "width": 128,
            "heads": 4,
            "layers": 2,
        },
        "words": list(words),
        "mean": MEAN,
        "std": STD,
    }


class Taught(nn.Module):
    """A CLIP in training, with what tells the attributes from its embeddings."""

    def __init__(self, model: ClipModel) -> None:
        """Takes the model's network over."""
        super().__init__()
        self.clip = model.network.requires_grad_(requires_grad=True)
        self.prototypes = nn.Parameter(
            torch.randn(sum(map(len, VALUES.values())), model.embed_dim, device=model.device)
        )

    def attribute_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of (n, embed_dim) unit rows with (n, attributes) labels, -1 being none."""
        scores = ATTRIBUTE_SCALE * embeddings @ functional.normalize(self.prototypes, dim=1).T
        parts = torch.split(scores, [len(values) for values in VALUES.values()], dim=1)
        losses = [
            functional.cross_entropy(part, truth, ignore_index=-1, reduction="sum")
            for part, truth in zip(parts, labels.T, strict=True)
        ]
        return torch.stack(losses).sum() / (labels >= 0).sum()


def train_clip(job: Job, variant: Variant = SEARCH) -> None:
    """Train, resuming from the last snapshot, and write the variant's safetensors."""
    torch.manual_seed(job.seed + variant.first_seed)
    path = job.weights / f"{variant.name}.safetensors"
    model = load_clip(path) if job.warm else ClipModel(clip_config(variant))
    taught = channels_last(Taught(model.to(job.device)))

    def step(rng: random.Random, _: float) -> tuple[Tensor, dict[str, float]]:
        lots = random.Random(f"{variant.lots}/{rng.random()}")
        return batch_loss(model, taught, draw_batch(lots), job.precision)

    def write(tensors: dict[str, Tensor], steps: int) -> None:
        prefix = "clip."
        mine = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        write_clip(job, variant, mine, steps)

    fit(job, Recipe(variant.training, STEPS, PEAK_RATE, weight_decay=0.05), taught, step, write)


def batch_loss(
    model: ClipModel, taught: Taught, batch: Batch, precision: torch.autocast
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch, and the share of its texts that find their picture."""
    tokens = model.tokenizer(batch.texts).to(model.device)
    pixels = roughened(model.preprocessed(batch.pictures))
    with precision:
        rows = taught.clip.encode_text(tokens), taught.clip.encode_image(pixels)
    texts, images = (functional.normalize(part.float(), dim=1) for part in rows)
    logits = taught.clip.logit_scale.exp().clamp(max=50.0) * texts @ images.T
    clash = batch.clashes.to(model.device)
    read = taught.attribute_loss(images, batch.labels.to(model.device))
    said = taught.attribute_loss(texts, batch.claims.to(model.device))
    best = logits.detach().masked_fill(clash, -1e4).argmax(dim=1)
    hits = (best == torch.arange(len(best), device=best.device)).float().mean()
    figures = {"hits": hits.item(), "read": read.item(), "said": said.item()}
    return contrastive_loss(logits, clash) + ATTRIBUTE_WEIGHT * (read + said), figures


def write_clip(job: Job, variant: Variant, tensors: dict[str, Tensor], steps: int) -> None:
    """Write the weights with their card."""
    card = {
        "name": variant.name,
        "what": variant.what,
        "training": f"{steps} steps of {4 * GROUPS} drawings{job.beginning}, AdamW {PEAK_RATE}, "
        f"seed {job.seed}",
        "data": "drawn by miniatures.world; no photographs",
        "licence": "MIT",
    }
    path = job.weights / f"{variant.name}.safetensors"
    save_checkpoint(path, ARCHITECTURE, clip_config(variant), tensors, card, half=True)


def draw_batch(rng: random.Random, groups: int = GROUPS) -> Batch:
    """Hard-negative groups of training scenes, drawn and captioned.

    Some groups are called by general names, and some captions say no more than they must.
    """
    scenes, captions = [], []
    for _ in range(groups):
        group, differing = hard_group(rng)
        general, terse = rng.random() < GENERAL_ODDS, rng.random() < TERSE_ODDS
        scenes += group
        for scene in group:
            mention = random_mention(rng, differing, scene.thing)
            if terse:
                mention &= differing | {"thing"}
            if general:
                mention -= {"kind"} - differing
            captions.append(describe(rng, scene, mention, general=general))
    texts = [with_stranger(rng, caption.text) for caption in captions]
    claims = torch.tensor([caption.claims for caption in captions])
    labels = torch.tensor([scene.labels for scene in scenes])
    return Batch(torch.from_numpy(render_all(scenes)), texts, labels, claims)


def clashes(claims: Tensor, labels: Tensor) -> Tensor:
    """(n, a) claims and (n, a) labels -> (n, n) bool: caption i also holds for picture j."""
    agree = (claims[:, None] == UNCLAIMED) | (claims[:, None] == labels[None])
    return agree.all(dim=2) & ~torch.eye(len(claims), dtype=torch.bool)


def with_stranger(rng: random.Random, text: str) -> str:
    """Now and then the text with a word that means nothing, so that such words are learnt to."""
    if rng.random() > 0.08:
        return text
    word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 6)))
    words = text.split()
    words.insert(rng.randrange(len(words) + 1), word)
    return " ".join(words)


def roughened(pixels: Tensor) -> Tensor:
    """(n, 3, h, w) normalised pixels, most of them blurred, noised and shaded a little."""
    n = len(pixels)
    draws = torch.rand(4, n, 1, 1, 1, device=pixels.device)
    soft = functional.avg_pool2d(functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    rough = pixels.lerp(soft, (draws[0] * 1.8 - 0.8).clamp(0, 1))
    rough = rough + torch.randn_like(rough) * 0.25 * (draws[1] * 2 - 1).clamp(0, 1)
    return rough * (0.9 + 0.2 * draws[2]) + (draws[3] - 0.5) * 0.2


def contrastive_loss(logits: Tensor, clash: Tensor) -> Tensor:
    """Symmetric cross-entropy of (n texts, n pictures) logits, without the pairs that clash."""
    logits = logits.masked_fill(clash, -1e4)
    target = torch.arange(len(logits), device=logits.device)
    rows = functional.cross_entropy(logits, target)
    return (rows + functional.cross_entropy(logits.T, target)) / 2
