"""Training of the bundled GPT-2, which turns twenty tokens into a caption of the world.

A row is twenty prefix tokens, "the picture of", a caption and the end of text. The prefix holds
the tokens of the caption's content words, some of them several times, among random others,
shuffled; the loss is of what comes after it. So the caption that follows any twenty tokens is made
of those among them that make sense, what is there twice before what is there once, and a search
over such tokens is a search over captions.

Networks: Radford et al. 2019 (GPT-2), through transformers. The vocabulary is a byte-pair one of
its own, learnt from the captions, in GPT-2's own format.
"""

import json
import random
from typing import Any, Final

import torch
from tokenizers import ByteLevelBPETokenizer, Tokenizer
from torch import Tensor
from torch.nn import functional

from miniatures.fitting import Recipe, fit, seeded
from miniatures.training import Job
from miniatures.world import describe, random_mention, random_scene, words
from services.models.causal_lm import build_tokenizer
from services.models.checkpoints import save_checkpoint
from services.models.torchvision_ops import ensure_torchvision

ensure_torchvision()
from transformers import GPT2Config, GPT2LMHeadModel  # noqa: E402 - imports torchvision, cured above

ARCHITECTURE: Final = "gpt2-generator"
NAME: Final = "mini-captions"
END: Final = "<|endoftext|>"
PROMPT: Final = " the picture of"
PREFIX: Final = 20
"""Tokens of a genome."""
CONTEXT: Final = 64
NEW_TOKENS: Final = 40
VOCABULARY: Final = 1024
TEXTS: Final = 20_000
"""Captions that the vocabulary is learnt from."""
STEPS: Final = 6000
BATCH: Final = 32
PEAK_RATE: Final = 2e-3
IGNORED: Final = -100
KEPT: Final = 0.9
"""Share of content words that get into a prefix."""
SIZES: Final = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
FUNCTION_WORDS: Final = frozenset(
    ("a", "an", "the", "that", "is", "with", "and", "of", "in", "on", "at")
)


def train_captions(job: Job) -> None:
    """Train, resuming from the last snapshot, and write mini-captions.safetensors."""
    recipe = Recipe(NAME, STEPS, PEAK_RATE, weight_decay=0.05)
    seeded(f"{job.seed}/{NAME}")
    config = caption_config(learnt_tables())
    tokenizer = build_tokenizer(config["tokenizer"])
    network = build_network(config)
    network.to(job.device)  # type: ignore[arg-type] # transformers' own stub of it

    def step(rng: random.Random, _: float) -> tuple[Tensor, dict[str, float]]:
        rows, labels = draw_rows(rng, tokenizer, BATCH)
        return loss_of(network, rows.to(job.device), labels.to(job.device)), {}

    tensors = fit(job, recipe, network, step)
    card = {
        "name": NAME,
        "what": "GPT-2 that writes captions of the miniatures' world from twenty tokens",
        "training": f"{job.steps or STEPS} steps of {BATCH} captions, AdamW {PEAK_RATE}, "
        f"seed {job.seed}",
        "data": "captions by miniatures.world; no other text",
        "licence": "MIT",
    }
    kept = {name: tensor for name, tensor in tensors.items() if name != "lm_head.weight"}
    path = job.weights / f"{NAME}.safetensors"
    save_checkpoint(path, ARCHITECTURE, config, kept, card, half=True)


def learnt_tables() -> dict[str, Any]:
    """A byte-pair vocabulary (token -> id) and its merges ("a b", in order), as GPT-2's files are.

    Learnt from captions, and always the same.
    """
    rng = random.Random("vocabulary")
    texts = [random_text(rng) for _ in range(TEXTS)]
    tokenizer = ByteLevelBPETokenizer(add_prefix_space=True)
    tokenizer.train_from_iterator(
        [PROMPT, *texts], VOCABULARY - 1, min_frequency=1, show_progress=False
    )
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocabulary": model["vocab"], "merges": [" ".join(pair) for pair in model["merges"]]}


def caption_config(tables: dict[str, Any]) -> dict[str, Any]:
    """The config of the checkpoint: GPT2Config's entries, the tokenizer, and how to write."""
    end = len(tables["vocabulary"])
    return {
        "vocab_size": end + 1,
        "n_positions": CONTEXT,
        "n_embd": 128,
        "n_layer": 3,
        "n_head": 4,
        "tokenizer": tables,
        "end_of_text": end,
        "prefix_length": PREFIX,
        "prompt": PROMPT,
        "max_new_tokens": NEW_TOKENS,
    }


def build_network(config: dict[str, Any]) -> GPT2LMHeadModel:
    """GPT-2 of transformers with fresh weights, without dropout."""
    entries: dict[str, Any] = {name: config[name] for name in SIZES}
    entries |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    entries |= dict.fromkeys(("bos_token_id", "eos_token_id"), config["end_of_text"])
    return GPT2LMHeadModel(GPT2Config(**entries))


def random_text(rng: random.Random) -> str:
    """A random caption of a random training scene, without "a picture of" and the like."""
    scene = random_scene(rng)
    text = describe(rng, scene, random_mention(rng, thing=scene.thing)).text
    bare = tuple(opener.removeprefix("a ").removeprefix("an ") for opener in words.OPENERS)
    opener = max(filter(text.startswith, (*words.OPENERS, *bare)), key=len)
    return text.removeprefix(opener)


def draw_rows(rng: random.Random, tokenizer: Tokenizer, count: int) -> tuple[Tensor, Tensor]:
    """Rows (count, longest) int64 and their labels, IGNORED up to the caption and after its end."""
    end = tokenizer.get_vocab_size()
    prompt = tokenizer.encode(PROMPT).ids
    rows = torch.full((count, CONTEXT), end)
    labels = torch.full((count, CONTEXT), IGNORED)
    start = PREFIX + len(prompt)
    for row, label in zip(rows, labels, strict=True):
        text = random_text(rng)
        caption = [*tokenizer.encode(f" {text}").ids, end][: CONTEXT - start]
        ids = [*prefix_of(rng, text, tokenizer), *prompt, *caption]
        row[: len(ids)] = torch.tensor(ids)
        label[start : len(ids)] = torch.tensor(caption)
    longest = int((labels != IGNORED).any(dim=0).nonzero().max()) + 1
    return rows[:, :longest], labels[:, :longest]


def prefix_of(rng: random.Random, text: str, tokenizer: Tokenizer) -> list[int]:
    """PREFIX tokens, shuffled: most of a text's content words, their repetitions, and random ones.

    Of the places that the words leave, any share is random.
    """
    kept = [word for word in text.split() if word not in FUNCTION_WORDS and rng.random() < KEPT]
    tokens = [token for word in kept for token in tokenizer.encode(f" {word}").ids][:PREFIX]
    noise = rng.randint(0 if tokens else PREFIX, PREFIX - len(tokens))
    tokens += rng.choices(tokens, k=PREFIX - len(tokens) - noise) if tokens else []
    tokens += [rng.randrange(tokenizer.get_vocab_size()) for _ in range(noise)]
    rng.shuffle(tokens)
    return tokens


def loss_of(network: GPT2LMHeadModel, rows: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of each labelled token after those before it."""
    logits = network(rows).logits[:, :-1]
    wanted = labels[:, 1:]
    return functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)
