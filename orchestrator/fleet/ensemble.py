"""The services that evaluate a run's genomes, each role with its replicas."""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.fleet.replicas import Call, Replicas, wait
from protocol.errors import BadRequestError
from protocol.messages import DiscriminatorInfo, GeneratorInfo, ScorerInfo


@dataclass(frozen=True)
class Ensemble:
    """What a genome goes through.

    Attributes:
        generator: draws.
        clip: compares with the prompt.
        discriminator: judges how real; None to leave that out.
        scorer: the user's own judge; None to leave that out.
    """

    generator: Replicas
    clip: Replicas
    discriminator: Replicas | None = None
    scorer: Replicas | None = None

    def check(self) -> None:
        """Refuse services that do not fit together.

        Raises:
            BadRequestError: a judge of another picture size than the generator.
        """
        drawn = self.generator.info.about
        advice = {
            "discriminator": "choose the generator's own with --discriminator, or "
            "--discriminator none",
            "scorer": "serve it for the generator's size, as docs/scorer.md says",
        }
        for wanted in (self.judged, self.measured):
            if wanted is None or not isinstance(drawn, GeneratorInfo):
                continue
            if (drawn.height, drawn.width) != (wanted.height, wanted.width):
                role = "scorer" if isinstance(wanted, ScorerInfo) else "discriminator"
                raise BadRequestError(
                    f"{self.generator.info.model} draws {drawn.height}x{drawn.width} pictures, but "
                    f"the {role} wants {wanted.height}x{wanted.width}; {advice[role]}"
                )

    @property
    def judged(self) -> DiscriminatorInfo | None:
        """What the discriminator takes, if there is one."""
        about = self.discriminator.info.about if self.discriminator else None
        return about if isinstance(about, DiscriminatorInfo) else None

    @property
    def measured(self) -> ScorerInfo | None:
        """What the scorer takes, and which way its number goes, if there is one."""
        about = self.scorer.info.about if self.scorer else None
        return about if isinstance(about, ScorerInfo) else None

    @property
    def roles(self) -> list[Replicas]:
        """Those that are there, the generator first."""
        found = (self.generator, self.clip, self.discriminator, self.scorer)
        return [replicas for replicas in found if replicas is not None]

    def wait(self, calls: Iterable[Call]) -> list[Call]:
        """Wait until at least one of these calls is done; returns all that are.

        Raises:
            GlasshouseError: a role has no service left, and no hope for one.
        """
        return wait(self.generator.client, self.roles, calls)
