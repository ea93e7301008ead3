"""CLIP-GLaSS's `G.pth`, `Gs.pth` and `D.pth`, which its converter makes of NVIDIA's pickles.

Each is a dict {name, kwargs, state_dict}, a generator's with two more such dicts, `G_mapping` and
`G_synthesis`. The converter never copied the discriminator's last two layers, so a `D.pth` scores
by chance: it is imported, with a warning. It did not write the noise either; what CLIP-GLaSS drew
had fresh noise in each call.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from services.importing.networks import Facts, Imported, imported_discriminator, imported_generator
from services.importing.refusal import RefusedError
from services.importing.renaming import renamed
from services.importing.torch_files import is_torch_file, open_torch_file
from services.importing.values import Fields

WHAT: Final = "a G.pth or D.pth of CLIP-GLaSS"
LICENCE: Final = "NVIDIA Source Code License-NC, research or evaluation only"
RANDOM_HEAD: Final = (
    "the last two layers of a D.pth are random, because CLIP-GLaSS's converter never copied them: "
    "its scores mean nothing; import NVIDIA's own .pkl for a discriminator"
)
DERIVED: Final = r"filter|^upsample|^downsample|layer_psi"
LAYER: Final = (
    ("bias", "bias"),
    ("layer.weight", "noise_strength"),
    ("layer.layer.weight", "weight"),
    ("layer.layer.dense.layer.weight", "affine.weight"),
    ("layer.layer.dense.bias", "affine.bias"),
)
COLOURS: Final = (
    ("bias", "bias"),
    ("layer.weight", "weight"),
    ("layer.dense.layer.weight", "affine.weight"),
    ("layer.dense.bias", "affine.bias"),
)
PLAIN: Final = (("layer.weight", "weight"), ("bias", "bias"))


def recognises(path: Path) -> bool:
    """Whether it is a file of torch.save with a name, arguments and a state dict."""
    return is_torch_file(path) and {"name", "kwargs", "state_dict"} <= set(open_torch_file(path))


def read(path: Path, bar_rows: int) -> list[Imported]:
    """The one network in the file.

    Raises:
        OSError: the file cannot be read.
        RefusedError: it is damaged, refused, or holds another network.
    """
    network = open_torch_file(path)
    name = network["name"]
    if name == "Generator":
        return [_generator(network, bar_rows)]
    if name == "Discriminator":
        state = dict(network.fields("state_dict"))
        tensors = renamed(state, _discriminator_names(state), DERIVED)
        return [imported_discriminator(tensors, Facts(), bar_rows, (RANDOM_HEAD,))]
    raise RefusedError(f"it holds a '{name!s:.40}'; a Generator or a Discriminator was expected")


def _generator(network: Fields, bar_rows: int) -> Imported:
    mapping = dict(network.fields("G_mapping").fields("state_dict"))
    synthesis = dict(network.fields("G_synthesis").fields("state_dict"))
    tensors = renamed(
        dict(network.fields("state_dict")), [("dlatent_avg", "mapping.w_avg")], DERIVED
    )
    tensors.update(renamed(mapping, _mapping_names(mapping), DERIVED))
    tensors.update(renamed(synthesis, _synthesis_names(synthesis), DERIVED))
    return imported_generator(tensors, Facts(), bar_rows)


def _mapping_names(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for index in range(sum(name.startswith("main.") for name in state) // 2):
        yield f"main.{index}.layer.weight", f"mapping.fc{index}.weight"
        yield f"main.{index}.bias", f"mapping.fc{index}.bias"


def _synthesis_names(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "const", "synthesis.b4.const"
    for block in range(_blocks(state)):
        theirs, ours = f"conv_blocks.{block}", f"synthesis.b{4 << block}"
        layers = [("conv_block.0", "conv0"), ("conv_block.1", "conv1")]
        for layer, to in layers if block else [("conv_block.0", "conv1")]:
            yield from ((f"{theirs}.{layer}.{part}", f"{ours}.{to}.{own}") for part, own in LAYER)
        if f"{theirs}.projection.weight" in state:
            yield f"{theirs}.projection.weight", f"{ours}.skip.weight"
        if f"to_data_layers.{block}.bias" in state:
            yield from (
                (f"to_data_layers.{block}.{part}", f"{ours}.torgb.{own}") for part, own in COLOURS
            )


def _discriminator_names(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    last = _blocks(state) - 1
    for block in range(last):
        theirs, ours = f"conv_blocks.{block}", f"b{4 << last - block}"
        for layer in (0, 1):
            for part, own in PLAIN:
                yield f"{theirs}.conv_block.{layer}.{part}", f"{ours}.conv{layer}.{own}"
        if f"{theirs}.projection.weight" in state:
            yield f"{theirs}.projection.weight", f"{ours}.skip.weight"
    for block in range(last + 1):
        if f"from_data_layers.{block}.bias" in state:
            for part, own in PLAIN:
                yield f"from_data_layers.{block}.{part}", f"b{4 << last - block}.fromrgb.{own}"
    for theirs, ours in (
        (f"conv_blocks.{last}.1.conv_block.0", "b4.conv"),  # 0 is the minibatch statistics
        ("dense.0", "b4.fc"),
        ("dense.1", "b4.out"),
    ):
        yield from ((f"{theirs}.{part}", f"{ours}.{own}") for part, own in PLAIN)


def _blocks(state: dict[str, Any]) -> int:
    return len({name.split(".")[1] for name in state if name.startswith("conv_blocks.")})
