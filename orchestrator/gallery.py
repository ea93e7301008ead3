"""The evaluated genomes that a run still needs, with the very pictures that were scored."""

from dataclasses import dataclass

import numpy as np

from orchestrator.evaluation.evaluator import Evaluation, Float32, Images


@dataclass(frozen=True, eq=False)
class Individual:
    """One evaluated genome.

    Attributes:
        genome: (size,) float32.
        image: (height, width, 3) uint8, as it was scored.
        embedding: (d,) float32 of length 1.
        similarity: cosine to the prompt.
        realism: the discriminator's logit, if there is one.
        generation: when it was evaluated.
    """

    genome: Float32
    image: Images
    embedding: Float32
    similarity: float
    realism: float | None
    generation: int


class Gallery:
    """Individuals by genome."""

    def __init__(self) -> None:
        self._known: dict[bytes, Individual] = {}

    def add(self, genomes: Float32, evaluation: Evaluation, generation: int) -> list[Individual]:
        """Remember an evaluated batch; returns its individuals, row for row."""
        realism = evaluation.realism
        individuals = [
            Individual(
                genome=genomes[row],
                image=evaluation.images[row],
                embedding=evaluation.embeddings[row],
                similarity=float(evaluation.similarity[row]),
                realism=None if realism is None else float(realism[row]),
                generation=generation,
            )
            for row in range(len(genomes))
        ]
        self._known.update((individual.genome.tobytes(), individual) for individual in individuals)
        return individuals

    def keep(self, genomes: Float32) -> list[Individual]:
        """The individuals of these genomes, row for row; all others are forgotten."""
        keys = [genome.tobytes() for genome in genomes]
        self._known = {key: self._known[key] for key in keys}
        return [self._known[key] for key in keys]


def diversity(individuals: list[Individual]) -> float:
    """Mean pairwise cosine distance of CLIP embeddings, 0 (all alike) to 2; 0 for one alone."""
    count = len(individuals)
    if count < 2:
        return 0.0
    total = np.stack([individual.embedding for individual in individuals]).sum(0, np.float64)
    # The sum of all pairwise cosines of unit vectors is the squared length of their sum.
    mean_cosine = (float(np.dot(total, total)) - count) / (count * (count - 1))
    return 1.0 - mean_cosine
