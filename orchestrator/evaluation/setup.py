"""The services of a run, ready to evaluate genomes under its conditions."""

from dataclasses import dataclass

from orchestrator.evaluation.evaluator import Ensemble, Evaluation, Evaluator, Float32, embed_text
from orchestrator.gallery import diversity
from orchestrator.runs.journal import Conditions, Kind, Model, Step
from orchestrator.settings import RunSettings
from protocol.client import Client
from protocol.errors import BadRequestError
from protocol.latent import LatentSpace
from protocol.messages import GeneratorInfo


@dataclass(frozen=True)
class Setup:
    """Made anew whenever a model of the run changes.

    Attributes:
        ensemble: the services.
        conditions: under what they score.
        evaluator: asks them.
    """

    ensemble: Ensemble
    conditions: Conditions
    evaluator: Evaluator

    def evaluate(self, genomes: Float32) -> Evaluation:
        """Draw and judge every genome, (n, size) float32."""
        return self.evaluator.evaluate(genomes)

    def step(
        self, kind: Kind, generation: int, genomes: Float32, evaluation: Evaluation, objectives: int
    ) -> Step:
        """What the journal keeps of an evaluation; `objectives` is how many are minimised."""
        return Step(
            kind=kind,
            generation=generation,
            conditions=self.conditions,
            genomes=genomes,
            objectives=evaluation.objectives(objectives),
            similarity=evaluation.similarity,
            realism=evaluation.realism,
            diversity=diversity(evaluation.embeddings),
        )


def set_up(client: Client, ensemble: Ensemble, settings: RunSettings) -> Setup:
    """Check that the services fit together, and embed the prompt.

    Raises:
        GlasshouseError: they do not, or clip refuses the prompt.
    """
    ensemble.check()
    space = find_space(ensemble, settings.space)
    target = embed_text(client, ensemble.clip, settings.prompt)
    models = tuple(
        Model(service.info.role, service.info.model, service.info.digest)
        for service in ensemble.services
    )
    psi = settings.truncation_psi
    return Setup(
        ensemble,
        Conditions(settings.prompt, space, psi, models),
        Evaluator(client, ensemble, target, space.name, psi),
    )


def find_space(ensemble: Ensemble, name: str) -> LatentSpace:
    """The generator's latent space of that name, or its first.

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
    space = spaces[name] if name else about.spaces[0]
    space.check()
    return space
