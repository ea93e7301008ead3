"""Measures a run's baseline: how 512 random latents score, a few at a time.

They are drawn in the generator's usual latent space (its first), whichever the search is in, so
that searches in different ones compare; and with a seed of their own, so that a search draws the
same with it and without. What is kept, in `$XDG_CACHE_HOME/glasshouse/chance`, is CLIP's view of
them: one file serves every prompt of the same two models. A file that is not what was written is
measured again, and a folder that cannot be written is done without.

Captions need that view before their search begins, which compares them where it is white.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from orchestrator.baseline import Baseline
from orchestrator.evaluation.evaluator import Evaluation, Float32, cosines, finite_rows
from orchestrator.evaluation.whitening import whitened
from orchestrator.runs.journal import Conditions
from orchestrator.runs.storage import storing, write_whole
from orchestrator.search import sample
from protocol.errors import StorageError
from protocol.latent import LatentSpace

RANDOM = 512
CHANCE_SEED = 512
SEEN_BY = ("generator", "clip")

Evaluate = Callable[[Float32], Evaluation]


class Chance:
    """The random latents of one generator, seen by one CLIP.

    Args:
        prepare: makes what draws and embeds genomes of `space`; called when it is first needed.
        conditions: of the run.
        space: in which the latents are drawn.
        target: (d,) float32, what they are compared with.

    Attributes:
        target: the same, or what `whiten` made of it.
    """

    def __init__(
        self,
        prepare: Callable[[], Evaluate],
        conditions: Conditions,
        space: LatentSpace,
        target: Float32,
    ) -> None:
        self._prepare = prepare
        self._evaluate: Evaluate | None = None
        self._space = space
        self.target = self._given = target
        self._path = chance_folder() / f"{_key(conditions, space)}.npy"
        self._parts: list[Float32] = []
        self._embeddings: Float32 | None = None

    def known(self) -> Baseline | None:
        """The baseline, if these models were measured before; asks no service."""
        return self._baseline(self._seen())

    def measure(self, rows: int) -> Baseline | None:
        """Look at the next few; the baseline once all were seen.

        Args:
            rows: how many, at most.

        Raises:
            GlasshouseError: a service is lost or refuses.
        """
        return self._baseline(self._look(rows))

    def whiten(self) -> None:
        """Turn the target to where random texts are white; looks at all that were not seen yet.

        Raises:
            GlasshouseError: a service is lost or refuses.
        """
        embeddings = self._look(RANDOM)
        if embeddings is not None:  # all were asked for
            self.target = whitened(self._given, finite_rows(embeddings))

    def _look(self, rows: int) -> Float32 | None:
        """All views, once there are no more than `rows` to come."""
        if (found := self._seen()) is not None:  # another run may have been faster
            return found
        done = sum(map(len, self._parts))
        genomes = sample(self._space, RANDOM, np.random.default_rng(CHANCE_SEED))[
            done : done + rows
        ]
        if self._evaluate is None:
            self._evaluate = self._prepare()
        self._parts.append(self._evaluate(genomes).embeddings)
        if done + len(genomes) < RANDOM:
            return None
        self._embeddings = np.concatenate(self._parts)
        _write(self._path, self._embeddings)
        return self._embeddings

    def _seen(self) -> Float32 | None:
        if self._embeddings is None:
            self._embeddings = _read(self._path, len(self.target))
        return self._embeddings

    def _baseline(self, embeddings: Float32 | None) -> Baseline | None:
        if embeddings is None:
            return None
        similarity = cosines(finite_rows(embeddings), self.target)
        mean, deviation = float(similarity.mean()), float(similarity.std(ddof=1))
        return Baseline(mean, deviation, len(similarity), self._space.name)


def chance_folder() -> Path:
    """Where CLIP's views of random latents are kept; it need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "glasshouse" / "chance"


def _key(conditions: Conditions, space: LatentSpace) -> str:
    """A name for all that the views depend on."""
    digests = sorted((one.role, one.digest) for one in conditions.models if one.role in SEEN_BY)
    psi, profile = conditions.truncation_psi, conditions.profile
    warmth = conditions.temperature or 0.0
    told = msgspec.json.encode([digests, space, psi, profile, warmth, RANDOM, CHANCE_SEED])
    return hashlib.blake2b(told, digest_size=16).hexdigest()


def _read(path: Path, size: int) -> Float32 | None:
    """(RANDOM, size) float32; None where there is no such file."""
    with contextlib.suppress(OSError, ValueError, EOFError):
        found = np.load(path, allow_pickle=False)
        if found.shape == (RANDOM, size) and found.dtype == np.float32 and np.isfinite(found).all():
            embeddings: Float32 = found
            return embeddings
    return None


def _write(path: Path, embeddings: Float32) -> None:
    file = io.BytesIO()
    np.save(file, embeddings, allow_pickle=False)
    with contextlib.suppress(StorageError):  # it is measured again another time
        with storing("make a folder", path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, file.getvalue())
