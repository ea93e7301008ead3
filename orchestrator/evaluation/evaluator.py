"""The pipeline of one generation: generator, then clip and discriminator, in micro-batches.

A population is cut into micro-batches of the generator's own batch size, and two are in flight at
all times, so that the generator draws the next while clip looks at the last. Results come back in
the order of the genomes, whatever order the services finished in.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from protocol.client import Client, Service
from protocol.errors import BadRequestError, ModelFailedError
from protocol.messages import (
    ClipInfo,
    DiscriminatorInfo,
    Embeddings,
    EmbedImages,
    EmbedTexts,
    Generate,
    GeneratorInfo,
    Pictures,
    Score,
    Scores,
)
from protocol.session import Answer, Pending
from protocol.tensors import Array, TensorWriter

IN_FLIGHT = 2

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Ensemble:
    """The services that evaluate a run's genomes.

    Attributes:
        generator: draws.
        clip: compares with the prompt.
        discriminator: judges how real; None to leave that out.
    """

    generator: Service
    clip: Service
    discriminator: Service | None = None

    def check(self) -> None:
        """Refuse services that do not fit together.

        Raises:
            BadRequestError: a discriminator of another picture size than the generator.
        """
        drawn, wanted = self.generator.info.about, self.judged
        if wanted is None or not isinstance(drawn, GeneratorInfo):
            return
        if (drawn.height, drawn.width) != (wanted.height, wanted.width):
            raise BadRequestError(
                f"{self.generator.info.model} draws {drawn.height}x{drawn.width} pictures, but the "
                f"discriminator wants {wanted.height}x{wanted.width}; choose the generator's own "
                "with --discriminator, or --discriminator none"
            )

    @property
    def judged(self) -> DiscriminatorInfo | None:
        """What the discriminator takes, if there is one."""
        about = self.discriminator.info.about if self.discriminator else None
        return about if isinstance(about, DiscriminatorInfo) else None

    @property
    def services(self) -> list[Service]:
        """Those that are there."""
        found = (self.generator, self.clip, self.discriminator)
        return [service for service in found if service is not None]


@dataclass(frozen=True)
class Evaluation:
    """What a generation turned out to be; row i belongs to genome i.

    Attributes:
        images: (n, height, width, 3) uint8.
        embeddings: (n, d) float32, CLIP's view, length 1.
        similarity: (n,) float64, cosine to the prompt, -1 to 1.
        realism: (n,) float64, the discriminator's logit; None without one.
    """

    images: Images
    embeddings: Float32
    similarity: Float64
    realism: Float64 | None

    def objectives(self, number: int) -> Float64:
        """(n, number) float64 to minimise: 1 - similarity, and softplus(-realism) if two."""
        columns = [1.0 - self.similarity]
        if number > 1 and self.realism is not None:
            columns.append(np.logaddexp(0.0, -self.realism))
        return np.stack(columns, axis=1)


class Evaluator:
    """Evaluates genomes of one latent space against one prompt.

    Args:
        client: owns the conversations.
        ensemble: the services.
        target: (d,) float32, the prompt's embedding.
        space: latent space of the genomes.
        truncation_psi: passed to the generator.
    """

    def __init__(
        self,
        client: Client,
        ensemble: Ensemble,
        target: Float32,
        space: str,
        truncation_psi: float = 1.0,
    ) -> None:
        self._client = client
        self._ensemble = ensemble
        self._target = target.astype(np.float64)
        self._space = space
        self._psi = truncation_psi
        about = ensemble.clip.info.about
        self._clip_size = about.image_size if isinstance(about, ClipInfo) else 0

    def evaluate(self, genomes: Float32) -> Evaluation:
        """Draw and judge every genome, (n, size) float32.

        Raises:
            GlasshouseError: a service is lost, refuses, or does not answer in time.
        """
        generation = _Generation(self, genomes, self._ensemble.generator.info.batch_rows)
        waiting: list[tuple[Pending, Callable[[Answer], None]]] = []
        while True:
            waiting += generation.submit()
            if not waiting:
                return generation.evaluation(self._target)
            self._client.wait(pending for pending, _ in waiting)
            done = [entry for entry in waiting if entry[0].done]
            waiting = [entry for entry in waiting if not entry[0].done]
            for pending, take in done:
                take(pending.answer())

    def generate(self, genomes: Float32) -> Pending:
        """Ask for the pictures of one micro-batch."""
        writer = TensorWriter()
        call = Generate(
            space=self._space,
            genomes=writer.add(genomes),
            truncation_psi=self._psi,
            clip_size=self._clip_size,
        )
        return self._client.submit(self._ensemble.generator, call, writer.frames)

    def embed(self, images: Array) -> Pending:
        """Ask clip to look at pictures of its own size."""
        writer = TensorWriter()
        call = EmbedImages(images=writer.add(images))
        return self._client.submit(self._ensemble.clip, call, writer.frames)

    def score(self, images: Array) -> Pending | None:
        """Ask the discriminator, if there is one."""
        if self._ensemble.discriminator is None:
            return None
        writer = TensorWriter()
        call = Score(images=writer.add(images))
        return self._client.submit(self._ensemble.discriminator, call, writer.frames)


class _Generation:
    """One population on its way through the services."""

    def __init__(self, evaluator: Evaluator, genomes: Float32, rows: int) -> None:
        self._evaluator = evaluator
        self._genomes = genomes
        self._starts = deque(range(0, len(genomes), rows))
        self._rows = rows
        self._drawing = 0
        self._new: list[tuple[Pending, Callable[[Answer], None]]] = []
        self._images: dict[int, Array] = {}
        self._embeddings: dict[int, Array] = {}
        self._logits: dict[int, Array] = {}

    def submit(self) -> list[tuple[Pending, Callable[[Answer], None]]]:
        """Requests that can be made now, each with what is to be done with its answer."""
        while self._starts and self._drawing < IN_FLIGHT:
            start = self._starts.popleft()
            self._drawing += 1
            rows = self._genomes[start : start + self._rows]
            self._new.append((self._evaluator.generate(rows), self._drawn(start)))
        new, self._new = self._new, []
        return new

    def evaluation(self, target: Float64) -> Evaluation:
        """All rows in the order of the genomes."""
        embeddings = _in_order(self._embeddings).astype(np.float32)
        return Evaluation(
            images=_in_order(self._images),
            embeddings=embeddings,
            similarity=embeddings.astype(np.float64) @ target,
            realism=_in_order(self._logits).astype(np.float64) if self._logits else None,
        )

    def _drawn(self, start: int) -> Callable[[Answer], None]:
        def take(answer: Answer) -> None:
            self._drawing -= 1
            result = answer.reply.result
            if not isinstance(result, Pictures):  # the session has checked
                raise TypeError(result)
            self._images[start] = images = answer.tensor(result.images)
            seen = answer.tensor(result.clip_images) if result.clip_images else images
            self._new.append((self._evaluator.embed(seen), self._embedded(start)))
            judged = self._evaluator.score(images)
            if judged is not None:
                self._new.append((judged, self._scored(start)))

        return take

    def _embedded(self, start: int) -> Callable[[Answer], None]:
        def take(answer: Answer) -> None:
            result = answer.reply.result
            if isinstance(result, Embeddings):
                self._embeddings[start] = answer.tensor(result.embeddings)

        return take

    def _scored(self, start: int) -> Callable[[Answer], None]:
        def take(answer: Answer) -> None:
            result = answer.reply.result
            if isinstance(result, Scores):
                self._logits[start] = answer.tensor(result.logits)

        return take


def _in_order(parts: dict[int, Array]) -> Array:
    return np.concatenate([parts[start] for start in sorted(parts)])


def embed_text(client: Client, clip: Service, text: str) -> Float32:
    """(d,) float32, the embedding of one text.

    Raises:
        GlasshouseError: clip refuses the text (too long, say) or cannot answer.
    """
    answer = client.call(clip, EmbedTexts(texts=(text,))).answer()
    result = answer.reply.result
    if not isinstance(result, Embeddings):  # the session has checked
        raise TypeError(result)
    embedding: Float32 = answer.tensor(result.embeddings)[0].astype(np.float32)
    if not np.isfinite(embedding).all():
        raise ModelFailedError(f"{clip.info.model} gave no finite embedding of '{text}'")
    return embedding
