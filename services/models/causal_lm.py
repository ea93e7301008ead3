"""Causal language models of transformers (GPT-2 and its like), continued with a key-value cache.

Promises: nothing but tensors, a configuration and a tokenizer's tables is read, no code of a file
runs, nothing is fetched; all rows of a batch have one length, so there is no padding, and every
step has the same shapes; a row's tokens depend on its own alone. This is the only module here that
imports transformers.

Source of the network that it was made for: Radford et al. 2019 (GPT-2).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor

from services.models.torchvision_ops import ensure_torchvision

ensure_torchvision()
from transformers import (  # noqa: E402 - imports torchvision, which may need its cure first
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    PreTrainedModel,
    StaticCache,
)
from transformers.utils import logging  # noqa: E402 - the same

logging.set_verbosity_error()  # type: ignore[no-untyped-call]
logging.disable_progress_bar()  # type: ignore[no-untyped-call]

UNSAFE: Final = {"auto_map", "quantization_config", "attn_implementation", "_attn_implementation"}
"""Entries by which a configuration can ask transformers to fetch or run something."""

Choose = Callable[[int, Tensor], Tensor]
"""Step and logits (n, vocabulary) -> (n,) int64, the next token of each row."""


@dataclass(frozen=True)
class CausalLM:
    """A network that is ready to continue rows of tokens."""

    network: PreTrainedModel

    @property
    def vocabulary(self) -> int:
        """How many tokens it can choose from."""
        return int(self.network.config.vocab_size)

    @property
    def most_tokens(self) -> int:
        """The longest row that it was made for."""
        return int(self.network.config.max_position_embeddings)

    def continued(self, tokens: Tensor, steps: int, ends: Tensor, choose: Choose) -> Tensor:
        """What follows each row.

        Args:
            tokens: (n, start) int64.
            steps: tokens to add to each row, at most.
            ends: (k,) int64, tokens that end a text; when every row has one, no more steps follow.
            choose: picks the next token.

        Returns:
            (n, steps or fewer) int64; what stands behind an end means nothing.
        """
        rows, start = tokens.shape
        cache = StaticCache(config=self.network.config, max_cache_len=start + steps)
        ended = torch.zeros(rows, dtype=torch.bool, device=tokens.device)
        added: list[Tensor] = []
        for step in range(steps):
            found = self.network(
                input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1
            )
            chosen = choose(step, found.logits[:, -1].float())
            added.append(chosen)
            ended |= torch.isin(chosen, ends)
            if ended.all():
                break
            tokens = chosen[:, None]
        return torch.stack(added, dim=1)


def build_lm(config: Mapping[str, Any], tensors: dict[str, Tensor]) -> CausalLM:
    """A network from transformers' configuration and tensors.

    Raises:
        ValueError: transformers has no such causal language model, or the tensors do not fit it.
    """
    entries = {key: value for key, value in config.items() if key not in UNSAFE}
    kind = str(entries.pop("model_type", "gpt2"))
    try:
        made = AutoConfig.for_model(kind, **entries)
        network: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(made)]
        loaded, found = network.from_pretrained(
            None,
            config=made,
            state_dict=tensors,
            dtype=torch.float32,
            attn_implementation="sdpa",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        why = str(error).strip().splitlines()[:1]
        raise ValueError(
            f"no causal language model '{kind}' can be made: {''.join(why)}"
        ) from error
    if not hasattr(loaded.config, "max_position_embeddings"):
        raise ValueError(f"a '{kind}' does not say how many tokens it was made for")
    missing = sorted(found["missing_keys"])
    if missing:
        raise ValueError(f"{len(missing)} tensors of the {kind} are missing, such as {missing[0]}")
    if misshapen := sorted(name for name, *_ in found["mismatched_keys"]):
        many = f"{len(misshapen)} tensors of the {kind}"
        raise ValueError(f"{many} have shapes other than it says, such as {misshapen[0]}")
    return CausalLM(cast("PreTrainedModel", loaded.eval().requires_grad_(requires_grad=False)))


def build_tokenizer(parts: Mapping[str, Any]) -> Tokenizer:
    """A tokenizer from what a `tokenizer.json` holds, or from GPT-2's vocabulary and merges.

    Raises:
        ValueError: they are neither.
    """
    try:
        if "model" in parts:
            made = Tokenizer.from_str(json.dumps(dict(parts)))
            made.no_padding()  # a file may say how its trainer padded and cut rows
            made.no_truncation()
            return made
        merges = [tuple(merge.split(" ")) for merge in parts["merges"]]
        made = Tokenizer(BPE(dict(parts["vocabulary"]), merges))
        made.pre_tokenizer = ByteLevel(add_prefix_space=False)
        made.decoder = ByteLevelDecoder()
    except Exception as error:
        raise ValueError(f"the tokenizer cannot be read: {error}") from error
    return made
