"""What `verify` makes of journals that end at odd moments."""

from pathlib import Path

import numpy as np

from orchestrator.run import plan_of
from orchestrator.runs import RunFolder, versions
from orchestrator.runs.history import History
from orchestrator.runs.journal import NAME, About, Conditions, Journal, Step
from orchestrator.settings import RunSettings
from orchestrator.verify import verify_run
from protocol.latent import LatentSpace, Segment

SPACE = LatentSpace("z", (Segment("z", "real", 6, -10, 10, "normal"),))
WIDE = LatentSpace("wide", (Segment("z", "real", 9, -10, 10, "normal"),))
CONDITIONS = Conditions("a car", SPACE, 1.0, ())


def test_a_run_that_has_just_begun_afresh_has_nothing_to_evaluate(tmp_path: Path) -> None:
    settings = RunSettings("a car", discriminator="none", population=6, runs=tmp_path)
    history = History(plan_of(settings))
    history.begin(CONDITIONS)
    genomes = history.algorithm.ask()
    similarity = genomes[:, 0].astype(np.float64)
    told = 1 - similarity[:, None]
    steps = [
        Step("generation", 1, CONDITIONS, genomes, told, similarity, None, 0.5),
        Step.reseed(1, Conditions("a car", WIDE, 1.0, ()), 1),
    ]
    folder = RunFolder.create(settings.runs, settings.target)
    folder.write_settings(settings.recorded())
    Journal.create(folder.path / NAME, About(settings.recorded(), 1, versions()), steps).close()
    found = verify_run(folder.path, evaluate=3)
    assert (found.generations, found.evaluated) == (1, 0)
