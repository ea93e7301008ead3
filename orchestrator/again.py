"""Evaluating genomes of a run that has ended once more, by the very models that grew it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.course import refuse_other_models
from orchestrator.evaluation.evaluator import Evaluation
from orchestrator.evaluation.setup import set_up
from orchestrator.fleet.assemble import Finder, assemble
from orchestrator.fleet.launcher import LocalLauncher
from orchestrator.runs.journal import Conditions
from orchestrator.search import Genomes
from orchestrator.settings import RunSettings
from protocol.client import Client


def evaluate_again(
    settings: RunSettings, recorded: Conditions, genomes: Genomes
) -> tuple[Evaluation, Conditions]:
    """Evaluate (n, size) float32 genomes by the services of a run, started where none lives.

    Returns:
        what was found, and the conditions under which it was.

    Raises:
        GlasshouseError: a service cannot start or answer, or holds another model than recorded.
    """
    with TemporaryDirectory() as logs, LocalLauncher(Path(logs)) as launcher, Client() as client:
        roles = Finder(launcher, client, settings).find_all()
        setup = set_up(client, assemble(roles, lambda: None), settings)
        refuse_other_models(recorded, setup.conditions)
        return setup.evaluate(genomes), setup.conditions
