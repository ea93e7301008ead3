"""Checkpoints of real architectures with random weights, small enough for any test."""

import dataclasses
from pathlib import Path

import torch

from services.models.checkpoints import save_checkpoint
from services.models.clip import ClipModel
from services.models.stylegan2 import Generator, GeneratorConfig
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig

RESOLUTION = 16
Z_DIM = 8


def save_generator(path: Path, seed: int = 0, z_dim: int = Z_DIM) -> Path:
    torch.manual_seed(seed)
    config = GeneratorConfig(
        RESOLUTION, z_dim, 16, mapping_layers=2, channel_base=256, channel_max=16
    )
    tensors = Generator(config).state_dict()
    save_checkpoint(path, "stylegan2-generator", dataclasses.asdict(config), tensors, {})
    return path


def save_discriminator(path: Path, resolution: int = RESOLUTION) -> Path:
    torch.manual_seed(1)
    config = DiscriminatorConfig(resolution=resolution, channel_base=256, channel_max=16)
    tensors = Discriminator(config).state_dict()
    save_checkpoint(path, "stylegan2-discriminator", dataclasses.asdict(config), tensors, {})
    return path


def save_clip(path: Path) -> Path:
    torch.manual_seed(2)
    words = ["a", "car", "yellow", "in", "the", "city"]
    config = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "patch_size": 16, "layers": 1, "width": 64},
        "text_cfg": {
            "context_length": 12,
            "vocab_size": 2 + 256 + len(words) + 1,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
        "words": words,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    save_checkpoint(path, "open-clip", config, ClipModel(config).network.state_dict(), {})
    return path
