"""Texts survive the wire, whatever is in them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ProtocolError
from protocol.tensors import Array
from protocol.texts import TEXT_BYTES, pack_texts, unpack_texts

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))


@given(texts)
def test_texts_come_back(said: list[str]) -> None:
    packed = pack_texts(said)
    assert packed.dtype == np.uint8
    assert packed.shape == (len(said), TEXT_BYTES)
    assert unpack_texts(packed) == said


@given(st.integers(TEXT_BYTES - 4, TEXT_BYTES), st.sampled_from("aä€🚗"))
def test_long_texts_are_cut_between_characters(before: int, last: str) -> None:
    text = "x" * before + last
    (found,) = unpack_texts(pack_texts([text * 2]))
    fits = before + len(last.encode()) <= TEXT_BYTES
    assert found.startswith(text if fits else "x" * before)
    assert set(found) <= {"x", last}


def test_what_is_no_text_harms_nobody() -> None:
    assert unpack_texts(pack_texts(["a\0b", "\ud800"])) == ["ab", "?"]
    nonsense = np.full((1, TEXT_BYTES), 255, np.uint8)
    assert unpack_texts(nonsense) == ["\ufffd" * TEXT_BYTES]


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(3, np.uint8), np.zeros((2, TEXT_BYTES), np.float32), np.zeros((2, 9), np.uint8)],
)
def test_other_arrays_are_refused(wrong: Array) -> None:
    with pytest.raises(ProtocolError, match="wanted texts as"):
        unpack_texts(wrong)
