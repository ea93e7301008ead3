"""The pictures (or texts) of the genomes that a run still needs, the very ones that were scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.evaluation.evaluator import Evaluation, Float32, Images
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

    def keep(self, genomes: Sequence[Float32]) -> None:
        """Forget all but these."""
        self._known = {key: self._known[key] for key in (genome.tobytes() for genome in genomes)}

    def individuals(self, genomes: Sequence[Float32], history: History) -> list[Individual]:
        """The individuals of these genomes, row for row."""
        return [
            Individual(genome, *self._known[genome.tobytes()], history.score(genome))
            for genome in genomes
        ]


def diversity(embeddings: Float32) -> float:
    """Mean pairwise cosine distance of (n, d) unit vectors, 0 (all alike) to 2; 0 for one alone."""
    count = len(embeddings)
    if count < 2:
        return 0.0
    total = embeddings.sum(0, np.float64)
    # The sum of all pairwise cosines of unit vectors is the squared length of their sum.
    mean_cosine = (float(np.dot(total, total)) - count) / (count * (count - 1))
    return 1.0 - mean_cosine
