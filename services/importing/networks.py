"""From the tensors of a foreign file, under NVIDIA's names, to what our checkpoints hold.

The configuration is read off the tensors themselves, because what files say of it is incomplete
(defaults differ between NVIDIA's releases); only what leaves no trace in a tensor's shape comes
from the file's words, as `Facts`. Every network is put together once, so that a missing or
misshapen tensor is found here and not in a service.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from services.generator.stylegan2_generator import fresh_w
from services.importing.refusal import RefusedError
from services.models.checkpoints import fit_tensors
from services.models.stylegan2 import Generator, GeneratorConfig
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig
from services.models.stylegan2_layers import Architecture, resample_kernel

NOISE_SEED = 0


@dataclass(frozen=True)
class Facts:
    """What a file says of a network that its tensors do not show.

    Attributes:
        conv_clamp: bound on activations.
        mapping_lr_multiplier: learning-rate gain of the mapping network.
        truncation_cutoff: how many of the first ws are truncated.
        activation: of every layer; only "lrelu" can be drawn with.
    """

    conv_clamp: float | None = None
    mapping_lr_multiplier: float = 0.01
    truncation_cutoff: int | None = None
    activation: str = "lrelu"


@dataclass(frozen=True)
class Imported:
    """One network, ready to be saved.

    Attributes:
        role: "generator" or "discriminator".
        architecture: of the checkpoint, such as "stylegan2-generator".
        config: of the checkpoint.
        tensors: name -> float32 tensor.
        notes: sentences about it that a user should know.
        card: what the file said of itself, where it was one of ours.
    """

    role: str
    architecture: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    card: Mapping[str, Any] = field(default_factory=dict)


def imported_generator(
    tensors: Mapping[str, Tensor], facts: Facts, bar_rows: int = 0, notes: tuple[str, ...] = ()
) -> Imported:
    """A StyleGAN2 generator; a missing average w and missing noise are added.

    Raises:
        RefusedError: a tensor is missing, too much, or has another shape.
    """
    own = _checked(tensors, facts)
    config = _generator_config(own, facts, bar_rows)
    averaged = "mapping.w_avg" in own
    own.setdefault("mapping.w_avg", torch.zeros(config.w_dim))
    with torch.device("meta"):
        generator = Generator(config)
    _add_filters(own, generator)
    notes += _add_noise(own, generator)
    _load(generator, own, "generator")
    if not averaged:
        own["mapping.w_avg"] = fresh_w(generator, torch.device("cpu")).mean(0)
        notes += ("its average w was not in the file and is that of 10,000 z",)
    return Imported("generator", "stylegan2-generator", dataclasses.asdict(config), own, notes)


def imported_discriminator(
    tensors: Mapping[str, Tensor], facts: Facts, bar_rows: int = 0, notes: tuple[str, ...] = ()
) -> Imported:
    """A StyleGAN2 discriminator.

    Raises:
        RefusedError: a tensor is missing, too much, or has another shape.
    """
    own = _checked(tensors, facts)
    config = _discriminator_config(own, facts, bar_rows)
    with torch.device("meta"):
        discriminator = Discriminator(config)
    _add_filters(own, discriminator)
    _load(discriminator, own, "discriminator")
    return Imported(
        "discriminator", "stylegan2-discriminator", dataclasses.asdict(config), own, notes
    )


def _checked(tensors: Mapping[str, Tensor], facts: Facts) -> dict[str, Tensor]:
    """The tensors as float32, resampling filters left out after a look at them."""
    if facts.activation != "lrelu":
        raise RefusedError(f"its activation is '{facts.activation}'; only lrelu can be computed")
    own: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise RefusedError(f"its tensor {name} holds something else than finite numbers")
        if not name.endswith("resample_filter"):
            own[name] = tensor.float()
        elif tensor.shape != (4, 4) or not torch.allclose(tensor.float(), resample_kernel()):
            raise RefusedError(f"its {name} is another than [1, 3, 3, 1], which cannot be computed")
    return own


def _generator_config(own: Mapping[str, Tensor], facts: Facts, bar_rows: int) -> GeneratorConfig:
    resolutions = _resolutions(own, r"synthesis\.b(\d+)\.conv1\.weight", 4)
    layers = _count(own, "mapping.fc{}.weight")
    if not layers:
        raise RefusedError("it has no mapping network as StyleGAN2's")
    w_dim, _ = _matrix(own, f"mapping.fc{layers - 1}.weight")
    _, inputs = _matrix(own, "mapping.fc0.weight")
    c_dim = _matrix(own, "mapping.embed.weight")[1] if "mapping.embed.weight" in own else 0
    return GeneratorConfig(
        resolution=resolutions[-1],
        z_dim=inputs - (w_dim if c_dim else 0),
        w_dim=w_dim,
        mapping_layers=layers,
        mapping_lr_multiplier=facts.mapping_lr_multiplier,
        c_dim=c_dim,
        architecture=_architecture(own, "synthesis.", "torgb"),
        widths=tuple(len(own[f"synthesis.b{r}.conv1.weight"]) for r in resolutions),
        conv_clamp=facts.conv_clamp,
        truncation_cutoff=facts.truncation_cutoff,
        bar_rows=bar_rows,
    )


def _discriminator_config(
    own: Mapping[str, Tensor], facts: Facts, bar_rows: int
) -> DiscriminatorConfig:
    resolutions = _resolutions(own, r"b(\d+)\.conv0\.weight", 8)
    if "b4.conv.weight" not in own:
        raise RefusedError("its tensor b4.conv.weight is missing")
    channels, inputs = own["b4.conv.weight"].shape[:2]
    c_dim = _matrix(own, "mapping.embed.weight")[1] if "mapping.embed.weight" in own else 0
    return DiscriminatorConfig(
        resolution=resolutions[-1],
        c_dim=c_dim,
        architecture=_architecture(own, "", "fromrgb"),
        widths=(channels, *(len(own[f"b{r}.conv0.weight"]) for r in resolutions)),
        conv_clamp=facts.conv_clamp,
        cmap_dim=_matrix(own, "b4.out.weight")[0],
        mapping_layers=_count(own, "mapping.fc{}.weight"),
        mapping_lr_multiplier=facts.mapping_lr_multiplier,
        minibatch_features=inputs - channels,
        bar_rows=bar_rows,
    )


def _resolutions(own: Mapping[str, Tensor], pattern: str, lowest: int) -> list[int]:
    """`lowest`, its double, ... as far as there are tensors of that name with four dimensions."""
    found = {
        int(match[1])
        for name, tensor in own.items()
        if (match := re.fullmatch(pattern, name)) and tensor.ndim == 4
    }
    wanted = [lowest << power for power in range(len(found))]
    if not found or set(wanted) != found or wanted[-1] < 8:
        raise RefusedError("its blocks are not those of a StyleGAN2 network")
    return wanted


def _count(own: Mapping[str, Tensor], name: str) -> int:
    return next(index for index in range(len(own) + 1) if name.format(index) not in own)


def _matrix(own: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    """The shape of a matrix that must be there."""
    if name not in own or own[name].ndim != 2:
        raise RefusedError(f"its tensor {name} is missing or no matrix")
    rows, columns = own[name].shape
    return rows, columns


def _architecture(own: Mapping[str, Tensor], prefix: str, colours: str) -> Architecture:
    if f"{prefix}b8.skip.weight" in own:
        return "resnet"
    return "skip" if f"{prefix}b4.{colours}.weight" in own else "orig"


def _add_filters(own: dict[str, Tensor], network: torch.nn.Module) -> None:
    """The resampling filters, which are all the same."""
    for name, _ in network.named_buffers():
        if name.endswith("resample_filter"):
            own[name] = resample_kernel()


def _add_noise(own: dict[str, Tensor], generator: Generator) -> tuple[str, ...]:
    """Add the noise that a file lacks; the sentence that says so."""
    seeded = torch.Generator().manual_seed(NOISE_SEED)
    missing = [
        (name, tensor.shape)
        for name, tensor in generator.named_buffers()
        if name.endswith("noise_const") and name not in own
    ]
    for name, shape in missing:
        own[name] = torch.randn(shape, generator=seeded)
        own.setdefault(name.replace("noise_const", "noise_strength"), torch.zeros(()))
    return ("its noise was not in the file and is drawn with seed 0",) if missing else ()


def _load(network: torch.nn.Module, own: Mapping[str, Tensor], role: str) -> None:
    try:
        fit_tensors(network, own, f"a StyleGAN2 {role}", assign=True)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    network.eval().requires_grad_(requires_grad=False)
