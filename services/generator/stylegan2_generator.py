"""StyleGAN2 generators (Karras et al. 2020, arXiv 1912.04958).

Two latent spaces: `z`, standard normal as trained, followed by the class where there are any, and
`w`, the mapping network's output whitened: q = (w - mean) / std along the principal axes of 10,000
seeded ones (GANSpace, Härkönen et al. 2020, arXiv 2004.02546), those that hold 99.9 % of its
variance. Whitened gene by gene instead, w = mean + q * std is nowhere near what the network makes
(the miniatures' w varies in about 50 of 128 directions), and evolution finds what pleases one CLIP
there. A q longer than a fresh one usually is, sqrt(genes), is drawn as if it were that long: the
mapping network does the same to z, whose length means nothing to it.

The noise is the stored one (`const`) unless told: `random` is each picture's own, drawn from its
genome, `none` is none. In all three the same genome is always the same picture.

Black bars above and below (LSUN car's pictures are 384x512 within 512x512) are left out: CLIP would
spend a quarter of its view on them, and nobody wants them in a picture. The discriminator puts
them back.
"""

import math
from dataclasses import replace
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional

from protocol.errors import BadRequestError
from protocol.latent import LatentSpace, Segment
from services.models.checkpoints import Checkpoint, fit_tensors
from services.models.streams import row_streams
from services.models.stylegan2 import Generator, GeneratorConfig, NoiseMode
from services.models.stylegan2_layers import FLOAT32, Execution, execution_of
from services.options import ConvolutionKind, Precision

GENE_BOUND = 10.0  # CLIP-GLaSS's box for z; no search step comes near it
STATISTICS_SEED = 0
STATISTICS_ROWS = 10_000
SHARE = 0.999  # of w's variance, that the axes of its space hold


class StyleGAN2:
    """A StyleGAN2 generator behind the generator role."""

    def __init__(
        self,
        generator: Generator,
        device: torch.device,
        execution: Execution = FLOAT32,
        *,
        noise: NoiseMode = "const",
        fixed_class: int | None = None,
    ) -> None:
        """A `fixed_class` is not searched for."""
        self._noise = noise
        self._class = fixed_class
        self._generator = generator.eval().requires_grad_(requires_grad=False).to(device)
        self._generator.synthesis.execution = execution
        config = generator.config
        self._bar = config.bar_rows
        self.height, self.width = config.resolution - 2 * config.bar_rows, config.resolution
        free = config.c_dim > 1 and fixed_class is None
        classes = [_classes(config.c_dim)] if free else []
        w = fresh_w(generator, device, fixed_class)
        self._mean, self._axes = w.mean(0), principal_axes(w)
        self.spaces = (
            LatentSpace("z", (_gaussian("z", config.z_dim), *classes)),
            LatentSpace("w", (_gaussian("q", len(self._axes)),)),
        )

    def draw(self, space: str, genomes: Tensor, truncation_psi: float) -> Tensor:
        """(n, size) float32 -> (n, 3, height, width) float32."""
        mapping = self._generator.mapping
        if space == "z":
            z, labels = split_classes(genomes, self._generator.config, self._class)
            w = mapping(z, truncation_psi, labels)
        else:
            offset = leashed(genomes) @ self._axes
            w = mapping.layered(self._mean + truncation_psi * offset, self._mean + offset)
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


def leashed(q: Tensor) -> Tensor:
    """(n, k), rows longer than sqrt(k) scaled to that length."""
    usual = math.sqrt(q.shape[1])
    lengths = torch.linalg.vector_norm(q, dim=1, keepdim=True)
    found: Tensor = q * (usual / lengths.clamp(min=usual))
    return found


def fresh_w(generator: Generator, device: torch.device, fixed_class: int | None = None) -> Tensor:
    """(STATISTICS_ROWS, w_dim) float32: what the mapping network makes of seeded z and classes."""
    config = generator.config
    seeded = torch.Generator().manual_seed(STATISTICS_SEED)
    genomes = torch.randn(STATISTICS_ROWS, config.z_dim, generator=seeded)
    if config.c_dim > 1 and fixed_class is None:
        classes = torch.randint(config.c_dim, (STATISTICS_ROWS, 1), generator=seeded)
        genomes = torch.cat([genomes, classes.float()], dim=1)
    z, labels = split_classes(genomes.to(device), config, fixed_class)
    with torch.no_grad():  # not inference mode: drawing is differentiated by genes
        w: Tensor = generator.mapping(z, labels=labels)
    return w


def principal_axes(w: Tensor) -> Tensor:
    """(k, w_dim) float32, the widest first, each as long as w's deviation along it.

    Each points to where its greatest number is positive, as an eigenvector's sign is left open.
    """
    variances, axes = torch.linalg.eigh(torch.cov(w.double().T.cpu()))
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1).T
    kept = int((variances.cumsum(0) < SHARE * variances.sum()).sum()) + 1
    axes = axes[:kept]
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    found: Tensor = axes * signs * variances[:kept, None].sqrt()
    return found.float().to(w.device)


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
    tensors.pop("w_std", None)  # of files that were imported before w had axes
    try:
        config = GeneratorConfig(**checkpoint.config)
        if truncation_cutoff is not None:
            config = replace(config, truncation_cutoff=truncation_cutoff)
        generator = Generator(config)
    except TypeError as error:
        raise ValueError(f"it is not configured as a StyleGAN2 generator is: {error}") from error
    fit_tensors(generator, tensors, "a StyleGAN2 generator")
    _check(config, class_)
    return StyleGAN2(
        generator,
        device,
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
