"""One service of a run, and how it is brought back when it is lost.

Nothing here waits: `tend` takes one small step, again and again, while the run goes on with other
replicas. What a replica of each kind does when its service is lost:

- `Own`, a child process of the run: it is started again after a pause, a few times.
- `Elsewhere`, an endpoint that the user named: it is greeted again and again, with pauses.
- `Shared`, a living service that the run found: nothing; the run finds another or starts its own.
"""

import time
from abc import ABC, abstractmethod

from orchestrator.fleet.launcher import LocalLauncher, LocalService, ServiceSpec
from orchestrator.terminal import ServiceStatus
from protocol.client import Client, Service
from protocol.errors import GlasshouseError, ServiceError, ServiceLostError
from protocol.messages import Role, State


class Replica(ABC):
    """One service of a role.

    Args:
        client: speaks to it.
        role: what it must be.
        model: what to call it until it has said who it is.

    Attributes:
        service: the conversation; None while there is none.
        error: why it cannot be counted on; None while there is hope.
        over: whether `error` is for good.
        news: what happened to it, for people; whoever tells them empties it.
    """

    shared = False

    def __init__(self, client: Client, role: Role, model: str) -> None:
        self.client = client
        self.role = role
        self.model = model
        self.service: Service | None = None
        self.error: GlasshouseError | None = None
        self.over = False
        self.news: list[str] = []

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """Where it listens."""

    @abstractmethod
    def tend(self, now: float) -> None:
        """Take note of what happened, and bring it back if that can be; at once."""

    @property
    def state(self) -> State:
        """How it is, in the words shown to users."""
        if self.over or (self.error is not None and self.service is None):
            return "lost"
        return self.service.state if self.service is not None else "starting"

    @property
    def usable(self) -> bool:
        """Whether it can be given rows; only who has answered a PING can."""
        pong = self.service.pong if self.service is not None else None
        return pong is not None and not self.over and self.state in {"ready", "busy"}

    def refuse(self, error: GlasshouseError) -> None:
        """Never use it again, for this reason."""
        self.disconnect()
        self.error, self.over = error, True
        self.news.append(error.message)

    def disconnect(self) -> None:
        """End the conversation."""
        service, self.service = self.service, None
        if service is not None:
            self.client.disconnect(service)

    def let_go(self) -> None:
        """It is not needed any more."""
        self.disconnect()
        self.over = True

    def status(self) -> ServiceStatus:
        """For the display."""
        service = self.service
        if service is None or service.session.welcome is None:
            return ServiceStatus(
                self.role, self.model, self.endpoint, self.state, shared=self.shared
            )
        info, pong = service.info, service.pong
        return ServiceStatus(
            role=self.role,
            model=info.model,
            endpoint=self.endpoint,
            state=self.state,
            queue_rows=pong.queue_rows if pong else 0,
            batch_ms=pong.batch_ms if pong else 0.0,
            batch_p95_ms=pong.batch_p95_ms if pong else 0.0,
            rows=pong.rows if pong else 0,
            digest=info.digest,
            shared=self.shared,
        )


class Connected(Replica):
    """A conversation that somebody else began; when it is lost, that is all.

    Args:
        client: speaks to it.
        service: the conversation.
    """

    def __init__(self, client: Client, service: Service) -> None:
        super().__init__(client, service.session.role, service.info.model)
        self.service = service

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return self.service.session.endpoint if self.service else ""

    def tend(self, now: float) -> None:
        """Take note of its loss."""
        del now
        if self.service is not None and self.service.session.error is not None:
            self.refuse(self.service.session.error)


class Elsewhere(Replica):
    """A service that somebody else runs, at an endpoint that the user named.

    Args:
        client: speaks to it.
        role: what it must be.
        endpoint: where it listens.

    Raises:
        ConfigError: that is no endpoint, or its key is not known.
    """

    def __init__(self, client: Client, role: Role, endpoint: str) -> None:
        super().__init__(client, role, endpoint)
        self._endpoint = endpoint
        self._met = False
        self._failed = 0
        self._lost_at: float | None = None
        self._greeted_at = time.monotonic()
        self._again_at = 0.0
        self.service = client.greet(endpoint, role)

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return self._endpoint

    def tend(self, now: float) -> None:
        """Greet it again after a loss; after long in vain, nobody counts on it."""
        if self.over:
            return
        if self.service is None:
            self._greet_again(now)
            return
        error = self.service.session.error
        if error is not None:
            self._lost(error, now)
        elif self.usable:
            self._came(now)
        elif now - self._greeted_at > self.client.patience.greet_s:
            self._doubt(self.service)

    def _doubt(self, service: Service) -> None:
        """One that cannot be used though it was greeted a while ago."""
        if service.pong is None:
            service.session.give_up(self.client.patience.greet_s)
        elif not self._met:
            state = f"the {self.role} at {self._endpoint} is {service.state}"
            service.session.fail(ServiceLostError(f"{state}; look at its terminal"))

    def _greet_again(self, now: float) -> None:
        if now >= self._again_at:
            self._greeted_at = now
            self.service = self.client.greet(self._endpoint, self.role)

    def _came(self, now: float) -> None:
        if self._lost_at is not None:
            self.news.append(
                f"{self.role} at {self._endpoint} is back after {now - self._lost_at:.0f} s"
            )
        self._met, self._failed, self._lost_at, self.error = True, 0, None, None

    def _lost(self, error: GlasshouseError, now: float) -> None:
        self.disconnect()
        if not self._met or not isinstance(error, ServiceError):
            self.refuse(error)
            return
        patience = self.client.patience
        self._failed += 1
        self._again_at = now + patience.pause_s(self._failed)
        if self._lost_at is None:
            self._lost_at = now
            self.news.append(error.message)
        elif now - self._lost_at > patience.away_s:
            self.error = ServiceLostError(
                f"the {self.role} at {self._endpoint} was lost and did not come back within "
                f"{patience.away_s:.0f} s; start it again there, then go on with: "
                "orchestrator resume RUN"
            )


