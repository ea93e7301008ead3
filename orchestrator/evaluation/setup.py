"""The services of a run, ready to evaluate genomes under its conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from msgspec import UNSET

from orchestrator.evaluation.captioner import Captioner, embed_picture, read_picture
from orchestrator.evaluation.chance import CHANCE_SEED, Chance, Evaluate
from orchestrator.evaluation.evaluator import (
    Evaluation,
    Evaluator,
    Float32,
    Float64,
    cosines,
    embed_text,
)
from orchestrator.evaluation.gradients import Differentiator
from orchestrator.evaluation.target import embed_target
from orchestrator.fleet.ensemble import Ensemble
from orchestrator.fleet.replicas import Replicas
from orchestrator.gallery import Individual, diversity, likeness
from orchestrator.profiles import find_profile
from orchestrator.runs.journal import Conditions, Kind, Model, Step
from orchestrator.search import check_refinable
from orchestrator.settings import CAPTIONER, RunSettings, ends_of
from protocol.client import Client
from protocol.errors import BadRequestError
from protocol.latent import LatentSpace
from protocol.messages import ClipInfo, GeneratorInfo


@dataclass(frozen=True)
class Setup:
    """Made anew whenever a model of the run changes.

    Attributes:
        ensemble: the services.
        conditions: under what they score.
        evaluator: asks them.
        directions: (k, d) float64, for each measure the second prompt's embedding less the first's.
        differentiator: asks them for gradients; None where the generator writes.
        chance: measures how random latents score.
        weights: of the parts of a weighted sum, by name; empty for objectives of their own.
        diverse: whether being like others costs something.
    """

    ensemble: Ensemble
    conditions: Conditions
    evaluator: Evaluator | Captioner
    directions: Float64
    differentiator: Differentiator | None
    chance: Chance
    weights: Mapping[str, float] = field(default_factory=dict)
    diverse: bool = False

    def evaluate(self, genomes: Float32) -> Evaluation:
        """Draw (or write) and judge every genome, (n, size) float32."""
        return self.evaluator.evaluate(genomes)

    def told(self, evaluation: Evaluation, objectives: int, others: Float32) -> Float64:
        """(n, objectives + k) float64, what an algorithm is told: objectives, then measures.

        Args:
            evaluation: of a batch.
            objectives: how many are minimised.
            others: (m, d) float32, embeddings of the survivors that are not in the batch.
        """
        hinge, scorer = find_profile(self.conditions.profile).hinge, self.ensemble.measured
        lower = scorer is not None and scorer.lower_is_better
        measures = [cosines(evaluation.embeddings, one)[:, None] for one in self.directions]
        costs = evaluation.costs(hinge=hinge, lower_is_better=lower)
        if self.diverse:
            costs["diversity"] = likeness(evaluation.embeddings, others)
        if self.weights:
            parts = [weight * costs[name] for name, weight in self.weights.items()]
            told = np.sum(parts, axis=0)[:, None]
        else:
            told = np.stack(list(costs.values())[:objectives], axis=1)
        return np.concatenate([told, *measures], axis=1)

    def step(
        self,
        kind: Kind,
        generation: int,
        genomes: Float32,
        evaluation: Evaluation,
        objectives: int,
        survivors: Sequence[Individual] = (),
    ) -> Step:
        """What the journal keeps of an evaluation; `objectives` is how many are minimised.

        `survivors` are those of before, whom these had better not be like. A refinement's rows hold
        their gradients, for which the services are asked now.
        """
        asked = {genome.tobytes() for genome in genomes}
        apart = [
            one.embedding
            for one in (survivors if self.diverse else ())
            if one.genome.tobytes() not in asked
        ]
        others = np.array(apart, np.float32).reshape(-1, evaluation.embeddings.shape[1])
        told = self.told(evaluation, objectives, others)
        if kind == "refinement" and self.differentiator is not None:
            gradients = self.differentiator.gradients(genomes)
            told = np.concatenate([told[:, :objectives], gradients], axis=1)
        return Step(
            kind=kind,
            generation=generation,
            conditions=self.conditions,
            genomes=genomes,
            objectives=told,
            similarity=evaluation.similarity,
            realism=evaluation.realism,
            scored=evaluation.scored,
            diversity=diversity(evaluation.embeddings),
        )


def set_up(client: Client, ensemble: Ensemble, settings: RunSettings) -> Setup:
    """Check that the services fit together, and embed the target, or the picture to caption.

    Raises:
        GlasshouseError: they do not, clip refuses the prompt, or the picture cannot be read.
    """
    ensemble.check()
    check_kind(ensemble, settings)
    profile, psi = find_profile(settings.profile), settings.truncation_psi
    space = find_space(ensemble, settings.space, profile.spaces)
    if settings.refine:
        check_refinable(space)
    usual = find_space(ensemble, "")
    if settings.caption:
        picture, digest = read_picture(Path(settings.caption))
        white = ", white" if profile.whitening else ""
        target = embed_picture(ensemble.clip, picture)
        prompt = f"{settings.prompt} ({digest}{white})"
    else:
        target, prompt = embed_target(ensemble.clip, settings)

    def unjudged() -> Evaluate:
        """The same in the usual space, without the judges, whom chance does not need."""
        if settings.caption:
            return Captioner(
                ensemble, target, usual.name, settings.temperature, CHANCE_SEED
            ).evaluate
        alone = replace(ensemble, discriminator=None, scorer=None)
        return Evaluator(client, alone, target, usual.name, psi, profile.preprocessing).evaluate

    models, measures = models_of(ensemble), settings.measures
    warmth = settings.temperature or UNSET
    conditions = Conditions(prompt, space, psi, models, settings.profile, measures, warmth)
    chance = Chance(unjudged, conditions, usual, target)
    evaluator: Evaluator | Captioner
    differentiator = None
    if settings.caption:
        if profile.whitening:
            chance.whiten()
        warm, seed = settings.temperature, settings.seed
        evaluator = Captioner(ensemble, chance.target, space.name, warm, seed)
    else:
        looks = profile.preprocessing
        evaluator = Evaluator(client, ensemble, target, space.name, psi, looks)
        differentiator = Differentiator(ensemble, target, space.name, psi, looks)
    return Setup(
        ensemble,
        conditions,
        evaluator,
        directions(ensemble.clip, measures),
        differentiator,
        chance,
        settings.weighing,
        settings.diverse,
    )


def directions(clip: Replicas, measures: tuple[str, ...]) -> Float64:
    """(k, d) float64, the embedding of each measure's second prompt less that of its first.

    Raises:
        GlasshouseError: clip refuses one of them.
    """
    pairs = [[embed_text(clip, end) for end in ends_of(measure)] for measure in measures]
    size = clip.info.about.embedding_size if isinstance(clip.info.about, ClipInfo) else 0
    return np.array([second - first for first, second in pairs], np.float64).reshape(-1, size)


def models_of(ensemble: Ensemble) -> tuple[Model, ...]:
    """Role, name and digest of every service's model."""
    return tuple(
        Model(replicas.info.role, replicas.info.model, replicas.info.digest)
        for replicas in ensemble.roles
    )


