"""Asking judges about any pictures, of any sizes and any number.

Pictures are (height, width, 3) uint8 each. They are sent in micro-batches of the service's own
size, a few under way at a time, and the answers come back in the order of the pictures.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from msgspec import UNSET

from orchestrator.evaluation.captioner import portions
from orchestrator.evaluation.evaluator import Float32, Images, embeddings_of
from orchestrator.fleet.replicas import Call, Replicas, wait
from protocol.errors import ModelFailedError, ProtocolError
from protocol.messages import (
    Classes,
    ClassifierInfo,
    Classify,
    ClipInfo,
    EmbedImages,
    EmbedTexts,
    Generate,
    Labels,
    Method,
    Pictures,
    Preprocessing,
    Texts,
)
from protocol.session import Answer
from protocol.tensors import Array, TensorWriter
from protocol.texts import unpack_texts
from protocol.views import clip_view

IN_FLIGHT = 3
Asked = tuple[Method, Sequence[memoryview]]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a classifier says of n pictures.

    Attributes:
        logits: head -> (n, classes) float32.
        labels: head -> what its classes are called, several names of one with ", " between.
        features: (n, d) float32, what the heads decide by.
    """

    logits: dict[str, Float32]
    labels: dict[str, tuple[str, ...]]
    features: Float32

    def found(self, head: str) -> Array:
        """(n,) int64, the likeliest class of each picture."""
        found: Array = np.argmax(self.logits[head], axis=1)
        return found


def embed_pictures(
    clip: Replicas, pictures: Sequence[Images], preprocessing: Preprocessing = UNSET
) -> Float32:
    """(n, d) float32, CLIP's embeddings of length 1.

    Args:
        clip: the service.
        pictures: to embed.
        preprocessing: `legacy` shows them to it as CLIP-GLaSS did.

    Raises:
        GlasshouseError: clip cannot answer.
    """
    about = clip.info.about
    if not isinstance(about, ClipInfo):
        raise TypeError(about)

    def calls() -> Iterator[Asked]:
        for batch in batches(pictures, clip.info.batch_rows):
            writer = TensorWriter()
            legacy = preprocessing == "legacy"
            seen = batch if legacy else clip_view(batch, about.image_size, about.resizing)
            call = EmbedImages(images=writer.add(seen), preprocessing=preprocessing)
            yield call, writer.frames

    found = [embeddings_of(answer) for answer in _answers(clip, calls())]
    return joined(clip, found, len(pictures), about.embedding_size)


def draw(generator: Replicas, genomes: Float32, space: str, psi: float) -> list[Images]:
    """The pictures of (n, size) float32 genomes of a latent space, (height, width, 3) uint8 each.

    Raises:
        GlasshouseError: the generator cannot answer.
    """

    def calls() -> Iterator[Asked]:
        for start in range(0, len(genomes), max(1, generator.info.batch_rows)):
            writer = TensorWriter()
            rows = writer.add(genomes[start : start + max(1, generator.info.batch_rows)])
            yield Generate(space, rows, psi), writer.frames

    pictures: list[Images] = []
    for answer in _answers(generator, calls()):
        result = answer.reply.result
        if not isinstance(result, Pictures):  # the session has checked
            raise TypeError(result)
        pictures.extend(answer.tensor(result.images))
    return pictures


def embed_texts(clip: Replicas, texts: Sequence[str]) -> Float32:
    """(n, d) float32, CLIP's embeddings of length 1.

    Raises:
        GlasshouseError: clip cannot answer.
    """
    about = clip.info.about
    if not isinstance(about, ClipInfo):
        raise TypeError(about)
    calls = ((EmbedTexts(texts=tuple(part)), ()) for _, part in portions(texts))
    found = [embeddings_of(answer) for answer in _answers(clip, calls)]
    return joined(clip, found, len(texts), about.embedding_size)


