"""The pipeline of one generation: generator, then clip and the judges, in micro-batches.

A population is cut into micro-batches of the generator's own batch size, and two are in flight for
each generator at all times, so that it draws the next while clip looks at the last. Results come
back in the order of the genomes, whatever order the services finished in, and whichever replica
computed them: every row is counted once.

Pictures stay in the generator's slots: clip and discriminator get references, map the slots or
fetch them from the generator, and the slots are released when both have answered. A slot that was
lost meanwhile has its micro-batch drawn again, and sent as frames.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from orchestrator.evaluation.handoff import HandOff
from orchestrator.fleet.ensemble import Ensemble
from orchestrator.fleet.replicas import Call, Replicas
from protocol.client import Client
from protocol.errors import ModelFailedError, ProtocolError, SlotLostError
from protocol.messages import (
    ClipInfo,
    Embeddings,
    EmbedImages,
    EmbedTexts,
    Fetch,
    Fetched,
    Generate,
    Pictures,
    Preprocessing,
    Resizing,
    RoleInfo,
    Score,
    Scores,
)
from protocol.session import Answer
from protocol.tensors import Array, Slot, TensorRef, TensorWriter

IN_FLIGHT = 2

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    """What a generation turned out to be; row i belongs to genome i.

    Attributes:
        images: (n, height, width, 3) uint8.
        embeddings: (n, d) float32, CLIP's view, length 1.
        similarity: (n,) float64, cosine to the prompt, -1 to 1.
        realism: (n,) float64, the discriminator's logit; None without one.
        texts: n captions where the generator writes; images are then of 0 x 0.
        scored: (n,) float64, a scorer's numbers as they are, NaN where it has none; None without.
    """

    images: Images
    embeddings: Float32
    similarity: Float64
    realism: Float64 | None
    texts: tuple[str, ...] = ()
    scored: Float64 | None = None

    def take(self, rows: Sequence[int]) -> "Evaluation":
        """These rows in this order, each as often as it is named."""
        index = np.array(rows, np.intp)
        return Evaluation(
            images=self.images[index],
            embeddings=self.embeddings[index],
            similarity=self.similarity[index],
            realism=None if self.realism is None else self.realism[index],
            texts=tuple(self.texts[row] for row in rows) if self.texts else (),
            scored=None if self.scored is None else self.scored[index],
        )

    def followed_by(self, other: "Evaluation") -> "Evaluation":
        """The rows of both, which the same services answered."""
        return Evaluation(
            images=np.concatenate([self.images, other.images]),
            embeddings=np.concatenate([self.embeddings, other.embeddings]),
            similarity=np.concatenate([self.similarity, other.similarity]),
            realism=_joined(self.realism, other.realism),
            texts=self.texts + other.texts,
            scored=_joined(self.scored, other.scored),
        )

    def costs(self, *, hinge: bool = False, lower_is_better: bool = False) -> dict[str, Float64]:
        """What there is to minimise, (n,) float64 each, by name: similarity, realism, scorer.

        1 - similarity; softplus(-realism), or with `hinge` max(0, 1 - realism), as CLIP-GLaSS had
        it; and a scorer's numbers, turned round unless its `lower_is_better`.
        """
        found = {"similarity": 1.0 - self.similarity}
        if self.realism is not None:
            softplus = np.logaddexp(0.0, -self.realism)
            found["realism"] = np.maximum(0.0, 1.0 - self.realism) if hinge else softplus
        if self.scored is not None:
            found["scorer"] = self.scored if lower_is_better else -self.scored
        return found


class Evaluator:
    """Evaluates genomes of one latent space against one prompt.

    Args:
        client: owns the conversations.
        ensemble: the services.
        target: (d,) float32, the prompt's embedding.
        space: latent space of the genomes.
        truncation_psi: passed to the generator.
        preprocessing: how clip looks; with `legacy` it gets the pictures themselves, not the view.
    """

    def __init__(
        self,
        client: Client,
        ensemble: Ensemble,
        target: Float32,
        space: str,
        truncation_psi: float = 1.0,
        preprocessing: Preprocessing = UNSET,
    ) -> None:
        self._ensemble = ensemble
        self._target = target
        self._space = space
        self._psi = truncation_psi
        self._preprocessing = preprocessing
        about = ensemble.clip.info.about
        self._clip_size = view_size(about, preprocessing)
        self._resizing = resizing_of(about)
        self._hand_off = HandOff(client, ensemble.generator, ensemble.roles[1:])
        self._hand_off.ask()

    def evaluate(self, genomes: Float32) -> Evaluation:
        """Draw and judge every genome, (n, size) float32.

        Raises:
            GlasshouseError: a service refuses, or none of a role is left.
        """
        generation = _Generation(self, genomes, self._ensemble.generator.info.batch_rows)
        waiting: list[_Step] = []
        while True:
            waiting += generation.submit()
            if not waiting:
                return generation.evaluation(self._target)
            self._ensemble.wait(step.call for step in waiting)
            done = [step for step in waiting if step.call.done]
            waiting = [step for step in waiting if not step.call.done]
            for step in done:
                generation.take(step)

    @property
    def most_drawing(self) -> int:
        """Micro-batches that are with the generators at a time."""
        return IN_FLIGHT * max(1, len(self._ensemble.generator.usable))

    def generate(self, genomes: Float32, *, slots: bool) -> Call:
        """Ask for the pictures of one micro-batch, in slots if they can be handed off."""
        writer = TensorWriter()
        call = Generate(
            space=self._space,
            genomes=writer.add(genomes),
            truncation_psi=self._psi,
            clip_size=self._clip_size,
            resizing=self._resizing,
        )
        in_slots = self._hand_off.possible if slots else None
        return self._ensemble.generator.submit(call, writer.frames, in_slots=in_slots)

    def embed(self, drawn: Answer, ref: TensorRef) -> Call:
        """Ask clip to look at pictures of its own size."""
        writer = TensorWriter()
        images = _passed_on(drawn, ref, writer)
        call = EmbedImages(images=images, preprocessing=self._preprocessing)
        return self._ensemble.clip.submit(call, writer.frames)

    @property
    def judges(self) -> dict[str, Replicas]:
        """The discriminator and the scorer, where there are such, by role."""
        found = (self._ensemble.discriminator, self._ensemble.scorer)
        return {judge.role: judge for judge in found if judge is not None}

    def score(self, judge: Replicas, drawn: Answer, ref: TensorRef) -> Call:
        """Ask a judge."""
        writer = TensorWriter()
        call = Score(images=_passed_on(drawn, ref, writer))
        return judge.submit(call, writer.frames)

    def fetch(self, drawn: Call, slot: Slot) -> Call:
        """Ask the generator that drew them for pictures that this process cannot map."""
        return self._ensemble.generator.submit(Fetch(slot=slot), only=drawn.service)


@dataclass(eq=False)
class _MicroBatch:
    """Genomes from `start` on, on their way.

    Attributes:
        drawn: the call to the generator.
        viewers: calls to clip and discriminator that are under way.
        lost: whether somebody came too late to read a slot.
    """

    start: int
    drawn: Call
    viewers: int = 0
    lost: bool = False


@dataclass(frozen=True)
class _Step:
    """One call of a micro-batch, and what is to be done with its answer."""

    batch: _MicroBatch
    call: Call
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
        self._scores: dict[str, dict[int, Array]] = {role: {} for role in evaluator.judges}

    def submit(self) -> list[_Step]:
        """Calls that can be made now."""
        while self._starts and self._drawing < self._evaluator.most_drawing:
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
        if step.call is batch.drawn:
            self._drawing -= 1
        else:
            batch.viewers -= 1
        try:
            step.take(batch, step.call.answer())
        except SlotLostError:
            if not batch.drawn.slots:
                raise
            batch.lost = True
        if not batch.viewers:
            batch.drawn.release()
            if batch.lost:
                self._starts.appendleft((batch.start, False))

    def evaluation(self, target: Float32) -> Evaluation:
        """All rows in the order of the genomes."""
        embeddings = self._in_order(self._embeddings).astype(np.float32)
        return Evaluation(
            images=self._in_order(self._images),
            embeddings=embeddings,
            similarity=cosines(embeddings, target),
            realism=self._judged("discriminator"),
            scored=self._judged("scorer"),
        )

    def _judged(self, role: str) -> Float64 | None:
        """(n,) float64, what one judge said; None where there is none."""
        found = self._scores.get(role)
        return None if found is None else self._in_order(found).astype(np.float64)

    def _in_order(self, parts: dict[int, Array]) -> Array:
        """Rows of all micro-batches, each genome's once."""
        rows = np.concatenate([parts[start] for start in sorted(parts)])
        if len(rows) != len(self._genomes):
            raise ProtocolError(
                f"asked about {len(self._genomes)} genomes, but the services answered about "
                f"{len(rows)}; check them with: service check ENDPOINT"
            )
        return rows

    def _drawn(self, batch: _MicroBatch, answer: Answer) -> None:
        result = answer.reply.result
        if not isinstance(result, Pictures):  # the session has checked
            raise TypeError(result)
        seen = self._evaluator.embed(answer, result.clip_images or result.images)
        steps = [_Step(batch, seen, self._embedded)]
        for role, judge in self._evaluator.judges.items():
            asked = self._evaluator.score(judge, answer, result.images)
            steps.append(_Step(batch, asked, partial(self._scored, role)))
        try:
            self._images[batch.start] = answer.tensor(result.images)
        except SlotLostError:  # it is on another host, say
            if not isinstance(result.images, Slot):
                raise
            copied = self._evaluator.fetch(batch.drawn, result.images)
            steps.append(_Step(batch, copied, self._fetched))
        self._new += steps
        batch.viewers = len(steps)

    def _fetched(self, batch: _MicroBatch, answer: Answer) -> None:
        result = answer.reply.result
        if isinstance(result, Fetched):
            self._images[batch.start] = answer.tensor(result.tensor)

    def _embedded(self, batch: _MicroBatch, answer: Answer) -> None:
        result = answer.reply.result
        if isinstance(result, Embeddings):
            self._embeddings[batch.start] = answer.tensor(result.embeddings)

    def _scored(self, role: str, batch: _MicroBatch, answer: Answer) -> None:
        result = answer.reply.result
        if isinstance(result, Scores):
            self._scores[role][batch.start] = answer.tensor(result.logits)


