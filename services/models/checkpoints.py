"""Checkpoints: safetensors files that say what they hold.

The header's metadata has four entries: `format` ("glasshouse-1"), `architecture` (a word such as
"stylegan2-generator"), `config` (JSON object: what the architecture is built from) and `card`
(JSON object: how it was trained, figures, licence). Nothing in a checkpoint is ever executed.

Promises: writing is atomic (a reader sees the old file or the new one); tensors may be stored as
fp16 and are loaded as float32 (integers stay as they are); the digest is of the file's bytes. A
damaged or foreign file raises ValueError in one sentence that says what was wanted and what was
found.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

FORMAT: Final = "glasshouse-1"
HEADER_LENGTH_BYTES: Final = 8
HEADER_LIMIT_BYTES: Final = 16 << 20

Json = dict[str, Any]  # JSON objects: their readers check the entries they need


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file held."""

    architecture: str
    config: Json
    tensors: dict[str, Tensor]
    """Name -> tensor; floating ones are float32."""
    card: Json
    digest: str
    """"blake2b:" and 32 hex digits, of the file's bytes."""

    def expect(self, architecture: str) -> "Checkpoint":
        """Itself; raises ValueError if it holds another architecture."""
        if self.architecture != architecture:
            raise ValueError(f"wanted architecture {architecture}, found {self.architecture}")
        return self


def save_checkpoint(
    path: Path | str,
    architecture: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    card: Mapping[str, Any],
    *,
    half: bool = False,
) -> str:
    """Write a checkpoint in one step and return its digest; `half` stores floats as fp16."""
    metadata = {
        "format": FORMAT,
        "architecture": architecture,
        "config": json.dumps(dict(config), sort_keys=True),
        "card": json.dumps(dict(card), sort_keys=True),
    }
    kept = {name: _stored(tensor, half=half) for name, tensor in tensors.items()}
    content = save(kept, metadata=metadata)
    _write_atomically(Path(path), content)
    return digest_of(content)


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no checkpoint of ours, or damaged.
    """
    content = Path(path).read_bytes()
    wanted = f"{path}: wanted a Glasshouse checkpoint (safetensors with format {FORMAT})"
    metadata = _metadata(content, wanted)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{wanted}, found format {metadata.get('format', 'missing')!r}")
    try:
        tensors = {name: _loaded(tensor) for name, tensor in load(content).items()}
    except SafetensorError as error:
        raise ValueError(f"{wanted}, found damaged tensors ({error})") from error
    return Checkpoint(
        architecture=str(metadata.get("architecture", "")),
        config=_json_object(metadata, "config", wanted),
        tensors=tensors,
        card=_json_object(metadata, "card", wanted),
        digest=digest_of(content),
    )


def digest_of(content: bytes) -> str:
    """The digest by which a checkpoint is known: "blake2b:" and 32 hex digits."""
    return "blake2b:" + hashlib.blake2b(content, digest_size=16).hexdigest()


def fit_tensors(
    network: nn.Module, tensors: Mapping[str, Tensor], what: str, *, assign: bool = False
) -> None:
    """Load tensors into a network.

    Args:
        network: of which every parameter and buffer must be there, and nothing else.
        tensors: name -> tensor.
        what: the network is, as it stands in a message.
        assign: whether the network takes the tensors themselves, and not a copy.

    Raises:
        ValueError: a name or a shape is another; says how many are, and one of them.
    """
    try:
        network.load_state_dict(tensors, assign=assign)
    except RuntimeError as error:
        if not (told := _misfits(network.state_dict(), tensors)):
            raise
        raise ValueError(f"its tensors are not those of {what}: {told}") from error


def _misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    missing, unknown = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    other = {n for n in wanted.keys() & found.keys() if wanted[n].shape != found[n].shape}
    told = [
        f"{len(names)} {how}, such as {min(names):.100}"
        for names, how in ((missing, "missing"), (unknown, "unknown"))
        if names
    ]
    if other:
        name = min(other)
        shapes = f"{tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        told.append(f"{len(other)} of another shape, such as {name} of {shapes}")
    return ", ".join(told)


def _stored(tensor: Tensor, *, half: bool) -> Tensor:
    kept = tensor.detach().cpu().contiguous()
    return kept.half() if half and kept.is_floating_point() else kept


def _loaded(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor


def _metadata(content: bytes, wanted: str) -> dict[str, str]:
    """The header's metadata; checks all sizes before it reads."""
    length = int.from_bytes(content[:HEADER_LENGTH_BYTES], "little")
    end = HEADER_LENGTH_BYTES + length
    if len(content) < HEADER_LENGTH_BYTES or length > HEADER_LIMIT_BYTES or end > len(content):
        raise ValueError(f"{wanted}, found {len(content)} bytes without a safetensors header")
    try:
        header = json.loads(content[HEADER_LENGTH_BYTES:end])
    except ValueError as error:
        raise ValueError(f"{wanted}, found a header that is not JSON") from error
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    return metadata if isinstance(metadata, dict) else {}


def _json_object(metadata: Mapping[str, str], entry: str, wanted: str) -> Json:
    try:
        value = json.loads(metadata.get(entry, ""))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{wanted}, found no JSON in its {entry!r} entry") from error
    if isinstance(value, dict):
        return value
    raise ValueError(f"{wanted}, found {type(value).__name__} in its {entry!r} entry")


def _write_atomically(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
