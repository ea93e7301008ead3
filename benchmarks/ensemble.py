"""What does the ensemble cost against the same models in one process, at sizes that people use?

`benchmarks.pipeline` with StyleGAN2 of 256x256 (its published widths), that discriminator, and a
CLIP whose image tower has the size of ViT-B/32. The weights are random: they cost the same.

    python -m benchmarks.ensemble --rows 32 --repeats 3
"""

import dataclasses
import tempfile
from pathlib import Path

import torch
import typer

from benchmarks.pipeline import compare
from orchestrator.settings import RunSettings
from services.models.checkpoints import save_checkpoint
from services.models.clip import ClipModel
from services.models.stylegan2 import Generator, GeneratorConfig
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig

WORDS = ["a", "picture"]
VIT_B_32 = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "patch_size": 32, "layers": 12, "width": 768},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 2 + 256 + len(WORDS) + 1,
        "width": 512,
        "heads": 8,
        "layers": 12,
    },
    "words": WORDS,
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
}


def save_models(folder: Path, resolution: int, channel_base: int) -> RunSettings:
    """Checkpoints with random weights, and settings that name them."""
    torch.manual_seed(0)
    drawing = GeneratorConfig(resolution, channel_base=channel_base)
    judging = DiscriminatorConfig(resolution=resolution, channel_base=channel_base)
    paths = {role: folder / f"{role}.safetensors" for role in ("generator", "clip", "judge")}
    for path, architecture, config, network in (
        (paths["generator"], "stylegan2-generator", drawing, Generator(drawing)),
        (paths["judge"], "stylegan2-discriminator", judging, Discriminator(judging)),
    ):
        fields = dataclasses.asdict(config)
        save_checkpoint(path, architecture, fields, network.state_dict(), {})
    tensors = ClipModel(VIT_B_32).network.state_dict()
    save_checkpoint(paths["clip"], "open-clip", VIT_B_32, tensors, {})
    generator, clip, discriminator = (str(path) for path in paths.values())
    return RunSettings("", generator, clip, discriminator)


def main(
    rows: int = 32, repeats: int = 3, resolution: int = 256, channel_base: int = 32768
) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        compare(save_models(Path(folder), resolution, channel_base), rows, repeats)


if __name__ == "__main__":
    typer.run(main)
