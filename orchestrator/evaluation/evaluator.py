"""The pipeline of one generation: generator, then clip and discriminator, in micro-batches.

A population is cut into micro-batches of the generator's own batch size, and two are in flight at
all times, so that the generator draws the next while clip looks at the last. Results come back in
the order of the genomes, whatever order the services finished in.

Where all services are on this host, pictures stay in the generator's slots: clip and discriminator
get references, and the slots are released when both have answered. A slot that was lost meanwhile
has its micro-batch drawn again, and sent as frames.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from protocol.client import Client, Service
from protocol.errors import BadRequestError, ModelFailedError, SlotLostError
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
from protocol.tensors import Array, Slot, TensorRef, TensorWriter

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
        viewers = ensemble.services[1:]
        self._hand_off = client.can_hand_off(ensemble.generator, viewers)

    def evaluate(self, genomes: Float32) -> Evaluation:
        """Draw and judge every genome, (n, size) float32.

        Raises:
            GlasshouseError: a service is lost, refuses, or does not answer in time.
        """
        generation = _Generation(self, genomes, self._ensemble.generator.info.batch_rows)
        waiting: list[_Step] = []
        while True:
            waiting += generation.submit()
            if not waiting:
                return generation.evaluation(self._target)
            self._client.wait(step.pending for step in waiting)
            done = [step for step in waiting if step.pending.done]
            waiting = [step for step in waiting if not step.pending.done]
            for step in done:
                generation.take(step)

    def generate(self, genomes: Float32, *, slots: bool) -> Pending:
        """Ask for the pictures of one micro-batch, in slots if they can be handed off."""
        writer = TensorWriter()
        call = Generate(
            space=self._space,
            genomes=writer.add(genomes),
            truncation_psi=self._psi,
            clip_size=self._clip_size,
        )
        slots = slots and self._hand_off
        return self._client.submit(self._ensemble.generator, call, writer.frames, slots=slots)

    def embed(self, drawn: Answer, ref: TensorRef) -> Pending:
        """Ask clip to look at pictures of its own size."""
        writer = TensorWriter()
        call = EmbedImages(images=_passed_on(drawn, ref, writer))
        return self._client.submit(self._ensemble.clip, call, writer.frames)

    def score(self, drawn: Answer, ref: TensorRef) -> Pending | None:
        """Ask the discriminator, if there is one."""
        if self._ensemble.discriminator is None:
            return None
        writer = TensorWriter()
        call = Score(images=_passed_on(drawn, ref, writer))
        return self._client.submit(self._ensemble.discriminator, call, writer.frames)

    def release(self, drawn: Pending) -> None:
        """Give the generator its slots back."""
        self._client.release(self._ensemble.generator, drawn)


@dataclass(eq=False)
class _MicroBatch:
    """Genomes from `start` on, on their way.

    Attributes:
        drawn: the request to the generator.
        viewers: requests to clip and discriminator that are under way.
        lost: whether somebody came too late to read a slot.
    """

    start: int
    drawn: Pending
    viewers: int = 0
    lost: bool = False


@dataclass(frozen=True)
class _Step:
    """One request of a micro-batch, and what is to be done with its answer."""

    batch: _MicroBatch
    pending: Pending
    take: Callable[[_MicroBatch, Answer], None]


class _Generation:
    """One population on its way through the services."""

    def __init__(self, evaluator: Evaluator, genomes: Float32, rows: int) -> None:
        self._evaluator = evaluator
        self._genomes = genomes
        self._starts = deque((start, True) for start in range(0, len(genomes), rows))
        self._rows = rows
        self._drawing = 0
        self._new: list[_Step] = []
        self._images: dict[int, Array] = {}
        self._embeddings: dict[int, Array] = {}
        self._logits: dict[int, Array] = {}

    def submit(self) -> list[_Step]:
        """Requests that can be made now."""
        while self._starts and self._drawing < IN_FLIGHT:
            start, slots = self._starts.popleft()
            rows = self._genomes[start : start + self._rows]
            batch = _MicroBatch(start, self._evaluator.generate(rows, slots=slots))
            self._drawing += 1
            self._new.append(_Step(batch, batch.drawn, self._drawn))
        new, self._new = self._new, []
        return new

    def take(self, step: _Step) -> None:
        """Use an answer; pictures whose slot was lost are drawn again."""
        batch = step.batch
        if step.pending is batch.drawn:
            self._drawing -= 1
        else:
            batch.viewers -= 1
        try:
            step.take(batch, step.pending.answer())
        except SlotLostError:
            if not batch.drawn.request.slots:
                raise
            batch.lost = True
        if not batch.viewers:
            self._evaluator.release(batch.drawn)
            if batch.lost:
                self._starts.appendleft((batch.start, False))

    def evaluation(self, target: Float64) -> Evaluation:
        """All rows in the order of the genomes."""
        embeddings = _in_order(self._embeddings).astype(np.float32)
        return Evaluation(
            images=_in_order(self._images),
            embeddings=embeddings,
            similarity=embeddings.astype(np.float64) @ target,
            realism=_in_order(self._logits).astype(np.float64) if self._logits else None,
        )

    def _drawn(self, batch: _MicroBatch, answer: Answer) -> None:
        result = answer.reply.result
        if not isinstance(result, Pictures):  # the session has checked
            raise TypeError(result)
        seen = self._evaluator.embed(answer, result.clip_images or result.images)
        steps = [_Step(batch, seen, self._embedded)]
        judged = self._evaluator.score(answer, result.images)
        if judged is not None:
            steps.append(_Step(batch, judged, self._scored))
        self._new += steps
        batch.viewers = len(steps)
        self._images[batch.start] = answer.tensor(result.images)

    def _embedded(self, batch: _MicroBatch, answer: Answer) -> None:
        result = answer.reply.result
        if isinstance(result, Embeddings):
            self._embeddings[batch.start] = answer.tensor(result.embeddings)

    def _scored(self, batch: _MicroBatch, answer: Answer) -> None:
        result = answer.reply.result
        if isinstance(result, Scores):
            self._logits[batch.start] = answer.tensor(result.logits)


def _passed_on(drawn: Answer, ref: TensorRef, writer: TensorWriter) -> TensorRef:
    """A reference for the next service: the slot as it is, other pixels through this process."""
    return ref if isinstance(ref, Slot) else writer.add(drawn.tensor(ref))


def _in_order(parts: dict[int, Array]) -> Array:
    return np.concatenate([parts[start] for start in sorted(parts)])


def embed_text(client: Client, clip: Service, text: str) -> Float32:
    """(d,) float32, the embedding of one text.

    Raises:
        GlasshouseError: clip refuses the text (too long, say) or cannot answer.
    """
    asked = client.submit(clip, EmbedTexts(texts=(text,)), interactive=True)
    client.wait([asked])
    answer = asked.answer()
    result = answer.reply.result
    if not isinstance(result, Embeddings):  # the session has checked
        raise TypeError(result)
    embedding: Float32 = answer.tensor(result.embeddings)[0].astype(np.float32)
    if not np.isfinite(embedding).all():
        raise ModelFailedError(f"{clip.info.model} gave no finite embedding of '{text}'")
    return embedding
