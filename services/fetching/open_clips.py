"""CLIPs by open_clip's own names: which there are, where their files are, how they become ours.

A name is MODEL:TAG, such as `ViT-B-32-256:datacomp_s34b_b86k`. open_clip's list says where the
weights are and how pictures are made ready; the checkpoint keeps both, so that services need no
network.
Weights come as safetensors, or as a state dict that torch saved, which is looked at by our own
reader first (a compressed archive is none of torch's) and then read with `weights_only`.
"""

import json
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from protocol.errors import BadRequestError, WeightsError
from services.catalogue import Model, open_clip_model
from services.fetching.hub import fetch, fetch_first
from services.importing.torch_files import is_torch_file, open_torch_file
from services.models.checkpoints import save_checkpoint
from services.models.published_clip import ARCHITECTURE, TOKENIZER_FILES, build_network
from services.models.torchvision_ops import ensure_torchvision

ensure_torchvision()
from open_clip import list_pretrained  # noqa: E402 - imports torchvision, which may need its cure
from open_clip.factory import get_model_config, load_checkpoint  # noqa: E402 - the same
from open_clip.pretrained import get_pretrained_cfg  # noqa: E402 - the same
from open_clip.transform import PreprocessCfg, merge_preprocess_dict  # noqa: E402 - the same

LOCAL_CONFIG: Final = "open_clip_config.json"
LARGEST_FILE_BYTES: Final = 20 << 30
WEIGHTS: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def open_clip_models() -> list[Model]:
    """A row for each of open_clip's published weights, in its order."""
    return [open_clip_model(f"{model}:{tag}") for model, tag in list_pretrained()]


def fetch_clip(name: str, folder: Path) -> Path:
    """The weights of MODEL:TAG in `folder`, with its tokenizer beside them if it has one.

    Raises:
        BadRequestError: open_clip knows no such name.
        WeightsError: they cannot be had.
    """
    model, _, tag = name.partition(":")
    published = get_pretrained_cfg(model, tag)
    if not published.get("hf_hub"):
        raise BadRequestError(
            f"open_clip knows no '{name}' on the hub; see its names: orchestrator models --all"
        )
    repository, _, file = published["hf_hub"].rpartition("/")
    safe = (f"{Path(file).stem}.safetensors", file) if file else WEIGHTS
    tokenizer = get_model_config(model)["text_cfg"].get("hf_tokenizer_name")
    if tokenizer:
        fetch(tokenizer, TOKENIZER_FILES, folder)
    return fetch_first(repository, safe, folder)


def import_clip(source: Path, folder: Path, name: str, open_clip: str) -> Path:
    """Convert a CLIP's weights to a checkpoint `NAME.safetensors` in `folder`.

    Args:
        source: weights as open_clip loads them: safetensors, or a state dict that torch saved.
        folder: where it goes.
        name: what it is called.
        open_clip: MODEL or MODEL:TAG; `open_clip_config.json` for what is said beside the file.

    Raises:
        WeightsError: the file is no weights of that model.
    """
    _check_kind(source)
    config = _config(source, open_clip)
    network = build_network(config)
    try:
        load_checkpoint(network, str(source), weights_only=True)
    except Exception as error:  # whatever a wrong file makes open_clip say
        said = "it is damaged, or holds more than tensors"  # in place of torch's advice to run it
        if not isinstance(error, UnpicklingError):
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{source} does not hold the weights of {open_clip}: {said}") from error
    tensors = dict(network.state_dict())
    for file in TOKENIZER_FILES:
        if (path := source.with_name(file)).is_file():
            tensors[file] = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    place = folder / f"{name}.safetensors"
    save_checkpoint(place, ARCHITECTURE, config, tensors, {"name": name, "source": open_clip})
    return place


def _check_kind(source: Path) -> None:
    """Refuse what is no weights at all, before a network is built for it.

    Raises:
        WeightsError: says what it is not.
    """
    if source.stat().st_size > LARGEST_FILE_BYTES:
        raise WeightsError(
            f"{source} has {source.stat().st_size / 1e9:.1f} GB, but the largest CLIP that is read "
            f"has {LARGEST_FILE_BYTES / 1e9:.1f} GB"
        )
    try:
        if is_torch_file(source):
            open_torch_file(source)
            return
        with safe_open(source, "pt"):
            return
    except ValueError as error:
        raise WeightsError(f"{source} cannot be imported: {error}") from error
    except SafetensorError as error:
        raise WeightsError(
            f"{source} holds neither whole safetensors nor a state dict that torch saved ({error})"
        ) from error


def _config(source: Path, open_clip: str) -> dict[str, Any]:
    """What the network and its preprocessing are made from."""
    if open_clip != LOCAL_CONFIG:
        return published_config(open_clip)
    found = json.loads(source.with_name(LOCAL_CONFIG).read_text())
    return _checked(open_clip, found["model_cfg"], found.get("preprocess_cfg", {}))


def published_config(open_clip: str) -> dict[str, Any]:
    """A checkpoint's config for open_clip's MODEL or MODEL:TAG.

    Raises:
        WeightsError: open_clip knows none, or its texts are read by a network that is not its own.
    """
    model, _, tag = open_clip.partition(":")
    model_cfg, published = get_model_config(model), get_pretrained_cfg(model, tag)
    if model_cfg is None:
        raise WeightsError(f"open_clip knows no model '{model}'; give another --open-clip")
    return _checked(open_clip, model_cfg, published)


def _checked(
    open_clip: str, model_cfg: dict[str, Any], published: dict[str, Any]
) -> dict[str, Any]:
    if "hf_model_name" in model_cfg["text_cfg"]:
        raise WeightsError(
            f"{open_clip} reads texts with a network of transformers' that is built from a hub "
            "repository; choose a CLIP whose networks are open_clip's own"
        )
    preprocess = merge_preprocess_dict(asdict(PreprocessCfg()), published)
    if published.get("quick_gelu"):  # as trained, also by the name without it (ViT-B-32:openai)
        model_cfg = {**model_cfg, "quick_gelu": True}
    return {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