class Shared(Elsewhere):
    """A living service of this user that the run found."""

    shared = True

    def _lost(self, error: GlasshouseError, now: float) -> None:
        del now
        self.refuse(error)


class Own(Replica):
    """A child process of the run.

    Args:
        client: speaks to it.
        launcher: starts it.
        spec: what to start.

    Raises:
        StorageError: its log cannot be written.
    """

    def __init__(self, client: Client, launcher: LocalLauncher, spec: ServiceSpec) -> None:
        super().__init__(client, spec.role, spec.model)
        self._launcher = launcher
        self._spec = spec
        self._local: LocalService = launcher.start(spec)
        self._started_at = time.monotonic()
        self._hung_at: float | None = None
        self._again_at: float | None = None
        self._met = False
        self._restarts = 0

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return self._local.endpoint

    @property
    def state(self) -> State:
        """Starting until it can be greeted."""
        return "lost" if self._again_at is not None else super().state

    def tend(self, now: float) -> None:
        """Watch it start, serve, hang and end; start it again."""
        if self.over:
            return
        if self._again_at is not None:
            if now >= self._again_at:
                self._again_at, self._started_at = None, now
                self._local = self._launcher.start(self._spec)
            return
        try:
            self._watch(now)
        except GlasshouseError as error:
            self._fell(error, now)

    def _watch(self, now: float) -> None:
        if self.service is None:
            self._local.poll()
            if self._local.ready:
                self.service = self.client.greet(self.endpoint, self.role, watch=self._local.gone)
            self._check_start(now)
        elif self.service.session.error is not None:
            raise self.service.session.error
        elif self.usable:
            self._serves(now)
        elif self.service.pong is None:
            self._check_start(now)
        else:
            self._check_hung(now)

    def _check_start(self, now: float) -> None:
        patience = self.client.patience
        if now - self._started_at > patience.start_s:
            raise ServiceError(
                f"the {self.role} was not ready within {patience.start_s:.0f} s; "
                f"its log: {self._local.log_path}"
            )

    def _serves(self, now: float) -> None:
        self._hung_at = None
        if self._restarts and not self._met:
            self.news.append(f"{self.role} was started again")
        self._met = True
        if now - self._started_at > self.client.patience.steady_s:
            self._restarts = 0

    def _check_hung(self, now: float) -> None:
        """A silent one is lost by itself; one that answers but never finishes its batch is not."""
        if self.state != "hung":
            self._hung_at = None
            return
        self._hung_at = now if self._hung_at is None else self._hung_at
        if now - self._hung_at > self.client.patience.silence_s:
            raise ServiceLostError(
                f"the {self.role} service ({self.model}) hangs; its log: {self._local.log_path}"
            )

    def _fell(self, error: GlasshouseError, now: float) -> None:
        """It ended or hangs: see that it is gone, and start it again if that may help."""
        reason = self._local.gone()
        error = ServiceLostError(reason) if reason and self._met else error
        self.disconnect()
        self._launcher.end(self._local)
        patience = self.client.patience
        first = not self._met and not self._restarts
        if first or not isinstance(error, ServiceError) or self._restarts >= patience.restarts:
            self.refuse(self._given_up(error))
            return
        self._restarts += 1
        self._met, self._hung_at = False, None
        self._again_at = now + patience.pause_s(self._restarts)
        self.news.append(f"{error.message}; it is started again")

    def _given_up(self, error: GlasshouseError) -> GlasshouseError:
        if not self._restarts:
            return error
        return type(error)(
            f"{error.message} (attempt {self._restarts} to start it again); when it works again, "
            "go on with: orchestrator resume RUN"
        )

    def let_go(self) -> None:
        """Let it answer what it holds, and leave."""
        super().let_go()
        self._local.process.terminate()
