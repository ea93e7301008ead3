"""A tokenizer for small CLIPs: whole words that it knows, bytes for all others.

Ids: 0 padding, 1 start, 2 to 257 the 256 bytes, then the words, and last the end of text, which
is the largest id because open_clip's text tower reads its answer at the largest id of a row.

Promises: any string encodes; text is lower-cased and punctuation dropped, so "A yellow car!" is
"a yellow car"; a text too long for the context keeps its start and its end token.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

PADDING: Final = 0
START: Final = 1
FIRST_BYTE: Final = 2
FIRST_WORD: Final = FIRST_BYTE + 256
_WORD = re.compile(r"[^\W_]+")


class WordTokenizer:
    """Texts to rows of token ids."""

    def __init__(self, words: Sequence[str], context_length: int) -> None:
        """`words` in the order of their ids; `context_length` tokens a row, at least 3."""
        if context_length < 3:
            raise ValueError(f"context_length must be at least 3, got {context_length}")
        self.words = tuple(words)
        self.context_length = context_length
        self._ids = {word: FIRST_WORD + index for index, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            raise ValueError("words must be distinct")
        self.end = FIRST_WORD + len(self.words)

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return self.end + 1

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without start, end and padding; unknown words as UTF-8 bytes."""
        ids: list[int] = []
        for word in _WORD.findall(unicodedata.normalize("NFC", text).lower()):
            known = self._ids.get(word)
            ids += [known] if known is not None else [FIRST_BYTE + b for b in word.encode()]
        return ids

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Texts -> (n, context_length) int64: start, the text, end, padding."""
        rows = torch.full((len(texts), self.context_length), PADDING, dtype=torch.int64)
        for row, text in zip(rows, texts, strict=True):
            ids = [START, *self.encode(text)[: self.context_length - 2], self.end]
            row[: len(ids)] = torch.tensor(ids)
        return rows