def cosines(embeddings: Float32, target: npt.NDArray[np.floating]) -> Float64:
    """(n,) float64, each row's dot product with one vector: the same bits in whatever batch.

    A matrix product would not do: BLAS rounds the last rows of a batch otherwise than the first.

    Args:
        embeddings: (n, d) float32.
        target: (d,).
    """
    products = np.ascontiguousarray(embeddings, np.float64) * target.astype(np.float64)
    sums: Float64 = products.sum(axis=1)
    return sums


def finite_rows(embeddings: Float32) -> Float32:
    """Those rows of (n, d) in which CLIP saw something: all their numbers are finite."""
    finite = np.isfinite(embeddings).all(axis=1)
    return embeddings if finite.all() else embeddings[finite]


def _joined(one: Float64 | None, other: Float64 | None) -> Float64 | None:
    return None if one is None or other is None else np.concatenate([one, other])


def view_size(about: RoleInfo, preprocessing: Preprocessing) -> int:
    """The side of the view that the generator makes for clip; 0 if clip wants none."""
    return about.image_size if isinstance(about, ClipInfo) and preprocessing is UNSET else 0


def resizing_of(about: RoleInfo) -> Resizing:
    """How the generator is to make that view."""
    return about.resizing if isinstance(about, ClipInfo) else UNSET


