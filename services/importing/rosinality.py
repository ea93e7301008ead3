"""The `.pt` files of rosinality's stylegan2-pytorch.

A dict with `g_ema`, often `latent_avg`, and in training checkpoints `g` and `d`. Its names count
layers, not resolutions, and its convolution weights have one dimension more. NVIDIA's networks that
its converter wrote keep their numbers; it scales by the fan-in before demodulating, which cancels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from services.importing.networks import Facts, Imported, imported_discriminator, imported_generator
from services.importing.renaming import renamed
from services.importing.torch_files import is_torch_file, open_torch_file

WHAT: Final = "a checkpoint of rosinality's stylegan2-pytorch"
LICENCE: Final = (
    "converted networks of NVIDIA's: NVIDIA Source Code License-NC, research or evaluation only; "
    "others: ask whoever trained them"
)
SYNTHESIS: Final = (
    ("conv.weight", "weight"),
    ("conv.modulation.weight", "affine.weight"),
    ("conv.modulation.bias", "affine.bias"),
    ("noise.weight", "noise_strength"),
    ("activate.bias", "bias"),
)
COLOURS: Final = (*SYNTHESIS[:3], ("bias", "bias"))


def recognises(path: Path) -> bool:
    """Whether it is a file of torch.save with `g_ema`."""
    return is_torch_file(path) and "g_ema" in open_torch_file(path)


def read(path: Path, bar_rows: int) -> list[Imported]:
    """The averaged generator, and the discriminator where there is one.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, refused, or holds another network.
    """
    networks = open_torch_file(path)
    state = dict(networks.fields("g_ema"))
    tensors = renamed(state, _generator_names(state), "kernel")
    if isinstance(networks.get("latent_avg"), Tensor):
        tensors["mapping.w_avg"] = networks["latent_avg"].flatten()
    found = [imported_generator(tensors, Facts(), bar_rows)]
    if "d" in networks:
        state = dict(networks.fields("d"))
        tensors = renamed(state, _discriminator_names(state), "kernel")
        found.append(imported_discriminator(tensors, Facts(), bar_rows))
    return found


def _generator_names(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Theirs and ours, for as many layers as there are."""
    yield "input.input", "synthesis.b4.const"
    for index in range(sum(name.startswith("style.") for name in state) // 2):
        yield f"style.{index + 1}.weight", f"mapping.fc{index}.weight"
        yield f"style.{index + 1}.bias", f"mapping.fc{index}.bias"
    layers = [("conv1", "synthesis.b4.conv1"), ("to_rgb1", "synthesis.b4.torgb")]
    for block in range(sum(name.endswith("conv.weight") for name in state) // 3):
        ours = f"synthesis.b{8 << block}"
        layers.append((f"convs.{2 * block}", f"{ours}.conv0"))
        layers.append((f"convs.{2 * block + 1}", f"{ours}.conv1"))
        layers.append((f"to_rgbs.{block}", f"{ours}.torgb"))
    for theirs, ours in layers:
        parts = COLOURS if ours.endswith("torgb") else SYNTHESIS
        yield from ((f"{theirs}.{part}", f"{ours}.{to}") for part, to in parts)
    noisy = [ours for _, ours in layers if not ours.endswith("torgb")]
    for index, ours in enumerate(noisy):
        if f"noises.noise_{index}" in state:
            yield f"noises.noise_{index}", f"{ours}.noise_const"


def _discriminator_names(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Theirs and ours, for as many blocks as there are."""
    blocks = sum(name.endswith("conv1.0.weight") for name in state)
    yield "convs.0.0.weight", f"b{4 << blocks}.fromrgb.weight"
    yield "convs.0.1.bias", f"b{4 << blocks}.fromrgb.bias"
    for index in range(1, blocks + 1):
        theirs, ours = f"convs.{index}", f"b{8 << blocks - index}"
        yield f"{theirs}.conv1.0.weight", f"{ours}.conv0.weight"
        yield f"{theirs}.conv1.1.bias", f"{ours}.conv0.bias"
        yield f"{theirs}.conv2.1.weight", f"{ours}.conv1.weight"
        yield f"{theirs}.conv2.2.bias", f"{ours}.conv1.bias"
        yield f"{theirs}.skip.1.weight", f"{ours}.skip.weight"
    yield "final_conv.0.weight", "b4.conv.weight"
    yield "final_conv.1.bias", "b4.conv.bias"
    for index, ours in enumerate(("fc", "out")):
        yield f"final_linear.{index}.weight", f"b4.{ours}.weight"
        yield f"final_linear.{index}.bias", f"b4.{ours}.bias"
