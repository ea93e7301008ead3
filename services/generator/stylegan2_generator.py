"""StyleGAN2 generators (Karras et al. 2020, arXiv 1912.04958).

Two latent spaces: `z`, standard normal as trained, followed by the class where there are any, and
`w`, the mapping network's output whitened gene by gene, q = (w - w_avg) / w_std, in which the
search works with steps of the same size everywhere. A checkpoint may hold `w_std` and then w_avg is
the network's own; otherwise both are measured here, from 10,000 seeded z.

The noise is the stored one (`const`) unless told: `random` is each picture's own, drawn from its
genome, `none` is none. In all three the same genome is always the same picture.

Black bars above and below (LSUN car's pictures are 384x512 within 512x512) are left out: CLIP would
spend a quarter of its view on them, and nobody wants them in a picture. The discriminator puts
them back.
"""

from dataclasses import replace
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional

from protocol.errors import BadRequestError
from protocol.latent import LatentSpace, Segment
from services.models.checkpoints import Checkpoint
from services.models.streams import row_streams
from services.models.stylegan2 import Generator, GeneratorConfig, NoiseMode
from services.models.stylegan2_layers import FLOAT32, Execution, execution_of
from services.options import ConvolutionKind, Precision

GENE_BOUND = 10.0  # CLIP-GLaSS's box for z; no search step comes near it
STATISTICS_SEED = 0
STATISTICS_ROWS = 10_000
W_STD = "w_std"


class StyleGAN2:
    """A StyleGAN2 generator behind the generator role."""

    def __init__(
        self,
        generator: Generator,
        device: torch.device,
        w_std: Tensor | None = None,
        execution: Execution = FLOAT32,
        *,
        noise: NoiseMode = "const",
        fixed_class: int | None = None,
    ) -> None:
        """`w_std` is measured if not given; a `fixed_class` is not searched for."""
        self._noise = noise
        self._class = fixed_class
        self._generator = generator.eval().requires_grad_(requires_grad=False).to(device)
        self._generator.synthesis.execution = execution
        config = generator.config
        self._bar = config.bar_rows
        self.height, self.width = config.resolution - 2 * config.bar_rows, config.resolution
        free = config.c_dim > 1 and fixed_class is None
        classes = [_classes(config.c_dim)] if free else []
        self.spaces = (
            LatentSpace("z", (_gaussian("z", config.z_dim), *classes)),
            LatentSpace("w", (_gaussian("q", config.w_dim),)),
        )
        if w_std is None:
            self._w_avg, self._w_std = statistics(generator, device, fixed_class)
        else:
            self._w_avg, self._w_std = generator.mapping.w_avg, w_std.to(device)

    def draw(self, space: str, genomes: Tensor, truncation_psi: float) -> Tensor:
        """(n, size) float32 -> (n, 3, height, width) float32."""
        mapping = self._generator.mapping
        if space == "z":
            z, labels = split_classes(genomes, self._generator.config, self._class)
            w = mapping(z, truncation_psi, labels)
        else:
            truncated = self._w_avg + truncation_psi * genomes * self._w_std
            w = mapping.layered(truncated, self._w_avg + genomes * self._w_std)
        noise = row_streams(genomes) if self._noise == "random" else self._noise
        pictures: Tensor = self._generator.synthesis(w, noise)
        return pictures[:, :, self._bar : self._bar + self.height]


def split_classes(
    genomes: Tensor, config: GeneratorConfig, fixed_class: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """(n, z_dim or z_dim + 1) -> z, (n, z_dim), and one-hot classes, (n, c_dim) if there are any.

    The last gene is the class's number, unless that is fixed or there is but one.
    """
    if not config.c_dim:
        return genomes, None
    z, number = genomes[:, : config.z_dim], genomes[:, config.z_dim :].long().clamp(min=0)
    if config.c_dim == 1 or fixed_class is not None:
        number = number.new_full((len(genomes), 1), fixed_class or 0)
    number = number.clamp(max=config.c_dim - 1).squeeze(1)
    return z, functional.one_hot(number, config.c_dim).to(z.dtype)


def statistics(
    generator: Generator, device: torch.device, fixed_class: int | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of w over seeded z and classes, each (w_dim,) float32."""
    config = generator.config
    seeded = torch.Generator().manual_seed(STATISTICS_SEED)
    genomes = torch.randn(STATISTICS_ROWS, config.z_dim, generator=seeded)
    if config.c_dim > 1 and fixed_class is None:
        classes = torch.randint(config.c_dim, (STATISTICS_ROWS, 1), generator=seeded)
        genomes = torch.cat([genomes, classes.float()], dim=1)
    z, labels = split_classes(genomes.to(device), config, fixed_class)
    with torch.no_grad():  # not inference mode: drawing is differentiated by genes
        w = generator.mapping(z, labels=labels)
    return w.mean(0), w.std(0)


def load(
    checkpoint: Checkpoint,
    device: torch.device,
    *,
    precision: Precision = "float32",
    noise: NoiseMode = "const",
    class_: Annotated[int, Meta(ge=0)] | None = None,
    truncation_cutoff: Annotated[int, Meta(ge=0)] | None = None,
    convolution: ConvolutionKind = "direct",
) -> StyleGAN2:
    """The generator in a checkpoint.

    Args:
        checkpoint: what its file held.
        device: where to draw.
        precision: of the four highest resolutions.
        noise: see the module.
        class_: of a network with classes, the one to draw; searched for if None.
        truncation_cutoff: how many of the first ws are truncated; as the file says if None.
        convolution: of those in float32.

    Raises:
        BadRequestError: it has no such class, or not as many ws.
        ValueError: its configuration or tensors are not those of a StyleGAN2 generator.
    """
    tensors = dict(checkpoint.tensors)
    w_std = tensors.pop(W_STD, None)
    try:
        config = GeneratorConfig(**checkpoint.config)
        if truncation_cutoff is not None:
            config = replace(config, truncation_cutoff=truncation_cutoff)
        generator = Generator(config)
        generator.load_state_dict(tensors)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"the tensors are not those of a StyleGAN2 generator: {error}") from error
    _check(config, class_)
    return StyleGAN2(
        generator,
        device,
        None if config.c_dim and class_ is not None else w_std,
        execution_of(precision, convolution),
        noise=noise,
        fixed_class=class_,
    )


def _check(config: GeneratorConfig, fixed_class: int | None) -> None:
    if fixed_class is not None and fixed_class >= config.c_dim:
        known = f"its classes are 0 to {config.c_dim - 1}" if config.c_dim else "it has no classes"
        raise BadRequestError(f"this generator has no class {fixed_class}; {known}")
    cutoff = config.truncation_cutoff
    if cutoff is not None and cutoff > config.num_ws:
        raise BadRequestError(
            f"this generator has {config.num_ws} ws, so truncation cannot end after {cutoff}"
        )


def _gaussian(name: str, size: int) -> Segment:
    return Segment(name, "real", size, -GENE_BOUND, GENE_BOUND, "normal")


def _classes(count: int) -> Segment:
    return Segment("class", "categorical", 1, 0, count - 1, "uniform")
