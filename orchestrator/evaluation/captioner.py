"""One generation of captions: the generator writes texts, clip compares them with a picture.

What `evaluator` is for pictures. A population is cut into micro-batches of the generator's own
batch size, two in flight for each of its services, and results come back in the order of the
genomes. clip cuts texts that are longer than its context.
"""

import hashlib
import io
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from orchestrator.evaluation.evaluator import (
    IN_FLIGHT,
    Evaluation,
    Float32,
    Images,
    cosines,
    embeddings_of,
    one_embedding,
)
from orchestrator.fleet.ensemble import Ensemble
from orchestrator.fleet.replicas import Call, Replicas
from orchestrator.runs.storage import storing
from protocol.errors import BadRequestError, ProtocolError
from protocol.messages import ClipInfo, EmbedImages, EmbedTexts, Texts, Write
from protocol.session import Answer
from protocol.tensors import TensorWriter
from protocol.texts import unpack_texts
from protocol.views import clip_view

MOST_TEXT_BYTES = 8_192  # of texts in one request, whose header holds 16 KiB
MOST_FILE_BYTES = 256 << 20


class Captioner:
    """Evaluates genomes of a generator that writes, against one picture.

    Args:
        ensemble: the services.
        target: (d,) float32, the picture's embedding.
        space: latent space of the genomes.
        temperature: passed to the generator.
        seed: the same.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        target: Float32,
        space: str,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._ensemble = ensemble
        self._target = target
        self._space = space
        self._temperature, self._seed = temperature, seed

    def evaluate(self, genomes: Float32) -> Evaluation:
        """Write and compare every genome, (n, size) float32.

        Raises:
            GlasshouseError: a service refuses, or none of a role is left.
        """
        texts: dict[int, list[str]] = {}
        embeddings: dict[int, Float32] = {}
        size = max(1, self._ensemble.generator.info.batch_rows)
        starts = deque(range(0, len(genomes), size))
        writing: dict[Call, int] = {}
        comparing: dict[Call, int] = {}
        while starts or writing or comparing:
            while starts and len(writing) < self._most_writing:
                start = starts.popleft()
                writing[self._write(genomes[start : start + size])] = start
            for call in self._ensemble.wait([*writing, *comparing]):
                answer = call.answer()
                if call in comparing:
                    embeddings[comparing.pop(call)] = embeddings_of(answer)
                    continue
                start = writing.pop(call)
                texts[start] = _texts(answer)
                for offset, part in portions(texts[start]):
                    asked = self._ensemble.clip.submit(EmbedTexts(texts=tuple(part)))
                    comparing[asked] = start + offset
        return self._evaluation(
            [text for start in sorted(texts) for text in texts[start]],
            np.concatenate([embeddings[start] for start in sorted(embeddings)]),
            len(genomes),
        )

    @property
    def _most_writing(self) -> int:
        return IN_FLIGHT * max(1, len(self._ensemble.generator.usable))

    def _write(self, genomes: Float32) -> Call:
        writer = TensorWriter()
        call = Write(
            space=self._space,
            genomes=writer.add(genomes),
            temperature=self._temperature,
            seed=self._seed if self._temperature else 0,
        )
        return self._ensemble.generator.submit(call, writer.frames)

    def _evaluation(self, texts: list[str], embeddings: Float32, rows: int) -> Evaluation:
        if not len(texts) == len(embeddings) == rows:
            raise ProtocolError(
                f"asked about {rows} genomes, but the services answered with {len(texts)} texts "
                f"and {len(embeddings)} embeddings; check them with: service check ENDPOINT"
            )
        return Evaluation(
            images=np.zeros((rows, 0, 0, 3), np.uint8),
            embeddings=embeddings,
            similarity=cosines(embeddings, self._target),
            realism=None,
            texts=tuple(texts),
        )


def portions(texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Consecutive texts that fit into one request, and where they start; none of them is empty."""
    start, size, part = 0, 0, list[str]()
    for index, text in enumerate(texts):
        cost = len(text.encode()) + 3  # and its msgpack header
        if part and (size + cost > MOST_TEXT_BYTES or len(part) == 256):
            yield start, part
            start, size, part = index, 0, []
        part.append(text or " ")
        size += cost
    if part:
        yield start, part


def _texts(answer: Answer) -> list[str]:
    result = answer.reply.result
    if not isinstance(result, Texts):  # the session has checked
        raise TypeError(result)
    return unpack_texts(answer.tensor(result.texts))


def embed_picture(clip: Replicas, picture: Images) -> Float32:
    """(d,) float32, clip's embedding of one picture, (height, width, 3) uint8.

    Raises:
        GlasshouseError: clip cannot answer.
    """
    about = clip.info.about
    if not isinstance(about, ClipInfo):
        raise TypeError(about)
    writer = TensorWriter()
    seen = clip_view(picture[None], about.image_size, about.resizing)
    call = EmbedImages(images=writer.add(seen))
    answer = clip.call(call, writer.frames, interactive=True)
    return one_embedding(clip, answer, "the picture")


def read_picture(path: Path) -> tuple[Images, str]:
    """A picture upright and without transparency, (height, width, 3) uint8, and its file's digest.

    Raises:
        StorageError: the file cannot be read.
        BadRequestError: it is no picture, damaged, or larger than any that one would caption.
    """
    with storing("read a picture", path):
        size = path.stat().st_size
        if size > MOST_FILE_BYTES:
            raise BadRequestError(
                f"{path} has {size >> 20} MiB, but pictures of up to {MOST_FILE_BYTES >> 20} MiB "
                "can be captioned; make it smaller"
            )
        content = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise BadRequestError(
            f"{path} has more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels; make it smaller"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise BadRequestError(
            f"{path} is not a picture that can be read (PNG, JPEG, WebP, ...), or it is damaged"
        ) from error
    white = Image.new("RGBA", upright.size, "white")
    flat = Image.alpha_composite(white, upright).convert("RGB")
    return np.asarray(flat), hashlib.blake2b(content, digest_size=16).hexdigest()
