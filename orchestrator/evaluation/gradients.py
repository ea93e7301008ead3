"""The gradient of similarity by genes, through two services: clip by pixels, generator by genes.

It is taken at the pictures as they are scored, rounded to levels; docs/wire.md says what each of
the two answers. The pictures travel through the orchestrator here: there are few rows, and the
gradients are four times as large anyway.
"""

from dataclasses import dataclass

import numpy as np

from orchestrator.evaluation.evaluator import Float32, Float64, resizing_of, view_size
from orchestrator.fleet.ensemble import Ensemble
from orchestrator.fleet.replicas import Replicas
from protocol.errors import ModelFailedError
from protocol.messages import (
    Generate,
    Gradients,
    LatentGradient,
    Method,
    Pictures,
    Preprocessing,
    SimilarityGradient,
)
from protocol.tensors import Array, TensorWriter


@dataclass(frozen=True, eq=False)
class Differentiator:
    """Asks for gradients under the conditions of one run.

    Attributes:
        ensemble: the services.
        target: (d,) float32, the prompt's embedding.
        space: latent space of the genomes.
        truncation_psi: passed to the generator.
        preprocessing: how clip looks.
    """

    ensemble: Ensemble
    target: Float32
    space: str
    truncation_psi: float
    preprocessing: Preprocessing

    def gradients(self, genomes: Float32) -> Float64:
        """(n, size) float64, of 1 - similarity by the genes of (n, size) float32.

        Raises:
            GlasshouseError: a service cannot differentiate, or none of a role is left.
        """
        rows = self.ensemble.generator.info.batch_rows
        parts = [self._part(genomes[at : at + rows]) for at in range(0, len(genomes), rows)]
        return -np.concatenate(parts).astype(np.float64)

    def _part(self, genomes: Float32) -> Array:
        """Of similarity, for one micro-batch."""
        about, space, psi = self.ensemble.clip.info.about, self.space, self.truncation_psi
        size, resizing = view_size(about, self.preprocessing), resizing_of(about)
        writer = TensorWriter()
        drawing = Generate(space, writer.add(genomes), psi, size, resizing)
        drawn = self.ensemble.generator.call(drawing, writer.frames)
        pictures = drawn.reply.result
        if not isinstance(pictures, Pictures):  # the session has checked
            raise TypeError(pictures)
        writer = TensorWriter()
        images = writer.add(drawn.tensor(pictures.clip_images or pictures.images))
        looking = SimilarityGradient(images, writer.add(self.target), self.preprocessing)
        by_levels = self._gradients(self.ensemble.clip, looking, writer)
        writer = TensorWriter()
        rows, levels = writer.add(genomes), writer.add(by_levels)
        tracing = LatentGradient(space, rows, levels, psi, size, resizing)
        return self._gradients(self.ensemble.generator, tracing, writer)

    def _gradients(self, replicas: Replicas, method: Method, writer: TensorWriter) -> Array:
        answer = replicas.call(method, writer.frames)
        result = answer.reply.result
        if not isinstance(result, Gradients):  # the session has checked
            raise TypeError(result)
        found = answer.tensor(result.gradients)
        if not np.isfinite(found).all():
            raise ModelFailedError(f"{replicas.info.model} gave a gradient that is not finite")
        return found
