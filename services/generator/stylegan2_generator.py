"""StyleGAN2 generators (Karras et al. 2020, arXiv 1912.04958).

Two latent spaces: `z`, standard normal as trained, and `w`, the mapping network's output whitened
gene by gene, q = (w - w_avg) / w_std, in which the search works with steps of the same size
everywhere. The noise is the stored one (`const`), so the same genome is always the same picture.
"""

import torch
from torch import Tensor

from protocol.latent import LatentSpace, Segment
from services.models.checkpoints import Checkpoint
from services.models.stylegan2 import Generator, GeneratorConfig

GENE_BOUND = 10.0  # CLIP-GLaSS's box for z; no search step comes near it
STATISTICS_SEED = 0
STATISTICS_ROWS = 10_000


class StyleGAN2:
    """A StyleGAN2 generator behind the generator role."""

    def __init__(self, generator: Generator, device: torch.device) -> None:
        self._generator = generator.eval().requires_grad_(requires_grad=False).to(device)
        config = generator.config
        self.height = self.width = config.resolution
        self.spaces = (
            LatentSpace("z", (_gaussian("z", config.z_dim),)),
            LatentSpace("w", (_gaussian("q", config.w_dim),)),
        )
        self._w_avg, self._w_std = self._statistics(device)

    def draw(self, space: str, genomes: Tensor, truncation_psi: float) -> Tensor:
        """(n, size) float32 -> (n, 3, r, r) float32."""
        if space == "z":
            w = self._generator.mapping(genomes, truncation_psi)
        else:
            w = self._w_avg + truncation_psi * genomes * self._w_std
        pictures: Tensor = self._generator.synthesis(w)
        return pictures

    def _statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of w, each (w_dim,), from seeded z."""
        seeded = torch.Generator().manual_seed(STATISTICS_SEED)
        z = torch.randn(STATISTICS_ROWS, self._generator.config.z_dim, generator=seeded)
        with torch.inference_mode():
            w = self._generator.mapping(z.to(device))
        return w.mean(0), w.std(0)


def load(checkpoint: Checkpoint, device: torch.device) -> StyleGAN2:
    """The generator in a checkpoint.

    Raises:
        ValueError: its configuration or tensors are not those of a StyleGAN2 generator.
    """
    try:
        generator = Generator(GeneratorConfig(**checkpoint.config))
        generator.load_state_dict(checkpoint.tensors)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"the tensors are not those of a StyleGAN2 generator: {error}") from error
    return StyleGAN2(generator, device)


def _gaussian(name: str, size: int) -> Segment:
    return Segment(name, "real", size, -GENE_BOUND, GENE_BOUND, "normal")
