"""Published CLIPs: embeddings equal to open_clip's own, from a picture file and from a text."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch.nn import functional

from protocol.errors import BadRequestError
from protocol.messages import ClipInfo, EmbedImages, EmbedTexts, Resizing, ServiceInfo
from protocol.tensors import Array, TensorWriter
from protocol.views import clip_view
from services.clip.published_clip import load
from services.clip.role import ClipRole, Looking, clip_info
from services.fetching.open_clips import LOCAL_CONFIG, import_clip, published_config
from services.models.checkpoints import load_checkpoint
from services.models.published_clip import PublishedClip
from services.runtime.views import differentiable_view
from tests import tiny

RESIZINGS: list[Resizing] = [UNSET, "shortest-bilinear", "squash-bicubic", "squash-bilinear"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_published_clip(tmp_path_factory.mktemp("open_clip"))


@pytest.fixture(scope="module")
def clip(weights: Path) -> PublishedClip:
    return load(load_checkpoint(import_clip(weights, weights.parent, "tiny", LOCAL_CONFIG)), CPU)


@pytest.fixture(scope="module")
def reference(weights: Path) -> torch.nn.Module:
    return open_clip.create_model(f"local-dir:{weights.parent}").eval()


def role_of(clip: PublishedClip, augment: int = 0) -> ClipRole:
    info = ServiceInfo("tiny", "blake2b:0", "cpu", 4, 64, clip_info(clip))
    return ClipRole(clip, info, CPU, augment=augment)


def drawn(height: int, width: int, seed: int) -> Array:
    """Smooth shapes with hard edges and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = 128 + 127 * np.sin(x[..., None] / rng.uniform(2, 9, 3) + y[..., None] / 5)
    waves[: height // 3, : width // 2] = rng.integers(0, 256, 3)
    return (waves + rng.normal(0, 8, waves.shape)).clip(0, 255).astype(np.uint8)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(20, 90),
    width=st.integers(20, 90),
    seed=st.integers(0, 99),
    resizing=st.sampled_from(RESIZINGS),
)
def test_a_picture_has_the_embedding_that_open_clip_gives_its_file(
    clip: PublishedClip,
    reference: torch.nn.Module,
    height: int,
    width: int,
    seed: int,
    resizing: Resizing,
) -> None:
    image = drawn(height, width, seed)
    mode, interpolation = ("shortest-bicubic" if resizing is UNSET else str(resizing)).split("-")
    preprocess = tiny.PUBLISHED_CLIP["preprocess_cfg"]
    cfg = PreprocessCfg(
        size=32,
        resize_mode=mode,
        interpolation=interpolation,
        mean=preprocess["mean"],
        std=preprocess["std"],
    )
    pixels = image_transform_v2(cfg, is_train=False)(Image.fromarray(image))
    with torch.inference_mode():
        wanted = functional.normalize(reference.encode_image(pixels[None]), dim=1)  # type: ignore[operator] # open_clip's method
    view = clip_view(image[None], 32, resizing)
    (found,) = role_of(clip).compute(Looking((32, 32, 3)), view)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


@given(text=st.text(max_size=60))
@settings(max_examples=25, deadline=None)
def test_a_text_has_the_embedding_that_open_clip_gives(
    clip: PublishedClip, reference: torch.nn.Module, text: str
) -> None:
    tokens = open_clip.SimpleTokenizer(context_length=16)([text])
    with torch.inference_mode():
        wanted = functional.normalize(reference.encode_text(tokens), dim=1)  # type: ignore[operator] # open_clip's method
        found = clip.embed_tokens(clip.tokenize([text]))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["ViT-B-32:openai", "RN50:openai", "ViT-B-16:metaclip_400m"])
def test_a_network_has_the_activation_that_it_was_trained_with(name: str) -> None:
    """By open_clip's plain name, too, where open_clip itself but warns of another one."""
    model, _, tag = name.partition(":")
    assert published_config(name) == published_config(f"{model}-quickgelu:{tag}")


def test_other_networks_keep_theirs() -> None:
    assert "quick_gelu" not in published_config("ViT-B-32:laion2b_s34b_b79k")["model_cfg"]


def test_texts_that_were_cut_are_named(clip: PublishedClip) -> None:
    role = role_of(clip)
    call = EmbedTexts(texts=("a car", "car " * 14, "car " * 15, "a car in the city"))
    rows = role.prepare(call, lambda _: np.zeros(0))
    writer = TensorWriter()
    result = role.result(rows.options, role.compute(rows.options, rows.values), writer)
    assert result.cut == (2,)  # type: ignore[union-attr] # an Embeddings
    short = role.prepare(EmbedTexts(texts=("a car",)), lambda _: np.zeros(0))
    result = role.result(short.options, role.compute(short.options, short.values), writer)
    assert result.cut is UNSET  # type: ignore[union-attr] # the same


def test_what_a_clip_wants_is_announced(clip: PublishedClip) -> None:
    assert clip_info(clip) == ClipInfo(image_size=32, embedding_size=16, context_tokens=16)


@pytest.mark.parametrize("shape", [(2, 0, 5, 3), (2, 5, 0, 3), (5, 5, 3), (2, 5, 5, 4)])
def test_pictures_without_pixels_are_the_askers_mistake(
    clip: PublishedClip, shape: tuple[int, ...]
) -> None:
    """As of any other shape, and not a failure of the model."""
    call = EmbedImages(TensorWriter().add(np.zeros(shape, np.uint8)), "legacy")
    with pytest.raises(BadRequestError, match=r"^wanted .* got"):
        role_of(clip).prepare(call, lambda _: np.zeros(shape, np.uint8))


def test_crops_are_the_same_for_a_picture_wherever_it_stands(clip: PublishedClip) -> None:
    images = np.stack([drawn(32, 32, seed) for seed in range(4)])
    role = role_of(clip, augment=6)
    (once,) = role.compute(Looking((32, 32, 3)), images)
    (again,) = role_of(clip, augment=6).compute(Looking((32, 32, 3)), images[::-1].copy())
    np.testing.assert_allclose(once, again[::-1], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(once, axis=1), 1, atol=1e-6)
    (plain,) = role_of(clip).compute(Looking((32, 32, 3)), images)
    assert np.abs(once - plain).max() > 1e-3


def test_crops_make_noise_count_for_less(clip: PublishedClip) -> None:
    image = drawn(32, 32, 1)
    rng = np.random.default_rng(0)
    noisy = np.stack(
        [(image + rng.normal(0, 25, image.shape)).clip(0, 255).astype(np.uint8) for _ in range(32)]
    )

    def moved(augment: int) -> float:
        role = role_of(clip, augment)
        (before,) = role.compute(Looking((32, 32, 3)), image[None])
        (after,) = role.compute(Looking((32, 32, 3)), noisy)
        return float((after @ before[0]).mean())

    assert moved(16) > moved(0)


@pytest.mark.parametrize("resizing", RESIZINGS)
def test_a_gradient_goes_through_the_same_pixels(resizing: Resizing) -> None:
    image = drawn(48, 64, 3)
    exact = clip_view(image[None], 24, resizing)[0].astype(float)
    pictures = torch.from_numpy(image)[None].permute(0, 3, 1, 2).float()
    near = differentiable_view(pictures, 24, resizing)[0].permute(1, 2, 0).clamp(0, 255).numpy()
    assert np.abs(near - exact).mean() < 1