def _passed_on(drawn: Answer, ref: TensorRef, writer: TensorWriter) -> TensorRef:
    """A reference for the next service: the slot as it is, other pixels through this process."""
    return ref if isinstance(ref, Slot) else writer.add(drawn.tensor(ref))


def embeddings_of(answer: Answer) -> Float32:
    """(n, d) float32, what clip has answered."""
    result = answer.reply.result
    if not isinstance(result, Embeddings):  # the session has checked
        raise TypeError(result)
    embeddings: Float32 = answer.tensor(result.embeddings).astype(np.float32)
    return embeddings


def one_embedding(clip: Replicas, answer: Answer, what: str) -> Float32:
    """(d,) float32, clip's answer about one thing, which an error calls `what`.

    Raises:
        ModelFailedError: it is not finite.
    """
    embedding: Float32 = embeddings_of(answer)[0]
    if not np.isfinite(embedding).all():
        raise ModelFailedError(f"{clip.info.model} gave no finite embedding of {what}")
    return embedding


def embed_text(clip: Replicas, text: str) -> Float32:
    """(d,) float32, the embedding of one text.

    Raises:
        GlasshouseError: clip refuses the text or cannot answer.
    """
    answer = clip.call(EmbedTexts(texts=(text,)), interactive=True)
    embedding = one_embedding(clip, answer, f"'{text}'")
    result, about = answer.reply.result, clip.info.about
    cut = isinstance(result, Embeddings) and result.cut is not UNSET
    if cut and isinstance(about, ClipInfo):
        clip.tell(
            f"'{text}' has more than the {about.context_tokens} tokens that {clip.info.model} "
            "sees; its end was left out"
        )
    return embedding
