"""Models in several files, as transformers saves large ones: `model-00001-of-00003.safetensors`."""

import glob
import re
from pathlib import Path
from typing import Final

SHARD: Final = re.compile(r"(?P<name>.*)-[0-9]+-of-(?P<count>[0-9]+)\.safetensors")


def shards_of(path: Path) -> list[Path]:
    """The files beside `path` that hold the same model, itself among them, by name."""
    match = SHARD.fullmatch(path.name)
    if match is None:
        return [path]
    name, count = glob.escape(match["name"]), match["count"]
    return sorted(path.parent.glob(f"{name}-*-of-{count}.safetensors"))


def shard_count(path: Path) -> int:
    """How many files the model has, by the name of one of them."""
    match = SHARD.fullmatch(path.name)
    return int(match["count"]) if match else 1


def size_bytes(path: Path) -> int:
    """The size of all files of the model."""
    return sum(shard.stat().st_size for shard in shards_of(path))
