"""The course of one search: its history, its journal and the pictures of its survivors.

It begins anew, goes on from its own journal, or forks from another run's. From the first new step
on there is no difference: evaluate, write the step down, then let it happen. Models may change
between two generations; then the survivors are scored again, which is a step like any other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np

from orchestrator.evaluation.chance import Chance
from orchestrator.evaluation.evaluator import Evaluation, Float64
from orchestrator.evaluation.setup import Setup
from orchestrator.gallery import Gallery, Individual, diversity
from orchestrator.runs import versions
from orchestrator.runs.history import BANNED, History, Plan
from orchestrator.runs.journal import About, Conditions, Journal, Lineage, Step
from orchestrator.search import Genomes
from orchestrator.settings import RunSettings
from protocol.errors import BadRequestError, WeightsError


@dataclass(frozen=True)
class Origin:
    """What a search goes on from.

    Attributes:
        journal: its own, or that of the run it is forked from.
        fork: of which run and up to where, for a fork; None when it goes on with its own.
    """

    journal: Journal
    fork: Lineage | None = None

    def steps(self) -> Iterator[Step]:
        """The steps to repeat."""
        return self.journal.steps(self.fork.generation if self.fork else None)


class Course:
    """One search.

    Args:
        plan: what its algorithm is made from.
        origin: what it goes on from; nothing for a new one.

    Attributes:
        history: what has happened.
        lineage: where a forked search comes from.
        evaluations: genomes evaluated by this process.
        note: what the user should know of how it was taken up.
    """

    def __init__(self, plan: Plan, origin: Origin | None) -> None:
        self.history = History(plan)
        self.lineage = (origin.fork or origin.journal.about.lineage) if origin else None
        self.evaluations = 0
        self.note = ""
        self._origin = origin
        self._journal: Journal | None = None
        self._gallery = Gallery()

    def repeat(self) -> None:
        """Let what it goes on from happen again; needs no service.

        Raises:
            GlasshouseError: it does not repeat, or the journal is damaged.
        """
        self.history.repeat(self._recorded())

    def take_up(self, setup: Setup, settings: RunSettings, path: Path) -> None:
        """Be ready for the next generation, with the pictures of the survivors.

        Args:
            setup: the services.
            settings: what the journal says of the run from now on.
            path: where the journal of a new run goes.

        Raises:
            GlasshouseError: the models are not those of the journal, or it cannot be written.
        """
        self._setup = setup
        before, about = self.history.conditions, self._about(settings)
        if self._origin is not None and self._origin.fork is None:
            self._journal = journal = self._origin.journal
            if before is not None:
                refuse_other_models(before, setup.conditions)
            self._redraw(setup)
            journal.change(about)
        elif before is None or before.same(setup.conditions):
            self._redraw(setup)
            self._journal = Journal.create(path, about, self._recorded())
        else:
            step, evaluation = self._rescored(setup)
            self._journal = Journal.create(path, about, chain(self._recorded(), [step]))
            self._take(step, evaluation)
        if before is None:
            self.history.begin(setup.conditions)

    def advance(self, kind: Literal["generation", "refinement"] = "generation") -> None:
        """One generation, or one step along the gradient; after the first of these, only such.

        Raises:
            GlasshouseError: a service is lost or refuses, or the journal cannot be written.
        """
        history = self.history
        if kind == "refinement":
            history.refine()
        genomes = history.algorithm.ask()
        evaluation = self._gallery.evaluated(genomes, history, self._setup.evaluate)
        step = self._setup.step(
            kind,
            history.generation + 1,
            genomes,
            evaluation,
            history.plan.objectives,
            self.individuals(),
        )
        self._written.append(step)
        self._take(step, evaluation)
        self.evaluations += len(genomes)

    def change(self, setup: Setup, settings: RunSettings, *, reseed: bool) -> str:
        """Go on with other models; the survivors are scored again, unless no digest changed.

        Args:
            setup: the services from now on.
            settings: what the journal says of the run from now on.
            reseed: begin afresh if the new generator has another latent space.

        Returns:
            What became of it, in a few words.

        Raises:
            GlasshouseError: another latent space without `reseed`, or the new services fail; the
                search is as it was.
        """
        history, about = self.history, self._about(settings)
        before = history.conditions
        if before is None or before.same(setup.conditions):
            self._written.change(about)
            done = "the same model, so nothing else changed"
        elif not history.scored or (reseed and before.space != setup.conditions.space):
            step = Step.reseed(history.generation, setup.conditions, history.plan.objectives)
            self._written.append(step, about)
            history.take(step)
            self._gallery = Gallery()
            done = "the search began afresh in its latent space"
        else:
            step, evaluation = self._rescored(setup)
            self._written.append(step, about)
            self._take(step, evaluation)
            done = f"{len(step.genomes)} survivors were scored again"
        self._setup = setup
        return done

    def favour(self, genome: bytes) -> str:
        """Count a survivor as the best of all from now on, so that it is bred from.

        Args:
            genome: its bytes.

        Returns:
            What became of it, in a few words.
        """
        values = self._values()
        best = np.where(values < BANNED, values, np.inf).min(axis=0)
        return self._choose(genome, best) or "kept, and bred from as from the best"

    def ban(self, genome: bytes) -> str:
        """Count a survivor as the worst of all from now on.

        Args:
            genome: its bytes.

        Returns:
            What became of it, in a few words.
        """
        if (self._values()[:, 0] < BANNED).sum() <= 1:
            return "the last one stays"
        return self._choose(genome, BANNED) or "banned: nothing more is bred from it"

    def _choose(self, genome: bytes, values: float | Float64) -> str:
        """Write down other objective values of one survivor; says why that is not done."""
        history, objectives = self.history, self._values()
        rows = [row for row, one in enumerate(history.survivors) if one.tobytes() == genome]
        if not rows:
            return "it has left the population"
        if not history.algorithm.breeds:
            return f"{history.plan.algorithm} does not breed from single pictures"
        objectives[rows] = values
        scores = [history.score(one) for one in history.survivors]
        realism = [score.realism for score in scores if score.realism is not None]
        scored = [score.scored for score in scores if score.scored is not None]
        step = Step(
            kind="choice",
            generation=history.generation,
            conditions=self._setup.conditions,
            genomes=history.survivors.copy(),
            objectives=objectives,
            similarity=np.array([score.similarity for score in scores]),
            realism=np.array(realism) if realism else None,
            scored=np.array(scored) if scored else None,
            diversity=self.diversity(),
        )
        self._written.append(step)
        history.take(step)
        return ""

    def _values(self) -> Float64:
        return self.history.algorithm.population.objectives.copy()

    @property
    def chance(self) -> Chance:
        """Measures how random latents score under the conditions of now."""
        return self._setup.chance

    def individuals(self, genomes: Genomes | None = None) -> list[Individual]:
        """The individuals of some survivors, (n, size) float32; of all of them by default."""
        wanted = self.history.survivors if genomes is None else genomes
        return self._gallery.individuals(list(wanted), self.history)

    def champion(self) -> Individual:
        """The best so far under the conditions of now."""
        return self.individuals(self.history.champion[None])[0]

    def diversity(self) -> float:
        """Mean pairwise CLIP distance of the survivors."""
        return diversity(np.stack([one.embedding for one in self.individuals()]))

    def close(self) -> None:
        """Let go of the journals."""
        for journal in (self._journal, self._origin.journal if self._origin else None):
            if journal is not None:
                journal.close()

    def _recorded(self) -> Iterator[Step]:
        return self._origin.steps() if self._origin else iter(())

    @property
    def _written(self) -> Journal:
        if self._journal is None:
            raise RuntimeError("this search was not taken up yet")
        return self._journal

    def _about(self, settings: RunSettings) -> About:
        return About(settings.recorded(), self.history.plan.objectives, versions(), self.lineage)

    def _take(self, step: Step, evaluation: Evaluation) -> None:
        """Let a step happen that is written down."""
        self.history.take(step)
        self._gallery.add(step.genomes, evaluation)
        self._gallery.keep([self.history.champion, *self.history.survivors])

    def _rescored(self, setup: Setup) -> tuple[Step, Evaluation]:
        """The survivors under other conditions; nothing has happened yet.

        Raises:
            GlasshouseError: another latent space, or a service fails.
        """
        history = self.history
        if history.conditions is not None:
            refuse_other_space(history.conditions, setup.conditions)
        genomes = history.survivors.copy()
        evaluation = Gallery().evaluated(genomes, history, setup.evaluate)
        number, objectives = history.generation, history.plan.objectives
        return setup.step("rescore", number, genomes, evaluation, objectives), evaluation

    def _redraw(self, setup: Setup) -> None:
        """Draw the survivors again: the journal holds scores and no pictures."""
        history = self.history
        if not history.scored:
            return
        genomes = np.stack([history.champion, *history.survivors])
        evaluation = Gallery().evaluated(genomes, history, setup.evaluate)
        self._gallery.add(genomes, evaluation)
        recorded = np.array([history.score(genome).similarity for genome in genomes])
        again = evaluation.similarity
        if not np.array_equal(again, recorded, equal_nan=True):
            off = float(np.nan_to_num(np.abs(again - recorded)).max())
            self.note = (
                f"this device scores the survivors otherwise than the journal, by up to {off:.0e}: "
                "the run goes on, but not bit for bit as if it had never stopped"
            )


def refuse_other_models(recorded: Conditions, now: Conditions) -> None:
    """Refuse to go on with other models than those that scored the survivors.

    Raises:
        WeightsError: a model has another digest.
        BadRequestError: something else differs.
    """
    changed = now.changed(recorded) or recorded.changed(now)
    if changed:
        names = ", ".join(f"the {model.role} {model.model}" for model in changed)
        raise WeightsError(
            f"this run was grown with another version of {names}, so its scores cannot be "
            "compared; put the old file back, or go on with the new one: orchestrator fork RUN"
        )
    if not recorded.same(now):
        raise BadRequestError(
            "this run was grown in another latent space or for another prompt; fork it instead"
        )


def refuse_other_space(recorded: Conditions, now: Conditions) -> None:
    """Refuse to score genomes with a generator that reads them otherwise.

    Raises:
        BadRequestError: it has another latent space.
    """
    if recorded.space != now.space:
        new = next(model.model for model in now.models if model.role == "generator")
        raise BadRequestError(
            f"{new} has another latent space ({now.space.name}, {now.space.size} genes) than this "
            f"run ({recorded.space.name}, {recorded.space.size} genes), so the survivors mean "
            "nothing to it; choose a generator with the same, or begin afresh with swap --reseed"
        )
