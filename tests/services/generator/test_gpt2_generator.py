"""Captions against transformers' own `generate`, and what a search relies on."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from protocol.errors import BadRequestError, WeightsError
from protocol.messages import Generate, GeneratorInfo, Texts, Write
from protocol.tensors import Array, TensorRef, TensorWriter, read_tensor
from protocol.texts import unpack_texts
from services.catalogue import find_model
from services.generator.gpt2_generator import GPT2, Writing, load
from services.loading import load_role
from services.models.causal_lm import build_tokenizer
from services.models.checkpoints import load_checkpoint, save_checkpoint
from services.runtime.role import Role
from tests import tiny

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_gpt2(tmp_path_factory.mktemp("weights") / "gpt2.safetensors")


@pytest.fixture(scope="module")
def writer(path: Path) -> GPT2:
    return load(load_checkpoint(path), torch.device("cpu"))


@pytest.fixture(scope="module")
def genomes() -> Tensor:
    return torch.randint(0, 256, (16, 6), generator=torch.Generator().manual_seed(1)).float()


def reference(path: Path) -> "GPT2LMHeadModel":
    from transformers import GPT2Config, GPT2LMHeadModel  # torchvision has its cure by now

    checkpoint = load_checkpoint(path)
    sizes = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    entries = {name: checkpoint.config[name] for name in sizes}
    network = GPT2LMHeadModel(GPT2Config(**entries, bos_token_id=256, eos_token_id=256))
    network.load_state_dict(checkpoint.tensors, strict=False)
    network.tie_weights()
    return network.eval()


def prompt_rows(writer: GPT2, genomes: Tensor) -> Tensor:
    prompt = torch.tensor(writer._prompt).expand(len(genomes), -1)
    return torch.cat([genomes.long(), prompt], dim=1)


def test_greedy_tokens_are_those_of_transformers(path: Path, writer: GPT2, genomes: Tensor) -> None:
    rows = prompt_rows(writer, genomes)
    wanted = reference(path).generate(
        rows, max_new_tokens=12, do_sample=False, pad_token_id=256, attention_mask=rows * 0 + 1
    )[:, rows.shape[1] :]
    found = writer.continuations(genomes)
    for row, tokens in zip(found, wanted, strict=True):
        until = (tokens == 256).nonzero()
        length = int(until[0]) + 1 if len(until) else len(tokens)
        assert torch.equal(row[:length], tokens[:length])
    assert len({tuple(row) for row in found.tolist()}) > 10


def test_a_caption_does_not_depend_on_its_place_or_its_mates(writer: GPT2, genomes: Tensor) -> None:
    for temperature in (0.0, 1.0):
        texts = writer.write("tokens", genomes, temperature, 3)
        assert writer.write("tokens", genomes.flip(0), temperature, 3) == texts[::-1]
        mates = torch.cat([genomes[:1], (genomes[1:] + 7) % 256])
        assert writer.write("tokens", mates, temperature, 3)[0] == texts[0]


def test_captions_begin_with_the_prompt_and_stop_at_the_end_of_text(writer: GPT2) -> None:
    after = writer._tokenizer.encode(" a cat sat").ids
    assert writer._text([*after, 256, *after]) == "a picture of a cat sat"
    assert writer._text([256]) == "a picture of"
    assert writer._text(writer._tokenizer.encode("\n\n a\tcat").ids) == "a picture of a cat"


def test_a_genome_cannot_hold_the_end_of_text(writer: GPT2) -> None:
    (space,) = writer.spaces
    (tokens,) = space.segments
    assert (tokens.kind, tokens.size, tokens.low, tokens.high) == ("categorical", 6, 0, 255)
    assert 256 not in writer._tokens


def test_a_mark_in_the_middle_of_the_vocabulary_is_passed_over(tmp_path: Path) -> None:
    config = tiny.gpt2_config()
    checkpoint = load_checkpoint(tiny.save_gpt2(tmp_path / "a.safetensors"))
    checkpoint.config.update(config | {"end_of_text": [10, 256]})
    made = load(checkpoint, torch.device("cpu"))
    assert made._tokens.tolist() == [token for token in range(256) if token != 10]


def test_sampling_is_seeded_and_follows_the_logits(writer: GPT2, genomes: Tensor) -> None:
    hot = [writer.write("tokens", genomes, 5.0, seed) for seed in (1, 1, 2)]
    assert hot[0] == hot[1] != hot[2]
    cold = writer.write("tokens", genomes, 1e-4, 1)
    assert cold == writer.write("tokens", genomes, 0.0, 0)


def test_sampled_tokens_have_the_softmax_as_their_distribution(
    path: Path, writer: GPT2, genomes: Tensor
) -> None:
    temperature = 12.0
    rows = prompt_rows(writer, genomes[:1])
    with torch.inference_mode():
        logits = reference(path)(rows).logits[0, -1]
    wanted = torch.softmax(logits / temperature, 0)
    drawn: Counter[int] = Counter()
    for seed in range(120):
        drawn[int(writer.continuations(genomes[:1], temperature, seed)[0, 0])] += 1
    likely = wanted.topk(8).indices.tolist()
    share = float(wanted[likely].sum())
    assert 0.05 < share < 0.95
    found = sum(drawn[token] for token in likely) / 120
    assert abs(found - share) < 4 * (share * (1 - share) / 120) ** 0.5


@pytest.fixture(scope="module")
def role(path: Path) -> Role:
    return load_role(find_model(str(path), "generator"), "cpu")


def ask(role: Role, rows: Array, space: str = "tokens") -> list[str]:
    sent, answered = TensorWriter(), TensorWriter()
    call = Write(space, sent.add(rows))

    def read(ref: TensorRef) -> Array:
        return read_tensor(ref, sent.frames)

    asked = role.prepare(call, read)
    result = role.result(asked.options, role.compute(asked.options, asked.values), answered)
    assert isinstance(result, Texts)
    return unpack_texts(read_tensor(result.texts, answered.frames))


def test_the_service_says_that_it_writes(role: Role, genomes: Tensor, writer: GPT2) -> None:
    about = role.info.about
    assert isinstance(about, GeneratorInfo)
    assert about.writes
    assert ask(role, genomes.numpy()) == writer.write("tokens", genomes, 0.0, 0)


def test_a_tokenizer_that_pads_and_cuts_is_told_not_to(writer: GPT2, genomes: Tensor) -> None:
    """As files of trainers have it: captions began with a cut prompt and sixty pads."""
    tokenizer = build_tokenizer(json.loads(writer._tokenizer.to_str()))
    tokenizer.enable_padding(length=64)
    tokenizer.enable_truncation(2)
    writing = Writing((256,), 6, "a picture of", 12)
    padded = GPT2(writer._model, build_tokenizer(json.loads(tokenizer.to_str())), writing)
    assert padded.write("tokens", genomes, 0.0, 0) == writer.write("tokens", genomes, 0.0, 0)


def test_questions_that_it_cannot_answer_are_refused(role: Role, genomes: Tensor) -> None:
    rows = genomes.numpy()
    with pytest.raises(BadRequestError, match="no latent space 'z'; it has tokens"):
        ask(role, rows, "z")
    with pytest.raises(BadRequestError, match=r"shape \(rows, 6\) float32, got \(16, 5\)"):
        ask(role, np.ascontiguousarray(rows[:, :5]))
    with pytest.raises(BadRequestError, match="finite"):
        ask(role, rows * np.float32(np.nan))
    with pytest.raises(BadRequestError, match="writes texts, so it cannot generate"):
        role.prepare(Generate("tokens", TensorWriter().add(rows)), lambda _: rows)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"model_type": "nonsense"}, "no causal language model 'nonsense'"),
        ({"model_type": "clip"}, "no causal language model 'clip'"),
        ({"model_type": "bloom"}, "no causal language model 'bloom'"),
        ({"model_type": "mpt"}, "no causal language model 'mpt'"),
        ({"n_embd": 48}, "tensors of the gpt2 have shapes other than it says, such as transformer"),
        ({"n_head": 5}, "no causal language model 'gpt2'"),
        ({"n_layer": 3}, "tensors of the gpt2 are missing, such as transformer.h.2"),
        ({"tokenizer": {}}, "tokenizer cannot be read"),
        ({"tokenizer": {"model": 3}}, "tokenizer cannot be read"),
        ({"end_of_text": []}, "needs a token that ends it"),
        ({"prefix_length": 35}, "rows of 40 tokens leave no room"),
        ({"max_new_tokens": [2]}, "how captions are written"),
    ],
)
def test_checkpoints_that_are_none_are_refused_in_a_sentence(
    path: Path, tmp_path: Path, entries: dict[str, object], why: str
) -> None:
    wrong = tmp_path / "wrong.safetensors"
    checkpoint = load_checkpoint(path)
    config = checkpoint.config | entries
    save_checkpoint(wrong, "gpt2-generator", config, checkpoint.tensors, {})
    with pytest.raises(WeightsError, match=why) as caught:
        load_role(find_model(str(wrong), "generator"), "cpu")
    assert len(str(caught.value).splitlines()) == 1
