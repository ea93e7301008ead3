"""pymoo's genetic algorithms behind our ask and tell: what GA, NSGA-II and NSGA-III share.

Genomes stay flat float32 arrays; crossover is uniform, mutation is ours (`operators`), parents come
from binary tournaments, and survivors are the best of parents and offspring together. What pymoo
would do otherwise, and does not here:

* stop by itself (with CLIP-like flat objectives after 36 generations): `NoTermination`;
* return fewer rows once duplicates are removed: `FillingMating` adds fresh genomes;
* compare all pairs of genomes to find duplicates: row hashes;
* share default operators between instances: every part is made anew.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.initialization import Initialization
from pymoo.core.mating import Mating
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population as Individuals
from pymoo.core.problem import Problem
from pymoo.core.sampling import Sampling
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.ux import UX
from pymoo.operators.selection.tournament import TournamentSelection

from orchestrator.search.algorithm import WORST, Algorithm, Population, Settings, finite
from orchestrator.search.operators import Strength, mutate
from orchestrator.search.space import Flags, Genomes, duplicates, layout, sample, sample_distinct
from protocol.latent import LatentSpace

# pymoo ships no types, so its classes are Any to mypy: hence each `type: ignore[misc]` below.


class SpaceSampling(Sampling):  # type: ignore[misc]
    """Distinct fresh genomes of a latent space."""

    def __init__(self, space: LatentSpace) -> None:
        super().__init__()
        self._space = space

    def _do(self, _: Any, n: int, *, random_state: np.random.Generator, **__: Any) -> Genomes:
        return sample_distinct(self._space, n, random_state)


class SpaceMutation(Mutation):  # type: ignore[misc]
    """Mutation by kind of segment, for every genome."""

    def __init__(self, space: LatentSpace, strength: Strength) -> None:
        super().__init__(prob=1.0)
        self._space = space
        self._strength = strength

    def _do(
        self, _: Any, genomes: Genomes, *, random_state: np.random.Generator, **__: Any
    ) -> Genomes:
        return mutate(self._space, genomes, self._strength, random_state)


class HashDuplicates(DuplicateElimination):  # type: ignore[misc]
    """Removes genomes that are equal, bit for bit, in O(n)."""

    def _do(self, rows: Any, others: Any, _: Flags) -> Flags:
        return duplicates(rows.get("X"), None if others is None else others.get("X"))


class FillingMating(Mating):  # type: ignore[misc]
    """Mating that always gives as many offspring as wanted.

    Where a small space holds too few new genomes, fresh ones fill the batch, repeated or not. The
    first `fresh` batches are fresh altogether: the search then starts from the best of many.
    """

    def __init__(self, space: LatentSpace, fresh: int, *operators: Any) -> None:
        super().__init__(*operators, eliminate_duplicates=HashDuplicates(), n_max_iterations=10)
        self._space = space
        self._fresh = fresh

    def do(self, problem: Any, parents: Any, n: int, **rest: Any) -> Any:
        """`n` offspring of `parents`, as pymoo individuals."""
        if self._fresh > 0:
            self._fresh -= 1
            return Individuals.new("X", sample_distinct(self._space, n, rest["random_state"]))
        offspring = super().do(problem, parents, n, **rest)
        missing = n - len(offspring)
        if not missing:
            return offspring
        fresh = Individuals.new("X", sample(self._space, missing, rest["random_state"]))
        return Individuals.merge(offspring, fresh)


class GeneticSearch(Algorithm):
    """One pymoo genetic algorithm, driven batch by batch."""

    def __init__(self, name: str, settings: Settings, compare: Any) -> None:
        super().__init__(name, settings)
        mating = FillingMating(
            settings.space,
            self._fresh_batches() - 1,
            TournamentSelection(func_comp=compare),
            *self._operators(),
        )
        self._engine = self._make(pop_size=settings.population, mating=mating, output=None)
        self._engine.initialization = Initialization(SpaceSampling(settings.space))
        genes = layout(settings.space)
        problem = Problem(
            n_var=settings.space.size, n_obj=settings.objectives, xl=genes.low, xu=genes.high
        )
        self._engine.setup(problem, termination=NoTermination(), seed=settings.seed)
        self._batch: Any = None

    @abstractmethod
    def _make(self, **parts: Any) -> Any:
        """The pymoo algorithm, given its parts."""

    def _fresh_batches(self) -> int:
        """Random batches to begin with."""
        return self.settings.fresh_batches

    def _operators(self) -> tuple[Any, Any]:
        """Crossover and mutation."""
        settings = self.settings
        strength = Strength(
            rate=settings.number("mutation"),
            flip_rate=settings.number("flip"),
            sigma=settings.number("sigma"),
        )
        crossover = UX(prob=settings.number("crossover"))
        return crossover, SpaceMutation(settings.space, strength)

    def _propose(self) -> Genomes:
        self._batch = self._engine.ask()
        return np.asarray(self._batch.get("X"), np.float32)

    def _learn(self, told: Population) -> Population:
        self._batch.set("F", finite(told.objectives))
        self._engine.tell(infills=self._batch)
        return self._survivors()

    def _relearn(self, rescored: Population) -> Population:
        self._engine.pop.set("F", finite(rescored.objectives))
        self._engine.pop = self._engine.survival.do(
            self._engine.problem,
            self._engine.pop,
            algorithm=self._engine,
            random_state=self._engine.random_state,
        )
        return self._survivors()

    def _survivors(self) -> Population:
        genomes, objectives = self._engine.pop.get("X", "F")
        failed = objectives >= WORST
        return Population(
            np.asarray(genomes, np.float32), np.where(failed, np.inf, objectives.astype(np.float64))
        )
