"""The pictures (or texts) of the genomes that a run still needs, the very ones that were scored.

They are also why nothing that is known is evaluated again: elites that are asked for once more, the
start of a refinement and genomes that a batch holds twice are answered from here and the journal's
scores, so a search is told the same, bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.evaluation.evaluator import Evaluation, Float32, Float64, Images, finite_rows
from orchestrator.runs.history import History, Score


@dataclass(frozen=True, eq=False)
class Individual:
    """One evaluated genome.

    Attributes:
        genome: (size,) float32.
        image: (height, width, 3) uint8, as it was scored.
        embedding: (d,) float32 of length 1.
        text: its caption where the generator writes; the image is then of 0 x 0.
        score: what the search was told.
    """

    genome: Float32
    image: Images
    embedding: Float32
    text: str
    score: Score


class Gallery:
    """Pictures and CLIP embeddings by genome."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Images, Float32, str]] = {}

    def add(self, genomes: Float32, evaluation: Evaluation) -> None:
        """Remember an evaluated batch, row for row."""
        texts = evaluation.texts or ("",) * len(genomes)
        looks = zip(evaluation.images, evaluation.embeddings, texts, strict=True)
        self._known.update(zip((genome.tobytes() for genome in genomes), looks, strict=True))

    def evaluated(
        self, genomes: Float32, history: History, evaluate: Callable[[Float32], Evaluation]
    ) -> Evaluation:
        """Evaluate a batch, (n, size) float32: each genome once, and none that is kept here."""
        keys = [genome.tobytes() for genome in genomes]
        first: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            first.setdefault(key, row)
        kept = [key for key in first if key in self._known]
        new = [key for key in first if key not in self._known]
        if len(new) == len(keys):
            return evaluate(genomes)
        found = self._recalled([genomes[first[key]] for key in kept], history) if kept else None
        if new:
            fresh = evaluate(genomes[[first[key] for key in new]])
            found = fresh if found is None else found.followed_by(fresh)
        if found is None:
            raise ValueError("wanted at least one genome")
        places = {key: place for place, key in enumerate([*kept, *new])}
        return found.take([places[key] for key in keys])

    def _recalled(self, genomes: Sequence[Float32], history: History) -> Evaluation:
        """What was found when these were evaluated."""
        known = self.individuals(genomes, history)
        realism = [one.score.realism for one in known if one.score.realism is not None]
        scored = [one.score.scored for one in known if one.score.scored is not None]
        texts = tuple(one.text for one in known)
        return Evaluation(
            images=np.stack([one.image for one in known]),
            embeddings=np.stack([one.embedding for one in known]),
            similarity=np.array([one.score.similarity for one in known], np.float64),
            realism=np.array(realism, np.float64) if realism else None,
            texts=texts if any(texts) else (),
            scored=np.array(scored, np.float64) if scored else None,
        )

    def keep(self, genomes: Sequence[Float32]) -> None:
        """Forget all but these."""
        self._known = {key: self._known[key] for key in (genome.tobytes() for genome in genomes)}

    def individuals(self, genomes: Sequence[Float32], history: History) -> list[Individual]:
        """The individuals of these genomes, row for row."""
        return [
            Individual(genome, *self._known[genome.tobytes()], history.score(genome))
            for genome in genomes
        ]


def likeness(embeddings: Float32, others: Float32) -> Float64:
    """(n,) float64: the cosine of each to whatever is nearest, of the rest and of the others.

    Args:
        embeddings: (n, d) float32, unit vectors.
        others: (m, d) float32, the same; m may be 0.

    Returns:
        From -1, and -1 where there is nothing else, to 1; rows that are not finite count for none.
    """
    rows = np.arange(len(embeddings))
    everything = np.concatenate([embeddings, others.reshape(-1, embeddings.shape[1])])
    cosines = embeddings.astype(np.float64) @ everything.astype(np.float64).T
    cosines[rows, rows] = -1.0
    nearest: Float64 = np.nan_to_num(cosines, nan=-1.0).max(axis=1, initial=-1.0)
    return nearest


def diversity(embeddings: Float32) -> float:
    """Mean pairwise cosine distance of (n, d) unit vectors, 0 (all alike) to 2; 0 for one alone.

    Rows that are not finite do not count.
    """
    embeddings = finite_rows(embeddings)
    count = len(embeddings)
    if count < 2:
        return 0.0
    total = embeddings.sum(0, np.float64)
    # The sum of all pairwise cosines of unit vectors is the squared length of their sum.
    mean_cosine = (float(np.dot(total, total)) - count) / (count * (count - 1))
    return 1.0 - mean_cosine
