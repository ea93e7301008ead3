"""The CLIP wrapper, with fresh weights."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from services.models.checkpoints import save_checkpoint
from services.models.clip import ARCHITECTURE, ClipModel, load_clip
from services.models.tokenizer import FIRST_WORD

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 64, "image_size": 32},
    "text_cfg": {
        "context_length": 10,
        "vocab_size": FIRST_WORD + 3,
        "width": 16,
        "heads": 2,
        "layers": 1,
    },
    "words": ["a", "car"],
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
}


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    torch.manual_seed(0)
    return ClipModel(CONFIG)


def test_embeddings_are_unit_rows(clip: ClipModel) -> None:
    texts = clip.embed_texts(["a car", "ein Auto", "車", ""])
    images = clip.embed_images(torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8))
    assert (texts.shape, images.shape) == ((4, 16), (3, 16))
    for rows in (texts, images):
        assert rows.dtype == torch.float32
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))


def test_nothing_in_nothing_out(clip: ClipModel) -> None:
    assert clip.embed_texts([]).shape == (0, 16)
    assert clip.embed_images(torch.zeros(0, 32, 32, 3, dtype=torch.uint8)).shape == (0, 16)


def test_a_row_does_not_depend_on_its_place_or_its_mates(clip: ClipModel) -> None:
    """In a batch of fixed shape, bit for bit."""
    images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    rows = clip.embed_images(images)
    assert torch.equal(clip.embed_images(images.flip(0)).flip(0), rows)
    texts = ["a car", "a", "car car", "a bus"]
    assert torch.equal(clip.embed_texts(texts[::-1]).flip(0), clip.embed_texts(texts))


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
        torch.zeros(2, 32, 32, 3),
        torch.zeros(32, 32, 3, dtype=torch.uint8),
        torch.zeros((), dtype=torch.uint8),
    ],
)
def test_other_images_are_refused(clip: ClipModel, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"images must be \(n, 32, 32, 3\) uint8, got \("):
        clip.embed_images(images)


def test_preprocessing_is_mean_and_std_of_unit_range(clip: ClipModel) -> None:
    pixels = clip.preprocessed(torch.full((1, 1, 1, 3), 255, dtype=torch.uint8))
    wanted = [(1 - mean) / std for mean, std in zip(clip.mean, clip.std, strict=True)]
    assert pixels.flatten().tolist() == pytest.approx(wanted)


def test_facts(clip: ClipModel) -> None:
    assert (clip.embed_dim, clip.image_size, clip.context_length) == (16, 32, 10)


def test_round_trip_through_a_checkpoint(clip: ClipModel, tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    digest = save_checkpoint(path, ARCHITECTURE, CONFIG, clip.network.state_dict(), {})
    loaded = load_clip(path)
    assert loaded.digest == digest
    assert torch.equal(loaded.embed_texts(["a car"]), clip.embed_texts(["a car"]))


def test_tensors_that_do_not_fit_are_refused(clip: ClipModel) -> None:
    tensors = clip.network.state_dict()
    tensors.pop("logit_scale")
    with pytest.raises(ValueError, match=r"not those of this CLIP: [0-9]+ missing, such as "):
        ClipModel(CONFIG, tensors)


def test_an_incomplete_config_is_refused() -> None:
    with pytest.raises(ValueError, match="CLIP config lacks std, words"):
        ClipModel({key: value for key, value in CONFIG.items() if key not in {"words", "std"}})


def test_importing_raises_no_warning() -> None:
    """open_clip and its torchvision import cleanly beside this torch, in a fresh process."""
    code = "import services.models.clip"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_generator_does_not_import_open_clip() -> None:
    code = "import sys, services.models.stylegan2, services.models.stylegan2_discriminator\n"
    code += "assert 'open_clip' not in sys.modules and 'torchvision' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
