"""CLIPs that others published, as open_clip builds them (Radford et al. 2021 and after)."""

import torch

from services.models.checkpoints import Checkpoint
from services.models.published_clip import PublishedClip
from services.options import DTYPES, Precision


def load(
    checkpoint: Checkpoint, device: torch.device, *, precision: Precision = "float32"
) -> PublishedClip:
    """The CLIP in a checkpoint; `precision` is of all of it but the embeddings.

    Raises:
        ValueError: its configuration or tensors do not fit.
    """
    return PublishedClip(checkpoint.config, checkpoint.tensors).to(device, DTYPES[precision])
