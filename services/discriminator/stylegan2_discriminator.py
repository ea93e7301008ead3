"""StyleGAN2 discriminators (Karras et al. 2020), each picture scored as its own group.

Their minibatch standard deviation layer lets batch-mates change a score; with groups of one a score
is a function of its picture alone. One that was trained with classes judges a picture as the class
that it fits best, because a picture comes here without its class. Black bars that the generator's
service leaves out are put back.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from services.models.checkpoints import Checkpoint, fit_tensors
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig
from services.models.stylegan2_layers import FLOAT32, Execution, execution_of
from services.options import ConvolutionKind, Precision

BLACK = -1.0


class StyleGAN2Discriminator:
    """A StyleGAN2 discriminator behind the discriminator role."""

    def __init__(
        self,
        discriminator: Discriminator,
        device: torch.device,
        execution: Execution = FLOAT32,
    ) -> None:
        self._discriminator = discriminator.eval().requires_grad_(requires_grad=False).to(device)
        self._discriminator.execution = execution
        config = discriminator.config
        self._bar = config.bar_rows
        self.height, self.width = config.resolution - 2 * config.bar_rows, config.resolution
        self._classes: Tensor | None = None
        if config.c_dim:
            with torch.inference_mode():
                classes = discriminator.mapping(torch.eye(config.c_dim, device=device))
            self._classes = classes.T / math.sqrt(config.cmap_dim)

    def score(self, pictures: Tensor) -> Tensor:
        """(n, 3, height, width) float32 in [-1, 1] -> (n,) logits."""
        if self._bar:
            pictures = functional.pad(pictures, (0, 0, self._bar, self._bar), value=BLACK)
        features = self._discriminator.features(pictures, group_size=1)
        if self._classes is None:
            return features.squeeze(1)
        return (features @ self._classes).amax(dim=1)


def load(
    checkpoint: Checkpoint,
    device: torch.device,
    *,
    precision: Precision = "float32",
    convolution: ConvolutionKind = "direct",
) -> StyleGAN2Discriminator:
    """The discriminator in a checkpoint.

    Args:
        checkpoint: what its file held.
        device: where to score.
        precision: of the four highest resolutions.
        convolution: of those in float32.

    Raises:
        ValueError: its configuration or tensors are not those of a StyleGAN2 discriminator.
    """
    try:
        discriminator = Discriminator(DiscriminatorConfig(**checkpoint.config))
    except TypeError as error:
        raise ValueError(
            f"it is not configured as a StyleGAN2 discriminator is: {error}"
        ) from error
    fit_tensors(discriminator, checkpoint.tensors, "a StyleGAN2 discriminator")
    return StyleGAN2Discriminator(discriminator, device, execution_of(precision, convolution))
