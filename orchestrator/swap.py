"""Changing a model of a living run.

A wish is taken up between two generations. The new service starts while the run goes on with the
old one; once it is ready, the survivors are scored with it, the journal says so, and the old one is
let go. No generation mixes two models. Whatever goes wrong before the journal has the new scores
leaves the run as it was, and whoever wished is told why.
"""

import time
from dataclasses import dataclass, replace

from orchestrator.course import Course
from orchestrator.evaluation.setup import Setup, set_up
from orchestrator.fleet.assemble import Finder, ensemble_of
from orchestrator.fleet.replicas import Replicas
from orchestrator.keeping import Keeper
from orchestrator.runs import RunFolder
from orchestrator.runs.swaps import Answer, Wish, answer, waits, wishes
from orchestrator.settings import RunSettings, refuse_other_objectives
from protocol.errors import BadRequestError, GlasshouseError, StorageError
from protocol.messages import GeneratorInfo


@dataclass(frozen=True)
class Swapped:
    """What a swap changed.

    Attributes:
        settings: of the run from now on.
        replicas: the new ones.
        message: for people.
    """

    settings: RunSettings
    replicas: Replicas
    message: str


@dataclass
class _Coming:
    """A wish that was taken up, and the services that it needs."""

    token: str
    wish: Wish
    replicas: Replicas | None = None


class Swapper:
    """Grants the wishes of one run.

    Args:
        folder: where wishes are put.
        finder: finds and starts services.
        roles: the run's services; replaced in place.
        course: the search.
        keeper: keeps the best picture of the models before.
    """

    def __init__(
        self,
        folder: RunFolder,
        finder: Finder,
        roles: list[Replicas],
        course: Course,
        keeper: Keeper,
    ) -> None:
        self._folder = folder
        self._finder = finder
        self._roles = roles
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
                self._coming = self._take_up()
            new = self._ready(self._coming) if self._coming else None
            if self._coming is None or new is None:
                return None
            swapped = self._switch(self._coming, new, settings)
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

    def _take_up(self) -> _Coming | None:
        for token, wish in wishes(self._folder):
            if wish is None or wish.model == "none":
                why = "wanted a role and a model, but this wish cannot be read"
                answer(self._folder, token, Answer(granted=False, message=why))
                continue
            self._coming = _Coming(token, wish)  # so that a failure is answered
            self._coming.replicas = self._finder.find(wish.role, wish.model)
            self._greet(self._coming.replicas)
            return self._coming
        return None

    def _greet(self, new: Replicas) -> None:
        """Services that live answer at once; for others the run does not stand still."""
        until = time.monotonic() + self._finder.client.patience.swap_s
        while new.greeting and time.monotonic() < until:
            self._finder.client.step()

    def _ready(self, coming: _Coming) -> Replicas | None:
        """The services that can be switched to now.

        Raises:
            GlasshouseError: one cannot start or be reached, or nobody wishes for it any more.
        """
        if not waits(self._folder, coming.token):
            raise BadRequestError("the wish was taken back")
        if coming.replicas is None:
            return None
        coming.replicas.tend()
        return coming.replicas if coming.replicas.ready else None

    def _switch(self, coming: _Coming, new: Replicas, settings: RunSettings) -> Swapped:
        others = [replicas for replicas in self._roles if replicas.role != new.role]
        old = [replicas for replicas in self._roles if replicas.role == new.role]
        ensemble = ensemble_of([*others, new])
        before, settings = settings, self._settings_with(coming, new, settings)
        if self._course.history.plan.objectives > 1:
            refuse_other_objectives(before, settings)
        setup = set_up(self._finder.client, ensemble, settings)
        self._keep_best(setup)
        done = self._course.change(setup, settings, reseed=coming.wish.reseed)
        self._roles[:] = ensemble.roles
        for replicas in old:
            replicas.let_go()
        after = f"after generation {self._course.history.generation}"
        return Swapped(settings, new, f"{new.role} swapped for {new.info.model} {after}: {done}")

    def _settings_with(self, coming: _Coming, new: Replicas, settings: RunSettings) -> RunSettings:
        """The run's settings with the new model, and its latent space named."""
        settings = replace(settings, **{coming.wish.role: coming.wish.model})  # type: ignore[arg-type] # a role
        about, before = new.info.about, self._course.history.conditions
        if before is None or not isinstance(about, GeneratorInfo):
            return settings
        spaces = about.spaces
        same = before.space in spaces
        return replace(settings, space=before.space.name if same else spaces[0].name)

    def _keep_best(self, setup: Setup) -> None:
        """The best picture of the models before: theirs alone can draw it."""
        history = self._course.history
        if history.scored and history.conditions and not history.conditions.same(setup.conditions):
            self._keeper.best(f"before-swap-{history.generation:06d}")

    def _refuse(self, why: str) -> None:
        if self._coming is not None:
            if self._coming.replicas is not None:
                self._coming.replicas.let_go()
            self._answer(Answer(granted=False, message=why))

    def _answer(self, said: Answer) -> None:
        coming, self._coming = self._coming, None
        if coming is not None:
            answer(self._folder, coming.token, said)
