"""What a run keeps for people: grids, the best picture with its recipe, the last population."""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.course import Course
from orchestrator.evaluation.evaluator import Float64
from orchestrator.gallery import Individual
from orchestrator.runs import RunFolder
from orchestrator.runs.history import History
from orchestrator.runs.journal import Conditions, Lineage
from orchestrator.search import knee_and_extremes
from orchestrator.settings import RunSettings

if TYPE_CHECKING:
    from orchestrator.baseline import Baseline


ENDS = {
    "similarity": "best-match",
    "realism": "most-real",
    "scorer": "best-scored",
    "diversity": "most-unlike",
}
"""What the end of a front is called that is best in one objective."""


class Keeper:
    """Writes the pictures of one run.

    Args:
        folder: where.
        settings: of the run, for recipes.
        course: its search.

    Attributes:
        settings: of the run; a swap changes them.
        baseline: how random latents score, once known.
    """

    def __init__(self, folder: RunFolder, settings: RunSettings, course: Course) -> None:
        self._folder = folder
        self.settings = settings
        self._course = course
        self.baseline: Baseline | None = None

    def generation(self) -> None:
        """The newest grid; now and then it stays, and the best picture is saved."""
        number = self._course.history.generation
        keep = number == 1 or number % self.settings.save_every == 0
        self._save_grid(keep=keep)
        if keep:
            self.best()

    def end(self) -> None:
        """The last population, the best picture, the film, and the ends of a front."""
        self.now()
        self._folder.save_film()
        history = self._course.history
        population = history.algorithm.population
        if history.plan.objectives > 1 and population.any_scored:
            picks = knee_and_extremes(population.objectives)
            ends = [ENDS[name] for name in self.settings.objectives]
            rows = {"knee": picks.knee, **dict(zip(ends, picks.extremes, strict=True))}
            individuals = self._course.individuals()
            for name, row in rows.items():
                self._save(f"front-{name}", individuals[row])

    def best(self, name: str = "best") -> None:
        """The champion, under that name."""
        self._save(name, self._course.champion())

    def now(self) -> None:
        """All that the end would keep, as it is now."""
        history = self._course.history
        population = history.algorithm.population
        self._save_grid(keep=True)
        self._folder.save_population(
            history.generation, population.genomes, population.objectives, **archived(history)
        )
        self.best()

    def favourite(self, genome: bytes) -> str:
        """A survivor that the user likes, as a picture of its own; its name, if it is there."""
        for individual in self._course.individuals():
            if individual.genome.tobytes() == genome:
                name = self.favourite_name(genome)
                self._save(name, individual)
                return f"{name}.png"
        return ""

    def favourite_name(self, genome: bytes) -> str:
        """The name of its file, without the ending."""
        return f"favourite-{hashlib.blake2b(genome, digest_size=3).hexdigest()}"

    def _save_grid(self, *, keep: bool) -> None:
        images = np.stack([one.image for one in ranked(self._course.individuals())])
        self._folder.save_grid(images, self._course.history.generation, keep=keep)

    def _save(self, name: str, individual: Individual) -> None:
        conditions = self._course.history.conditions
        if conditions is None:
            raise RuntimeError("nothing was scored yet")
        told = recipe(individual, self.settings, conditions, self._course.lineage)
        if self.baseline is not None:
            told["over_random"] = self.baseline.over(individual.score.similarity)
        self._folder.save_picture(name, individual.image, told)


def recipe(
    individual: Individual, settings: RunSettings, conditions: Conditions, lineage: Lineage | None
) -> dict[str, object]:
    """All that is needed to draw a picture again."""
    score = individual.score
    return {
        "prompt": conditions.prompt,
        "command": command(settings, lineage),
        "seed": settings.seed,
        "algorithm": settings.algorithm,
        "parameters": dict(settings.parameters),
        "generation": score.generation,
        "similarity": score.similarity,
        "realism": score.realism,
        **({} if score.scored is None else {"scorer": score.scored}),
        "space": conditions.space.name,
        "truncation_psi": conditions.truncation_psi,
        "models": conditions.models,
        "genome": [float(gene) for gene in individual.genome],
    }


def archived(history: History) -> dict[str, Float64]:
    """What an archive adds to its population's file: measures, `heat_map`, `edges_0` and so on."""
    algorithm = history.algorithm
    measures, heat_map = algorithm.population.measures, algorithm.heat_map
    if measures is None or heat_map is None:
        return {}
    edges = {f"edges_{axis}": edges for axis, edges in enumerate(heat_map.edges)}
    return {"measures": measures, "heat_map": heat_map.best, **edges}


def command(settings: RunSettings, lineage: Lineage | None) -> str:
    """The command that grows this run again."""
    if lineage is None:
        return settings.command()
    return settings.fork_command(lineage.parent, lineage.generation)


def ranked(individuals: Iterable[Individual]) -> list[Individual]:
    """Most similar first; last those without a similarity (NaN)."""
    return sorted(
        individuals, key=lambda one: (np.isnan(one.score.similarity), -one.score.similarity)
    )
