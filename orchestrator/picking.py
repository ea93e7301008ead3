"""Choosing a picture from a run's last population by eye: scores are close, pictures are not."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.course import refuse_other_models
from orchestrator.evaluation.setup import set_up
from orchestrator.fleet.assemble import Finder, assemble
from orchestrator.fleet.launcher import LocalLauncher
from orchestrator.gallery import Gallery
from orchestrator.keeping import recipe
from orchestrator.run import plan_of
from orchestrator.runs import RunFolder
from orchestrator.runs.history import History, check_versions
from orchestrator.runs.journal import NAME, Journal
from orchestrator.settings import read_settings
from protocol.client import Client
from protocol.errors import BadRequestError


@dataclass(frozen=True)
class Population:
    """The survivors of a run.

    Attributes:
        folder: of the run.
        history: the search, repeated.
        scores: similarity of each survivor, best first, as its grids show them.
    """

    folder: RunFolder
    history: History
    scores: list[float]


def last_population(path: Path) -> Population:
    """The newest population of the run in `path`, repeated from its journal.

    Raises:
        GlasshouseError: no run, an empty one, or it does not repeat here.
    """
    folder = RunFolder.open(path)
    with Journal.open(folder.path / NAME) as journal:
        check_versions(journal.about)
        settings = read_settings(journal.about.settings)
        if settings.caption:
            raise BadRequestError(
                f"{folder.path} wrote captions, and pick is for pictures: those of its last "
                f"population are all in {folder.path / 'captions.txt'}"
            )
        history = History(plan_of(settings))
        history.repeat(journal.steps())
    if not history.scored:
        raise BadRequestError(f"{folder.path} has grown nothing yet, so there is nothing to pick")
    scores = [history.score(genome).similarity for genome in history.survivors]
    return Population(folder, history, sorted(scores, reverse=True))


def pick(population: Population, rank: int) -> Path:
    """Draw the survivor of this rank again, and keep it as `picked-RANK.png` with its recipe.

    Raises:
        BadRequestError: there is no such rank.
        GlasshouseError: its models cannot be started, or are others than those that grew it.
    """
    folder, history = population.folder, population.history
    if not 1 <= rank <= len(population.scores):
        raise BadRequestError(
            f"the population has pictures 1 to {len(population.scores)}, but not {rank}"
        )
    order = sorted(
        range(len(population.scores)),
        key=lambda row: -history.score(history.survivors[row]).similarity,
    )
    genome = history.survivors[order[rank - 1]][None]
    with Journal.open(folder.path / NAME) as journal:
        settings, lineage = read_settings(journal.about.settings), journal.about.lineage
    with TemporaryDirectory() as logs, LocalLauncher(Path(logs)) as launcher, Client() as client:
        roles = Finder(launcher, client, settings).find_all()
        setup = set_up(client, assemble(roles, lambda: None), settings)
        if history.conditions is not None:
            refuse_other_models(history.conditions, setup.conditions)
        evaluation = setup.evaluate(genome)
    gallery = Gallery()
    gallery.add(genome, evaluation)
    (individual,) = gallery.individuals(list(genome), history)
    told = recipe(individual, settings, setup.conditions, lineage)
    return folder.save_picture(f"picked-{rank:03d}", individual.image, told)