def check_kind(ensemble: Ensemble, settings: RunSettings) -> None:
    """Refuse a generator that writes where pictures are grown, and the other way round.

    Raises:
        BadRequestError: it is of the other kind.
    """
    info = ensemble.generator.info
    writes = isinstance(info.about, GeneratorInfo) and info.about.writes
    if writes and not settings.caption:
        raise BadRequestError(
            f"{info.model} writes captions and draws nothing; choose another --generator, or say "
            "what it should describe: orchestrator run --caption photo.jpg"
        )
    if settings.caption and not writes:
        raise BadRequestError(
            f"{info.model} draws pictures, but a caption wants a generator that writes; leave "
            f"--generator out, or choose one such as {CAPTIONER}"
        )


def find_space(ensemble: Ensemble, name: str, preferred: tuple[str, ...] = ()) -> LatentSpace:
    """The generator's latent space of that name; else one that is `preferred`, or its first.

    Raises:
        BadRequestError: it has none of that name.
    """
    about = ensemble.generator.info.about
    if not isinstance(about, GeneratorInfo):
        raise BadRequestError(f"{ensemble.generator.info.model} is no generator")
    spaces = {space.name: space for space in about.spaces}
    if name and name not in spaces:
        raise BadRequestError(
            f"{ensemble.generator.info.model} has no latent space '{name}'; "
            f"it has {', '.join(spaces)}"
        )
    usual = next((found for found in preferred if found in spaces), about.spaces[0].name)
    space = spaces[name or usual]
    space.check()
    return space
