"""StyleGAN2 discriminators (Karras et al. 2020), each picture scored as its own group.

Their minibatch standard deviation layer lets batch-mates change a score; with groups of one a score
is a function of its picture alone.
"""

import torch
from torch import Tensor

from services.models.checkpoints import Checkpoint
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig


class StyleGAN2Discriminator:
    """A StyleGAN2 discriminator behind the discriminator role."""

    def __init__(self, discriminator: Discriminator, device: torch.device) -> None:
        self._discriminator = discriminator.eval().requires_grad_(requires_grad=False).to(device)
        self.height = self.width = discriminator.config.resolution

    def score(self, pictures: Tensor) -> Tensor:
        """(n, 3, r, r) float32 in [-1, 1] -> (n,) logits."""
        logits: Tensor = self._discriminator(pictures, group_size=1)
        return logits


def load(checkpoint: Checkpoint, device: torch.device) -> StyleGAN2Discriminator:
    """The discriminator in a checkpoint.

    Raises:
        ValueError: its configuration or tensors are not those of a StyleGAN2 discriminator.
    """
    try:
        discriminator = Discriminator(DiscriminatorConfig(**checkpoint.config))
        discriminator.load_state_dict(checkpoint.tensors)
    except (TypeError, RuntimeError) as error:
        raise ValueError(
            f"the tensors are not those of a StyleGAN2 discriminator: {error}"
        ) from error
    return StyleGAN2Discriminator(discriminator, device)
