"""The word tokenizer."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.models.tokenizer import FIRST_BYTE, FIRST_WORD, PADDING, START, WordTokenizer

WORDS = ("a", "car", "yellow")
TOKENIZER = WordTokenizer(WORDS, 8)


def test_known_words_are_one_token() -> None:
    row = TOKENIZER(["A yellow  CAR!"])[0].tolist()
    assert row == [START, FIRST_WORD, FIRST_WORD + 2, FIRST_WORD + 1, TOKENIZER.end] + [PADDING] * 3


def test_unknown_words_are_bytes() -> None:
    assert TOKENIZER.encode("é") == [FIRST_BYTE + 0xC3, FIRST_BYTE + 0xA9]
    assert TOKENIZER.encode("cars") == [FIRST_BYTE + byte for byte in b"cars"]


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_every_text_encodes_and_ends_once(texts: list[str]) -> None:
    rows = TOKENIZER(texts)
    assert rows.shape == (len(texts), 8)
    assert rows.dtype == torch.int64
    assert (rows[:, 0] == START).all()
    assert ((rows == TOKENIZER.end).sum(dim=1) == 1).all()
    assert int(rows.max()) == TOKENIZER.end == TOKENIZER.vocab_size - 1


def test_a_long_text_keeps_its_end() -> None:
    row = TOKENIZER(["car " * 50])[0].tolist()
    assert row == [START] + [FIRST_WORD + 1] * 6 + [TOKENIZER.end]


def test_repeated_words_are_refused() -> None:
    with pytest.raises(ValueError, match="distinct"):
        WordTokenizer(("a", "a"), 8)


def test_a_context_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3, got 2"):
        WordTokenizer(WORDS, 2)
