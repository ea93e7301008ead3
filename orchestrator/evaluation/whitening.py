"""Whitening of a target by the captions that a generator writes.

A caption gets near to a picture by what captions differ in most: which thing it is, and how the
sentence is put. The colour of its hair moves CLIP's embedding of a text little, and a search that
follows the cosine leaves it out. So the cosine is taken where the embeddings of random captions
are white, which counts every direction by how much of it is news (Su et al. 2021, arXiv 2103.15316,
of sentence embeddings; Betser et al. 2025, arXiv 2505.06934, of CLIP's).

With S their covariance and v the mean of its diagonal, the target e becomes (S + 6 v I)^-1 e of
unit length: the covariance is shrunk towards a sphere (Ledoit and Wolf 2004). With less of
it, the best of many captions is as good, but the thing itself then counts so little that a search
settles for another one of the same colour.
"""

from typing import Final

import numpy as np

from orchestrator.evaluation.evaluator import Float32

SPHERE: Final = 6.0
"""Variance of the sphere, in mean variances of an embedding's entries."""


def whitened(target: Float32, embeddings: Float32) -> Float32:
    """(d,) float32 of unit length: the direction whose dot product with a text is to be followed.

    Args:
        target: (d,) float32, a picture's embedding.
        embeddings: (n, d) float32, of texts that were drawn at random. If they are all the same,
            the target stays as it is.
    """
    rows = embeddings.astype(np.float64)
    centred = rows - rows.mean(axis=0)
    covariance = centred.T @ centred / len(rows)
    variance = np.trace(covariance) / len(target)
    if variance < np.finfo(np.float32).eps:
        return target
    shrunk = covariance + SPHERE * variance * np.eye(len(target))
    turned = np.linalg.solve(shrunk, target.astype(np.float64))
    unit: Float32 = (turned / np.linalg.norm(turned)).astype(np.float32)
    return unit
