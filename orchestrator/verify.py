"""Whether a run repeats: its journal against the search, and its scores against the models."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from orchestrator.again import evaluate_again
from orchestrator.run import plan_of
from orchestrator.runs import RunFolder
from orchestrator.runs.history import History, check_versions
from orchestrator.runs.journal import NAME, Journal, Step
from orchestrator.settings import read_settings
from protocol.errors import ConfigError


@dataclass(frozen=True)
class Verification:
    """What was found; everything else ends in an error.

    Attributes:
        folder: of the run.
        generations: that were repeated, bit for bit.
        rows: genomes in them.
        digest: of the journal; equal for runs that went the same way.
        evaluated: genomes that were drawn and scored again, with equal results.
    """

    folder: str
    generations: int
    rows: int
    digest: str
    evaluated: int

    def sentence(self) -> str:
        """For people."""
        again = f"; {self.evaluated} evaluated again score the same" if self.evaluated else ""
        return (
            f"{self.folder} repeats: {self.generations} generations, {self.rows} genomes, "
            f"bit for bit{again}; journal {self.digest}"
        )


def verify_run(path: Path, evaluate: int = 0) -> Verification:
    """Repeat a run from its journal; its own services are started only to `evaluate` rows.

    Raises:
        GlasshouseError: it does not repeat, in the sentence that says why.
    """
    folder = RunFolder.open(path)
    with Journal.open(folder.path / NAME) as journal:
        check_versions(journal.about)
        history = History(plan_of(read_settings(journal.about.settings)))
        rows = 0
        step = None
        for step in journal.steps():
            history.repeat([step])
            rows += len(step.genomes)
        again = _evaluate(journal, step, evaluate) if step is not None and evaluate else 0
        return Verification(str(folder.path), history.generation, rows, journal.digest, again)


def _evaluate(journal: Journal, last: Step, most: int) -> int:
    """Score the first rows that were scored under the conditions of now again; returns how many."""
    alike = (step for step in journal.steps() if step.conditions.same(last.conditions))
    chosen = list(islice(((step, row) for step in alike for row in range(len(step.genomes))), most))
    if not chosen:  # it stopped just when it had begun afresh
        return 0
    settings = read_settings(journal.about.settings)
    genomes = np.stack([step.genomes[row] for step, row in chosen])
    evaluation, _ = evaluate_again(settings, last.conditions, genomes)
    for place, (step, row) in enumerate(chosen):
        found, recorded = evaluation.similarity[place], step.similarity[row]
        if not np.array_equal(found, recorded, equal_nan=True):
            raise ConfigError(
                f"genome {row + 1} of generation {step.generation} scored {recorded} when it was "
                f"grown and {found} now; the device or the libraries of the services are others"
            )
    return len(chosen)
