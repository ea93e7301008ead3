"""What a display draws from: one frozen picture of a run at one moment.

The run makes a `Snapshot` and hands it over; a display never reaches back into the run, so nothing
that it does can change or stop the search. Needs neither numpy nor rich to be imported.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from orchestrator.baseline import Baseline

    Thumbnails = npt.NDArray[np.uint8]
    """`(k, h, w, 3)` uint8, red green blue."""

ServiceState = Literal["starting", "ready", "busy", "draining", "hung", "lost"]
Phase = Literal["starting", "searching", "paused", "saving", "done"]

COLLAPSED_SHARE = 0.2
"""A population is called collapsed below this share of its first diversity."""


@dataclasses.dataclass(frozen=True)
class ServiceStatus:
    """One service as the run sees it.

    Attributes:
        role: `generator`, `clip`, `discriminator` or a user's own.
        model: name of the model that it holds.
        endpoint: where it answers.
        state: whether it can take rows.
        queue_rows: rows sent to it and not yet answered.
        batch_ms: median time of a batch, in milliseconds.
        batch_p95_ms: 95th percentile of the same.
        rows: rows answered so far.
        digest: the model's digest, hexadecimal.
        shared: whether it was there before the run and stays after it.
    """

    role: str
    model: str = ""
    endpoint: str = ""
    state: ServiceState = "starting"
    queue_rows: int = 0
    batch_ms: float = 0.0
    batch_p95_ms: float = 0.0
    rows: int = 0
    digest: str = ""
    shared: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Snapshot:
    """A run at one moment; `dataclasses.replace` makes the next one.

    Attributes:
        target: what the search looks for, as the user typed it.
        generator: name of the generator's model.
        algorithm: name of the search algorithm.
        seed: the run's seed.
        population: genomes in a generation.
        folder: the run folder, as a user would type it.
        phase: what the run is doing.
        generation: generations completed, over all the run's sittings.
        generations: generations wanted.
        first_generation: `generation` when this process took the run up; above 0 after a resume.
        evaluations: genomes evaluated by this process.
        elapsed_s: seconds since this phase's first moment (`starting`) or since the search began.
        best: highest similarity of each generation, oldest first.
        mean: mean similarity of each generation, oldest first.
        second: mean of a second objective per generation; empty when there is none.
        points: similarity and second objective of each survivor, where the search trades the two
            for each other; empty elsewhere.
        second_name: what the second objective is called.
        scored: mean of a scorer's numbers per generation; empty when there is none.
        failed: evaluations that gave no number, and ranked last.
        diversity: mean pairwise CLIP distance within the population; None while unknown.
        first_diversity: the same of the first generation.
        thumbnails: `(k, h, w, 3)` uint8, best first; a new array whenever the pictures change.
        captions: texts in place of thumbnails where the generator writes, best first.
        scores: similarity of each survivor, best first; the first are those of the thumbnails.
        genomes: the bytes of each thumbnail's genome, by which a key press names it.
        favourites: genomes that the user likes.
        banned: genomes that the user will not have bred from.
        baseline: how random latents score; None while unknown.
        swaps: generations after which scores are of another model, or for another prompt.
        services: every service that the run uses.
        log: the latest log lines, oldest first.
    """

    target: str
    generator: str = ""
    algorithm: str = ""
    seed: int = 0
    population: int = 0
    folder: str = ""
    phase: Phase = "starting"
    generation: int = 0
    generations: int = 0
    first_generation: int = 0
    evaluations: int = 0
    elapsed_s: float = 0.0
    best: tuple[float, ...] = ()
    mean: tuple[float, ...] = ()
    second: tuple[float, ...] = ()
    second_name: str = "discriminator"
    points: tuple[tuple[float, float], ...] = ()
    scored: tuple[float, ...] = ()
    failed: int = 0
    diversity: float | None = None
    first_diversity: float | None = None
    thumbnails: Thumbnails | None = None
    captions: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    genomes: tuple[bytes, ...] = ()
    favourites: frozenset[bytes] = frozenset()
    banned: frozenset[bytes] = frozenset()
    baseline: Baseline | None = None
    swaps: tuple[int, ...] = ()
    services: tuple[ServiceStatus, ...] = ()
    log: tuple[str, ...] = ()

    @property
    def evaluations_per_s(self) -> float:
        """Genomes evaluated in a second, by this process."""
        return self.evaluations / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds until the last generation at the pace so far; None before the first one."""
        done = self.generation - self.first_generation
        if done < 1:
            return None
        return max(0, self.generations - self.generation) * self.elapsed_s / done

    @property
    def marks(self) -> tuple[str, ...]:
        """What the user has said of each thumbnail: `♥`, `✗` or nothing."""
        signs = {**dict.fromkeys(self.favourites, "♥"), **dict.fromkeys(self.banned, "✗")}
        return tuple(signs.get(genome, "") for genome in self.genomes)

    @property
    def gain(self) -> float:
        """How far the best similarity has risen since the first generation with these models."""
        since = self.best[self.swaps[-1] :] if self.swaps else self.best
        known = [value for value in since if math.isfinite(value)]
        return max(known) - known[0] if known else 0.0

    @property
    def over_random(self) -> float | None:
        """The best of this generation in standard deviations over random latents, once known."""
        return self.baseline.over(self.best[-1]) if self.baseline and self.best else None

    @property
    def collapsed(self) -> bool:
        """Whether the population has become near-identical pictures."""
        if self.diversity is None or not self.first_diversity:
            return False
        return self.diversity < COLLAPSED_SHARE * self.first_diversity

    def event(self) -> dict[str, Any]:
        """The line that `events.jsonl` and `--ui json` carry for this generation."""
        return {
            "event": "generation",
            "generation": self.generation,
            "evaluations": self.evaluations,
            "elapsed_s": round(self.elapsed_s, 3),
            "best": self.best[-1] if self.best else None,
            "mean": self.mean[-1] if self.mean else None,
            **({"over_random": round(self.over_random, 3)} if self.over_random is not None else {}),
            "diversity": self.diversity,
            **({self.second_name: self.second[-1]} if self.second else {}),
            **({"scorer": self.scored[-1]} if self.scored else {}),
            **({"failed": self.failed} if self.failed else {}),
            "scores": [round(score, 4) for score in self.scores],
            **({"points": [list(point) for point in self.points]} if self.points else {}),
            **({"captions": list(self.captions)} if self.captions else {}),
            "services": [dataclasses.asdict(service) for service in self.services],
        }


def clock(seconds: float | None) -> str:
    """`1:02:03` or `02:03`; `--:--` for what is not known."""
    if seconds is None or not math.isfinite(seconds):
        return "--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def printable(text: str) -> str:
    """`text` on one line, with every control character (an escape, say) shown as `?`."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
