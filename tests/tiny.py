"""Checkpoints of real architectures with random weights, small enough for any test."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel

from services.models.attribute_classifier import Classifier
from services.models.biggan import BigGAN, BigGANConfig
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


def save_clip(path: Path, seed: int = 2) -> Path:
    torch.manual_seed(seed)
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


HEADS = {"colour": ["red", "blue", "yellow"], "time": ["day", "night"]}


def save_classifier(path: Path, seed: int = 4) -> Path:
    torch.manual_seed(seed)
    config = {"heads": HEADS, "names": {"time": {"night": ["at night", "in the dark"]}}}
    tensors = Classifier(HEADS).state_dict()
    save_checkpoint(path, "attribute-classifier", config, tensors, {})
    return path


BIGGAN = BigGANConfig(
    output_dim=RESOLUTION,
    z_dim=4,
    class_embed_dim=4,
    channel_width=4,
    num_classes=6,
    layers=((False, 16, 8), (True, 8, 4), (True, 4, 2), (False, 2, 1)),
    attention_layer_position=2,
)


def biggan() -> BigGAN:
    torch.manual_seed(3)
    network = BigGAN(BIGGAN).train()
    with torch.no_grad():
        for _ in range(30):  # spectral norm's power iterations
            network(torch.randn(4, 4), torch.eye(6)[:4])
    return network.eval()


def save_biggan(path: Path) -> Path:
    config = dataclasses.asdict(BIGGAN)
    save_checkpoint(path, "biggan-deep-generator", config, biggan().state_dict(), {})
    return path


PUBLISHED_CLIP = {
    "model_cfg": {
        "embed_dim": 16,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "patch_size": 16, "layers": 1, "width": 64},
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 8,
            "heads": 2,
            "layers": 1,
        },
    },
    "preprocess_cfg": {
        "mean": [0.48, 0.46, 0.41],
        "std": [0.27, 0.26, 0.28],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}
"""As open_clip publishes it beside weights, in `open_clip_config.json`."""


def save_published_clip(folder: Path) -> Path:
    """Weights and their config as a hub repository of open_clip's has them."""
    from safetensors.torch import save_file

    from services.models.published_clip import build_network

    torch.manual_seed(3)
    network = build_network(PUBLISHED_CLIP)
    (folder / "open_clip_config.json").write_text(json.dumps(PUBLISHED_CLIP))
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return folder / "open_clip_model.safetensors"


def gpt2_config() -> dict[str, Any]:
    """A GPT-2 of bytes; its captions begin with "a picture of"."""
    vocabulary = {letter: token for token, letter in enumerate(sorted(ByteLevel.alphabet()))}
    return {
        "vocab_size": 257,
        "n_positions": 40,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 2,
        "tokenizer": {"vocabulary": vocabulary, "merges": []},
        "end_of_text": 256,
        "prefix_length": 6,
        "prompt": "a picture of",
        "max_new_tokens": 12,
    }


def save_gpt2(path: Path) -> Path:
    """Its weights are of size 1, so that different genomes are followed by different texts."""
    torch.manual_seed(4)
    config = gpt2_config()
    shapes = {"wte.weight": (257, 32), "wpe.weight": (40, 32)}
    for layer in ("h.0.", "h.1."):
        shapes |= {
            f"{layer}{name}": shape
            for name, shape in {
                **{f"{norm}.{part}": (32,) for norm in ("ln_1", "ln_2") for part in PARTS},
                "attn.c_attn.weight": (32, 96),
                "attn.c_attn.bias": (96,),
                "attn.c_proj.weight": (32, 32),
                "attn.c_proj.bias": (32,),
                "mlp.c_fc.weight": (32, 128),
                "mlp.c_fc.bias": (128,),
                "mlp.c_proj.weight": (128, 32),
                "mlp.c_proj.bias": (32,),
            }.items()
        }
    shapes |= {"ln_f.weight": (32,), "ln_f.bias": (32,)}
    tensors = {f"transformer.{name}": torch.randn(shape) for name, shape in shapes.items()}
    save_checkpoint(path, "gpt2-generator", config, tensors, {})
    return path


PARTS = ("weight", "bias")
