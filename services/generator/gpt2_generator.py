"""GPT-2, or another causal language model: twenty tokens, and the caption after them.

The latent space `tokens` has one category for each token but those that end or mark a text. The
network reads a genome's tokens and "the picture of", and what it writes then is the caption, from
these words on to the end of the text (CLIP-GLaSS, Galatolo et al. 2021).

Config: transformers' entries for the network, `tokenizer` (what `tokenizer.json` holds, or
`vocabulary` and `merges`), and optionally `end_of_text`, `prefix_length`, `prompt` and
`max_new_tokens`.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from protocol.latent import LatentSpace, Segment
from services.models.causal_lm import CausalLM, Choose, build_lm, build_tokenizer
from services.models.checkpoints import Checkpoint, Json
from services.models.streams import row_streams
from services.options import DTYPES, Precision

PREFIX_LENGTH: Final = 20
PROMPT: Final = "the picture of"
NEW_TOKENS: Final = 30
OWN_ENTRIES: Final = ("tokenizer", "end_of_text", "prefix_length", "prompt", "max_new_tokens")


@dataclass(frozen=True)
class Writing:
    """How captions are written; see the module."""

    ends: tuple[int, ...]
    prefix_length: int
    prompt: str
    max_new_tokens: int

    def __post_init__(self) -> None:
        """Raise ValueError for lengths that make no text."""
        if not self.ends or min(self.prefix_length, self.max_new_tokens) < 1:
            raise ValueError("a caption needs a token that ends it, a prefix and new tokens")


class GPT2:
    """A language model behind the role of a generator that writes."""

    def __init__(self, model: CausalLM, tokenizer: Any, writing: Writing) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._device = model.network.device
        self._prompt = tokenizer.encode(writing.prompt, add_special_tokens=False).ids
        room = model.most_tokens - writing.prefix_length - len(self._prompt)
        if room < 1:
            raise ValueError(f"rows of {model.most_tokens} tokens leave no room for a caption")
        self._steps = min(writing.max_new_tokens, room)
        self._ends = torch.tensor(writing.ends, device=self._device)
        self._tokens = torch.tensor(self._usable(writing), device=self._device)
        last = len(self._tokens) - 1
        tokens = Segment("tokens", "categorical", writing.prefix_length, 0, last, "uniform")
        self.spaces = (LatentSpace("tokens", (tokens,)),)

    def write(self, space: str, genomes: Tensor, temperature: float, seed: int) -> list[str]:
        """(n, prefix_length) float32 categories -> n captions, on one line each."""
        del space  # there is one
        with torch.inference_mode():
            added = self.continuations(genomes, temperature, seed).tolist()
        return [self._text(row) for row in added]

    def continuations(self, genomes: Tensor, temperature: float = 0.0, seed: int = 0) -> Tensor:
        """(n, prefix_length) -> (n, at most max_new_tokens) int64, what follows the prompt."""
        categories = genomes.round().long().clamp(0, len(self._tokens) - 1)
        prompt = torch.tensor(self._prompt, device=self._device)
        rows = torch.cat([self._tokens[categories], prompt.expand(len(genomes), -1)], dim=1)
        choose = _drawn(genomes, temperature, seed) if temperature else _likeliest
        return self._model.continued(rows, self._steps, self._ends, choose)

    def _usable(self, writing: Writing) -> list[int]:
        """Tokens that a genome may hold."""
        marks = self._tokenizer.get_added_tokens_decoder()
        refused = {*writing.ends, *(index for index, token in marks.items() if token.special)}
        known = min(self._model.vocabulary, self._tokenizer.get_vocab_size())
        return [token for token in range(known) if token not in refused]

    def _text(self, added: list[int]) -> str:
        ends = set(self._ends.tolist())
        end = next((place for place, token in enumerate(added) if token in ends), len(added))
        return " ".join(self._tokenizer.decode([*self._prompt, *added[:end]]).split())


def _likeliest(_: int, logits: Tensor) -> Tensor:
    return logits.argmax(dim=1)


def _drawn(genomes: Tensor, temperature: float, seed: int) -> Choose:
    """Tokens from softmax(logits / temperature), by Gumbel noise that is each row's own."""
    streams = row_streams(genomes, seed)

    def choose(_: int, logits: Tensor) -> Tensor:
        size = logits.shape[1]
        waits = [torch.empty(size).exponential_(generator=stream) for stream in streams]
        return (logits / temperature - torch.stack(waits).log().to(logits.device)).argmax(dim=1)

    return choose


def load(checkpoint: Checkpoint, device: torch.device, *, precision: Precision = "float32") -> GPT2:
    """The language model in a checkpoint; `precision` is of all of it but the logits.

    Raises:
        ValueError: it cannot be made from its configuration, tokenizer and tensors.
    """
    config = {key: value for key, value in checkpoint.config.items() if key not in OWN_ENTRIES}
    model = build_lm(config, checkpoint.tensors)
    model.network.to(device, DTYPES[precision])  # type: ignore[arg-type] # transformers' own stub of it
    tokenizer = build_tokenizer(checkpoint.config.get("tokenizer", {}))
    return GPT2(model, tokenizer, read_writing(checkpoint.config))


def read_writing(config: Json) -> Writing:
    """How the captions of a configuration are written.

    Raises:
        ValueError: an entry is not of its kind.
    """
    end = config.get("end_of_text", config.get("eos_token_id"))
    ends = end if isinstance(end, list) else [] if end is None else [end]
    try:
        return Writing(
            ends=tuple(int(token) for token in ends),
            prefix_length=int(config.get("prefix_length", PREFIX_LENGTH)),
            prompt=str(config.get("prompt", PROMPT)),
            max_new_tokens=int(config.get("max_new_tokens", NEW_TOKENS)),
        )
    except TypeError as error:
        raise ValueError(f"how captions are written cannot be read: {error}") from error
