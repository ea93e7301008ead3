"""Gradients that pass through two services: those of one process, whatever shares the batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from orchestrator.fleet.launcher import LocalLauncher, ServiceSpec
from protocol.client import Client, Service
from protocol.errors import BadRequestError
from protocol.messages import (
    Embeddings,
    EmbedImages,
    Generate,
    Gradients,
    LatentGradient,
    Pictures,
    SimilarityGradient,
)
from protocol.tensors import Array, TensorWriter
from services.models.checkpoints import load_checkpoint
from services.models.clip import load_clip
from services.models.stylegan2 import Generator, GeneratorConfig
from tests.tiny import RESOLUTION, Z_DIM

Models = dict[str, Path]
CLIP_SIDE = 32
TARGET = np.array([0.3, -0.5, 0.1, 0.7, -0.2, 0.4, 0.05, -0.6], np.float32)


@dataclass
class Pair:
    client: Client
    generator: Service
    clip: Service

    def pictures(self, genomes: Array, clip_size: int) -> Array:
        writer = TensorWriter()
        call = Generate("z", writer.add(genomes), clip_size=clip_size)
        answer = self.client.call(self.generator, call, writer.frames).answer()
        assert isinstance(answer.reply.result, Pictures)
        result = answer.reply.result
        return answer.tensor(result.clip_images or result.images)

    def by_levels(self, images: Array, target: Array = TARGET, **rest: str) -> Array:
        writer = TensorWriter()
        call = SimilarityGradient(writer.add(images), writer.add(target), **rest)  # type: ignore[arg-type] # a word
        return self._gradients(self.clip, call, writer)

    def by_genes(self, genomes: Array, gradients: Array, clip_size: int) -> Array:
        writer = TensorWriter()
        call = LatentGradient("z", writer.add(genomes), writer.add(gradients), clip_size=clip_size)
        return self._gradients(self.generator, call, writer)

    def embeddings(self, images: Array) -> Array:
        writer = TensorWriter()
        call = EmbedImages(writer.add(images), "legacy")
        answer = self.client.call(self.clip, call, writer.frames).answer()
        assert isinstance(answer.reply.result, Embeddings)
        return answer.tensor(answer.reply.result.embeddings)

    def _gradients(
        self, service: Service, call: SimilarityGradient | LatentGradient, writer: TensorWriter
    ) -> Array:
        answer = self.client.call(service, call, writer.frames).answer()
        assert isinstance(answer.reply.result, Gradients)
        return answer.tensor(answer.reply.result.gradients)


@pytest.fixture(scope="module")
def pair(tiny_models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch, LocalLauncher(folder) as launcher:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        generator = launcher.start(
            ServiceSpec("generator", str(tiny_models["generator"]), threads=1)
        )
        clip = launcher.start(ServiceSpec("clip", str(tiny_models["clip"]), threads=1))
        launcher.wait_ready([generator, clip], lambda: None)
        with Client("test") as client:
            yield Pair(
                client,
                client.connect(generator.endpoint, "generator", watch=generator.gone),
                client.connect(clip.endpoint, "clip", watch=clip.gone),
            )


def genomes(rows: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((rows, Z_DIM), dtype=np.float32)


def in_one_process(models: Models, rows: Array, seen: Array) -> Array:
    """The gradient of similarity by genes, with nothing of the services but their networks.

    It is taken where clip looked, at the levels of `seen`, (n, size, size, 3) uint8; resizing and
    rounding count with the slope of the antialiased bicubic filter.
    """
    checkpoint = load_checkpoint(models["generator"])
    generator = Generator(GeneratorConfig(**checkpoint.config))
    generator.load_state_dict(checkpoint.tensors)
    clip = load_clip(models["clip"])
    z = torch.from_numpy(rows).clone().requires_grad_()
    picture = generator(z)
    picture = functional.interpolate(picture, seen.shape[1:3], mode="bicubic", antialias=True)
    levels = ((picture + 1) * 127.5).clamp(0, 255)
    levels = levels + (torch.tensor(seen).permute(0, 3, 1, 2) - levels).detach()
    mean, std = (torch.tensor(three).reshape(1, 3, 1, 1) for three in (clip.mean, clip.std))
    features = clip.network.encode_image((levels / 255 - mean) / std)
    similarity = functional.normalize(features, dim=1) @ torch.from_numpy(TARGET)
    similarity.sum().backward()
    assert z.grad is not None
    return z.grad.numpy()


def test_two_services_give_the_gradient_of_one_process(pair: Pair, tiny_models: Models) -> None:
    rows = genomes(5)
    seen = pair.pictures(rows, CLIP_SIDE)
    by_levels = pair.by_levels(seen)
    assert by_levels.shape == (5, CLIP_SIDE, CLIP_SIDE, 3)
    found = pair.by_genes(rows, by_levels, CLIP_SIDE)
    wanted = in_one_process(tiny_models, rows, seen)
    assert found.shape == wanted.shape == (5, Z_DIM)
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_a_gradient_by_the_pictures_own_pixels_reaches_the_genes_too(pair: Pair) -> None:
    rows = genomes(2)
    towards = np.random.default_rng(1).standard_normal((2, RESOLUTION, RESOLUTION, 3))
    towards = towards.astype(np.float32)
    slope = pair.by_genes(rows, towards, 0)
    assert slope.shape == (2, Z_DIM)
    together = pair.by_genes(rows, 2 * towards, 0)
    np.testing.assert_allclose(together, 2 * slope, rtol=1e-5)  # linear in the gradient given


def test_a_rows_gradient_does_not_depend_on_the_rows_beside_it(pair: Pair) -> None:
    rows = genomes(5)
    images = pair.pictures(rows, CLIP_SIDE)
    by_levels = pair.by_levels(images)
    by_genes = pair.by_genes(rows, by_levels, CLIP_SIDE)
    for row in range(5):
        alone = slice(row, row + 1)
        assert pair.by_levels(images[alone]).tobytes() == by_levels[alone].tobytes()
        found = pair.by_genes(rows[alone], by_levels[alone], CLIP_SIDE)
        assert found.tobytes() == by_genes[alone].tobytes()


def test_legacy_sees_pictures_of_any_size_as_clip_glass_showed_them(
    pair: Pair, tiny_models: Models
) -> None:
    images = np.random.default_rng(3).integers(0, 256, (3, 20, 44, 3), dtype=np.uint8)
    found = pair.embeddings(images)
    clip = load_clip(tiny_models["clip"])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255  # no mean, no deviation
    resized = functional.interpolate(pixels, (CLIP_SIDE, CLIP_SIDE), mode="bilinear")
    with torch.inference_mode():
        wanted = functional.normalize(clip.network.encode_image(resized), dim=1).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert pair.by_levels(images, preprocessing="legacy").shape == images.shape


def test_what_cannot_be_differentiated_is_refused_in_one_sentence(pair: Pair) -> None:
    rows = genomes(2)
    with pytest.raises(BadRequestError, match="wanted gradients of shape"):
        pair.by_genes(rows, np.zeros((2, 3, 3, 3), np.float32), CLIP_SIDE)
    images = np.zeros((1, CLIP_SIDE, CLIP_SIDE, 3), np.uint8)
    with pytest.raises(BadRequestError, match="wanted a finite target of shape"):
        pair.by_levels(images, np.zeros(3, np.float32))
    with pytest.raises(BadRequestError, match="wanted a finite target of shape"):
        pair.by_levels(images, np.full(8, np.nan, np.float32))