def classify(classifier: Replicas, pictures: Sequence[Images]) -> Reading:
    """What a classifier says of pictures; it makes them ready by its own configuration.

    Raises:
        GlasshouseError: it cannot answer.
    """
    about = _classifier(classifier)

    def calls() -> Iterator[Asked]:
        for batch in batches(pictures, classifier.info.batch_rows):
            writer = TensorWriter()
            yield Classify(images=writer.add(batch)), writer.frames

    logits, features = [], []
    for answer in _answers(classifier, calls()):
        result = answer.reply.result
        if not isinstance(result, Classes):  # the session has checked
            raise TypeError(result)
        logits.append(answer.tensor(result.logits))
        features.append(answer.tensor(result.features))
    width = sum(head.classes for head in about.heads)
    rows = joined(classifier, logits, len(pictures), width)
    ends = np.cumsum([head.classes for head in about.heads])
    return Reading(
        logits={
            head.name: rows[:, end - head.classes : end]
            for head, end in zip(about.heads, ends, strict=True)
        },
        labels=labels_of(classifier),
        features=joined(classifier, features, len(pictures), about.feature_size),
    )


def labels_of(classifier: Replicas) -> dict[str, tuple[str, ...]]:
    """Head -> what its classes are called.

    Raises:
        GlasshouseError: it cannot answer.
    """
    about = _classifier(classifier)
    answer = classifier.call(Labels())
    result = answer.reply.result
    if not isinstance(result, Texts):  # the session has checked
        raise TypeError(result)
    names = iter(unpack_texts(answer.tensor(result.texts)))
    named = {head.name: tuple(_take(names, head.classes)) for head in about.heads}
    if any(len(named[head.name]) != head.classes for head in about.heads):
        raise ProtocolError(
            f"{classifier.info.model} names fewer classes than it has; "
            "check it with: service check ENDPOINT"
        )
    return named


def batches(pictures: Sequence[Images], rows: int) -> Iterator[Images]:
    """Pictures in order as (m, height, width, 3), m at most `rows`, those of one size together."""
    for _, group in groupby(pictures, key=lambda picture: picture.shape):
        alike = list(group)
        for start in range(0, len(alike), max(1, rows)):
            yield np.stack(alike[start : start + max(1, rows)])


def joined(asked: Replicas, parts: Sequence[Array], rows: int, columns: int) -> Float32:
    """The parts of an answer one below the other, (rows, columns) float32.

    Raises:
        ProtocolError: they have another shape.
        ModelFailedError: they are not finite.
    """
    shapes = [part.shape for part in parts]
    if sum(shape[0] for shape in shapes) != rows or {*(s[1:] for s in shapes)} - {(columns,)}:
        raise ProtocolError(
            f"{asked.info.model} was asked for {rows} rows of {columns} numbers and answered with "
            f"{shapes}; check it with: service check ENDPOINT"
        )
    whole = np.concatenate([np.zeros((0, columns), np.float32), *parts], dtype=np.float32)
    if not np.isfinite(whole).all():
        raise ModelFailedError(f"{asked.info.model} answered with numbers that are not finite")
    return whole


def _answers(replicas: Replicas, calls: Iterator[Asked]) -> Iterator[Answer]:
    """The answers to these calls in their order; a few calls are under way at a time."""
    waiting: deque[Call] = deque()
    for method, frames in calls:
        waiting.append(replicas.submit(method, frames))
        if len(waiting) >= IN_FLIGHT * max(1, len(replicas.usable)):
            yield _first(replicas, waiting)
    while waiting:
        yield _first(replicas, waiting)


def _first(replicas: Replicas, waiting: deque[Call]) -> Answer:
    call = waiting.popleft()
    wait(replicas.client, [replicas], [call])
    return call.answer()


def _classifier(replicas: Replicas) -> ClassifierInfo:
    about = replicas.info.about
    if not isinstance(about, ClassifierInfo):
        raise TypeError(about)
    return about


def _take(names: Iterator[str], count: int) -> Iterator[str]:
    for _, name in zip(range(count), names, strict=False):
        yield name
