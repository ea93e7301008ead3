"""SD-Turbo's pipeline at a tiny size with random weights, through diffusers itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from protocol.errors import WeightsError
from services.generator.one_step_diffusion import FOLDER, SdTurbo
from services.generator.own_role import Drawn
from services.models.torchvision_ops import ensure_torchvision

ensure_torchvision()
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")
CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings(  # of diffusers, about its own settings
    "ignore::FutureWarning", "ignore::DeprecationWarning"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline as SD-Turbo's folder has it."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("sd-turbo")
    words = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}
    (path / "vocab.json").write_text(json.dumps(words))
    (path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(
        str(path / "vocab.json"), str(path / "merges.txt"), model_max_length=8
    )
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=3,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=8,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    pipe = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(timestep_spacing="trailing", steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(path / "pipeline")
    return path / "pipeline"


@pytest.fixture
def drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    monkeypatch.setenv(FOLDER, str(folder))
    generator = SdTurbo()
    generator.load(CPU)
    return Drawn(generator, CPU)


def test_noise_and_prompt_are_its_latent_space(drawn: Drawn) -> None:
    space = drawn.spaces[0]
    assert [segment.size for segment in space.segments] == [4 * 8 * 8, 16]
    genomes = torch.randn(4, space.size, generator=torch.Generator().manual_seed(1))
    genomes[1:] = genomes[0]
    genomes[1, :256] *= -1
    genomes[2, 256:] += 3
    with torch.inference_mode():
        pictures = drawn.draw(space.name, genomes, 1.0).numpy()
        again = drawn.draw(space.name, genomes.flip(0), 1.0).flip(0).numpy()
    assert pictures.shape == (4, 3, 16, 16)
    assert np.abs(pictures).max() <= 1
    np.testing.assert_allclose(pictures, again, atol=1e-5)
    np.testing.assert_allclose(pictures[0], pictures[3], atol=1e-6)
    assert np.abs(pictures[0] - pictures[1]).max() > 1e-3
    assert np.abs(pictures[0] - pictures[2]).max() > 1e-3


def test_a_model_that_is_not_here_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with pytest.raises(WeightsError, match="hf download stabilityai/sd-turbo"):
        SdTurbo().load(CPU)
