"""Changing a model of a living run.

A wish is taken up between two generations. The new service starts while the run goes on with the
old one; once it is ready, the survivors are scored with it, the journal says so, and the old one is
let go. No generation mixes two models. Whatever goes wrong before the journal has the new scores
leaves the run as it was, and whoever wished is told why.
"""

from dataclasses import dataclass, replace

from orchestrator.course import Course
from orchestrator.evaluation.setup import Setup, set_up
from orchestrator.fleet.assemble import Member, ensemble_of
from orchestrator.fleet.launcher import LocalLauncher, ServiceSpec
from orchestrator.keeping import Keeper
from orchestrator.runs import RunFolder
from orchestrator.runs.swaps import Answer, Wish, answer, waits, wishes
from orchestrator.settings import RunSettings
from protocol.client import Client
from protocol.errors import BadRequestError, GlasshouseError, StorageError
from protocol.messages import GeneratorInfo


@dataclass(frozen=True)
class Swapped:
    """What a swap changed.

    Attributes:
        settings: of the run from now on.
        member: the new one.
        message: for people.
    """

    settings: RunSettings
    member: Member
    message: str


@dataclass
class _Coming:
    """A wish that was taken up, and the service that it needs."""

    token: str
    wish: Wish
    member: Member


class Swapper:
    """Grants the wishes of one run.

    Args:
        folder: where wishes are put.
        launcher: starts services of the run's own.
        client: greets them.
        members: the run's services; replaced in place.
        course: the search.
        keeper: keeps the best picture of the models before.
    """

    def __init__(  # it touches all that a run is made of
        self,
        folder: RunFolder,
        launcher: LocalLauncher,
        client: Client,
        members: list[Member],
        course: Course,
        keeper: Keeper,
    ) -> None:
        self._folder = folder
        self._launcher = launcher
        self._client = client
        self._members = members
        self._course = course
        self._keeper = keeper
        self._coming: _Coming | None = None

    def tend(self, settings: RunSettings) -> Swapped | None:
        """Take up a wish, or grant one whose service is ready; quick when there is none.

        Raises:
            StorageError: the journal or an answer cannot be written.
        """
        try:
            if self._coming is None:
                self._coming = self._take_up(settings)
            if self._coming is None or not self._ready(self._coming):
                return None
            swapped = self._switch(self._coming, settings)
        except StorageError:
            raise
        except GlasshouseError as error:
            self._refuse(error.message)
            return None
        self._answer(Answer(granted=True, message=swapped.message))
        return swapped

    def close(self) -> None:
        """Refuse what was not granted when the run ends."""
        self._refuse("the run ended before the swap")
        for token, _ in wishes(self._folder):
            answer(self._folder, token, Answer(False, "the run ended before the swap"))  # noqa: FBT003 # granted

    def _take_up(self, settings: RunSettings) -> _Coming | None:
        for token, wish in wishes(self._folder):
            if wish is None or wish.model == "none":
                why = "wanted a role and a model, but this wish cannot be read"
                answer(self._folder, token, Answer(granted=False, message=why))
                continue
            threads = self._members[0].spec.threads
            member = Member(ServiceSpec(wish.role, wish.model, settings.device, threads))
            self._coming = _Coming(token, wish, member)  # so that a failure is answered
            member.start(self._launcher, own=settings.own)
            return self._coming
        return None

    def _ready(self, coming: _Coming) -> bool:
        """Whether its service can be switched to now.

        Raises:
            GlasshouseError: it cannot start or be reached, or nobody wishes for it any more.
        """
        if not waits(self._folder, coming.token):
            raise BadRequestError("the wish was taken back")
        member = coming.member
        if member.service is None:
            member.greet_shared(self._client, self._launcher)
        if member.local is not None:
            member.local.poll()
            if not member.local.ready:
                return False
            member.greet_own(self._client)
        return True

    def _switch(self, coming: _Coming, settings: RunSettings) -> Swapped:
        new = coming.member
        others = [member for member in self._members if member.role != new.role]
        old = [member for member in self._members if member.role == new.role]
        settings = self._settings_with(coming, settings)
        setup = set_up(self._client, ensemble_of([*others, new]), settings)
        self._keep_best(setup)
        done = self._course.change(setup, settings, reseed=coming.wish.reseed)
        self._members[:] = sorted([*others, new], key=lambda member: _order(member.role))
        for member in old:
            self._let_go(member)
        model = new.service.info.model if new.service else coming.wish.model
        after = f"after generation {self._course.history.generation}"
        return Swapped(settings, new, f"{new.role} swapped for {model} {after}: {done}")

    def _settings_with(self, coming: _Coming, settings: RunSettings) -> RunSettings:
        """The run's settings with the new model, and its latent space named."""
        settings = replace(settings, **{coming.wish.role: coming.wish.model})  # type: ignore[arg-type] # a role
        service, before = coming.member.service, self._course.history.conditions
        if before is None or service is None or not isinstance(service.info.about, GeneratorInfo):
            return settings
        spaces = service.info.about.spaces
        same = before.space in spaces
        return replace(settings, space=before.space.name if same else spaces[0].name)

    def _keep_best(self, setup: Setup) -> None:
        """The best picture of the models before: theirs alone can draw it."""
        history = self._course.history
        if history.scored and history.conditions and not history.conditions.same(setup.conditions):
            self._keeper.best(f"before-swap-{history.generation:06d}")

    def _let_go(self, member: Member) -> None:
        if member.service is not None:
            self._client.disconnect(member.service)
        if member.local is not None:
            member.local.process.terminate()

    def _refuse(self, why: str) -> None:
        if self._coming is not None:
            self._let_go(self._coming.member)
            self._answer(Answer(granted=False, message=why))

    def _answer(self, said: Answer) -> None:
        coming, self._coming = self._coming, None
        if coming is not None:
            answer(self._folder, coming.token, said)


def _order(role: str) -> int:
    return ("generator", "clip", "discriminator").index(role)
