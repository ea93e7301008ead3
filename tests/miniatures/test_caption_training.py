"""The caption generator: what it is shown, and that it learns."""

import random
from pathlib import Path

import pytest
import torch

from miniatures import caption_training
from miniatures.caption_parsing import parse
from miniatures.caption_training import (
    IGNORED,
    PREFIX,
    PROMPT,
    build_network,
    draw_rows,
    learnt_tables,
    loss_of,
    prefix_of,
    random_text,
    train_captions,
)
from miniatures.evaluation.captions import written
from miniatures.training import Job
from services.generator.gpt2_generator import load
from services.models.causal_lm import build_tokenizer
from services.models.checkpoints import load_checkpoint


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_training, "TEXTS", 300)
    monkeypatch.setattr(caption_training, "BATCH", 4)


def test_texts_are_captions_without_an_opener() -> None:
    rng = random.Random(0)
    texts = [random_text(rng) for _ in range(200)]
    assert all(parse(text) for text in texts)
    assert not any("photo of" in text for text in texts)


def test_words_are_tokens_and_any_text_can_be_spelt() -> None:
    tokenizer = build_tokenizer(learnt_tables())
    text = " a yellow car in the city, naïve"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert len(tokenizer.encode(" a yellow car").ids) == 3


def test_rows_are_prefix_prompt_caption_and_end() -> None:
    tokenizer = build_tokenizer(learnt_tables())
    end = tokenizer.get_vocab_size()
    rows, labels = draw_rows(random.Random(0), tokenizer, 6)
    for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
        start = label.index(next(token for token in label if token != IGNORED))
        stop = row.index(end)
        assert tokenizer.decode(row[PREFIX:start]) == PROMPT
        assert parse(tokenizer.decode(row[start:stop]).strip()) is not None
        assert label[start : stop + 1] == row[start : stop + 1]
        assert set(label[:start] + label[stop + 1 :]) <= {IGNORED}


def test_the_prefix_holds_the_content_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_training, "KEPT", 1.0)
    tokenizer = build_tokenizer(learnt_tables())
    prefix = prefix_of(random.Random(0), "a yellow car in the city", tokenizer)
    assert len(prefix) == PREFIX
    wanted = {
        token for word in ("yellow", "car", "city") for token in tokenizer.encode(f" {word}").ids
    }
    assert wanted <= set(prefix)


def test_training_lowers_the_loss_and_writes_what_is_served(tmp_path: Path) -> None:
    job = Job(torch.device("cpu"), tmp_path, steps=25, weights=tmp_path)
    train_captions(job)
    checkpoint = load_checkpoint(tmp_path / "mini-captions.safetensors")
    assert "lm_head.weight" not in checkpoint.tensors
    network, tokenizer = build_network(checkpoint.config), build_tokenizer(learnt_tables())
    rows, labels = draw_rows(random.Random(9), tokenizer, 8)
    with torch.inference_mode():
        fresh = loss_of(network, rows, labels)
        network.load_state_dict(checkpoint.tensors, strict=False)  # all but the tied head
        assert loss_of(network, rows, labels) < fresh - 0.3
    model = load(checkpoint, torch.device("cpu"))
    genomes = torch.randint(256, (3, PREFIX), generator=torch.Generator().manual_seed(0))
    captions = written(model, genomes)
    assert all(caption.startswith("the picture of") for caption in captions)
    assert written(model, genomes[1:2]) == captions[1:2]
