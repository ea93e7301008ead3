"""Choosing a picture from a run's last population by eye: scores are close, pictures are not."""

from dataclasses import dataclass
from pathlib import Path

from orchestrator.again import evaluate_again
from orchestrator.gallery import Gallery
from orchestrator.keeping import recipe
from orchestrator.run import plan_of
from orchestrator.runs import RunFolder
from orchestrator.runs.history import History, check_versions
from orchestrator.runs.journal import NAME, Conditions, Journal, Lineage
from orchestrator.search import Genomes
from orchestrator.settings import RunSettings, read_settings
from protocol.errors import BadRequestError


@dataclass(frozen=True, eq=False)
class Population:
    """The survivors of a run.

    Attributes:
        folder: of the run.
        settings: of the run.
        lineage: where the run comes from, if it is a fork.
        history: the search, repeated.
        conditions: under what the survivors were scored.
        genomes: (n, size) float32, best first by the search's own similarity, as grids show them.
        scores: similarity of each.
    """

    folder: RunFolder
    settings: RunSettings
    lineage: Lineage | None
    history: History
    conditions: Conditions
    genomes: Genomes
    scores: list[float]


def last_population(path: Path) -> Population:
    """The newest population of the run in `path`, repeated from its journal.

    Raises:
        GlasshouseError: no run, an empty one, or it does not repeat here.
    """
    folder = RunFolder.open(path)
    with Journal.open(folder.path / NAME) as journal:
        check_versions(journal.about)
        settings, lineage = read_settings(journal.about.settings), journal.about.lineage
        if settings.caption:
            raise BadRequestError(
                f"{folder.path} wrote captions, and pick is for pictures: those of its last "
                f"population are all in {folder.path / 'captions.txt'}"
            )
        history = History(plan_of(settings))
        history.repeat(journal.steps())
    if not history.scored or history.conditions is None:
        raise BadRequestError(f"{folder.path} has grown nothing yet, so there is nothing to pick")
    scores = [history.score(genome).similarity for genome in history.survivors]
    order = sorted(range(len(scores)), key=lambda row: -scores[row])
    genomes, ranked = history.survivors[order], [scores[row] for row in order]
    return Population(folder, settings, lineage, history, history.conditions, genomes, ranked)


def pick(population: Population, rank: int) -> Path:
    """Draw the survivor of this rank again, and keep it as `picked-RANK.png` with its recipe.

    Raises:
        BadRequestError: there is no such rank.
        GlasshouseError: its models cannot be started, or are others than those that grew it.
    """
    if not 1 <= rank <= len(population.scores):
        raise BadRequestError(
            f"the population has pictures 1 to {len(population.scores)}, but not {rank}"
        )
    genomes, settings = population.genomes[rank - 1 : rank], population.settings
    evaluation, conditions = evaluate_again(settings, population.conditions, genomes)
    gallery = Gallery()
    gallery.add(genomes, evaluation)
    (individual,) = gallery.individuals(list(genomes), population.history)
    told = recipe(individual, settings, conditions, population.lineage)
    return population.folder.save_picture(f"picked-{rank:03d}", individual.image, told)
