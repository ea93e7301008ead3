"""Causal language models as transformers saves them: safetensors with JSON files beside them.

`config.json`, and `tokenizer.json` or GPT-2's `vocab.json` and `merges.txt`; of a model in shards,
any shard. No code that such a folder may hold is looked at.
"""

import json
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from services.importing.biggan import read_object
from services.importing.networks import Imported
from services.importing.refusal import RefusedError
from services.models.shards import shard_count, shards_of

WHAT: Final = "a causal language model of transformers (safetensors beside config.json)"
LICENCE: Final = "as its publisher says"
MOST_TOKENIZER_BYTES: Final = 12 << 20
"""What fits into a checkpoint's header, with the rest of it."""
REFUSED: Final = ("quantization_config", "auto_map")


def recognises(path: Path) -> bool:
    """Whether it is safetensors beside a `config.json` that names a kind of model."""
    config = path.with_name("config.json")
    if path.suffix != ".safetensors" or not config.is_file():
        return False
    return "model_type" in read_object(config)


def read(path: Path, bar_rows: int) -> list[Imported]:
    """The model, its configuration and its tokenizer.

    Raises:
        OSError: a file cannot be read.
        RefusedError: one is damaged, missing, or of a kind that is not read.
    """
    if bar_rows:
        raise RefusedError("a language model draws no pictures that could have bars")
    config: dict[str, Any] = read_object(path.with_name("config.json"))
    for entry in REFUSED:
        if config.get(entry):
            raise RefusedError(f"its configuration has {entry}, which is not read")
    config["tokenizer"] = _tokenizer(path.parent)
    return [Imported("generator", "gpt2-generator", config, _tensors(path))]


def _tensors(path: Path) -> dict[str, Tensor]:
    shards, count = shards_of(path), shard_count(path)
    if len(shards) != count:
        raise RefusedError(f"only {len(shards)} of its {count} shards lie beside it")
    found: dict[str, Tensor] = {}
    for shard in shards:
        try:
            found |= load_file(shard)
        except SafetensorError as error:
            raise RefusedError(f"{shard.name} is damaged ({error})") from error
    return found


def _tokenizer(folder: Path) -> dict[str, Any]:
    """What `tokenizer.json` holds, or GPT-2's vocabulary and merges."""
    whole, merges = folder / "tokenizer.json", folder / "merges.txt"
    path = whole if whole.is_file() else folder / "vocab.json"
    if not path.is_file() or (path != whole and not merges.is_file()):
        raise RefusedError(
            "no tokenizer lies beside it: tokenizer.json, or vocab.json and merges.txt"
        )
    if path.stat().st_size > MOST_TOKENIZER_BYTES:
        raise RefusedError(f"its {path.name} has more than {MOST_TOKENIZER_BYTES >> 20} MiB")
    try:
        found = json.loads(path.read_bytes())
        if path == whole:
            return dict(found)
        lines = merges.read_text(encoding="utf-8").splitlines()
        pairs = [line for line in lines if line and not line.startswith("#version")]
        return {"vocabulary": dict(found), "merges": pairs}
    except (ValueError, TypeError) as error:
        raise RefusedError(f"its {path.name} cannot be read") from error
