"""From what the settings name to services that said WELCOME.

A model name or path becomes a living service of this user that holds it, or else one of the run's
own; an endpoint is a service that somebody else runs. All own services are started side by side,
because each needs seconds to import torch.
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.evaluation.evaluator import Ensemble
from orchestrator.fleet.lasting import living
from orchestrator.fleet.launcher import LocalLauncher, LocalService, ServiceSpec
from orchestrator.settings import RunSettings, is_endpoint
from orchestrator.terminal import ServiceStatus
from protocol.client import Client, Service
from protocol.errors import DrainingError, GlasshouseError
from protocol.messages import Role

ROLES: tuple[Role, ...] = ("generator", "clip", "discriminator")
SHARED_TIMEOUT_S = 3.0


@dataclass
class Member:
    """One role of the run: a service of its own, a shared one, or one elsewhere.

    Attributes:
        spec: role, model name, path or endpoint, and how to start it.
        local: the child process, if it is the run's own.
        shared: endpoint of a living service that the run found.
        service: the conversation, once it is there.
    """

    spec: ServiceSpec
    local: LocalService | None = None
    shared: str = ""
    service: Service | None = None

    @property
    def role(self) -> Role:
        """Generator, clip or discriminator."""
        return self.spec.role

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return self.local.endpoint if self.local else self.shared or self.spec.model

    def status(self) -> ServiceStatus:
        """For the display."""
        if self.service is None:
            ready = self.local is not None and self.local.ready
            return ServiceStatus(
                self.role, self.spec.model, self.endpoint, "ready" if ready else "starting"
            )
        info, pong = self.service.info, self.service.pong
        return ServiceStatus(
            role=self.role,
            model=info.model,
            endpoint=self.endpoint,
            state=self.service.state,
            queue_rows=pong.queue_rows if pong else 0,
            batch_ms=pong.batch_ms if pong else 0.0,
            batch_p95_ms=pong.batch_p95_ms if pong else 0.0,
            rows=pong.rows if pong else 0,
            digest=info.digest,
            shared=bool(self.shared),
        )

    def start(self, launcher: LocalLauncher, *, own: bool) -> None:
        """Find a living service, or start one unless the settings name an endpoint."""
        if is_endpoint(self.spec.model):
            return
        found = [] if own else living(self.spec)
        self.shared = secrets.choice(found).endpoint if found else ""
        if not found:
            self.local = launcher.start(self.spec)

    def greet_shared(self, client: Client, launcher: LocalLauncher) -> None:
        """Greet a service that lives already; a shared one that does not answer is replaced.

        Raises:
            GlasshouseError: the endpoint that the settings name cannot be used.
        """
        if self.local is not None:
            return
        if not self.shared:
            self.service = client.connect(self.endpoint, self.role)
            return
        try:
            self.service = _greet_usable(client, self.shared, self.role)
        except GlasshouseError:
            self.shared = ""
            self.local = launcher.start(self.spec)

    def greet_own(self, client: Client) -> None:
        """Greet the run's own service, which is ready."""
        if self.local is not None and self.service is None:
            self.service = client.connect(self.endpoint, self.role, watch=self.local.gone)


def _greet_usable(client: Client, endpoint: str, role: Role) -> Service:
    """A living service, unless it hangs or is about to leave.

    Raises:
        GlasshouseError: it cannot be used.
    """
    service = client.connect(endpoint, role, timeout_s=SHARED_TIMEOUT_S)
    try:
        client.await_pong(service, SHARED_TIMEOUT_S)
        if service.state not in {"ready", "busy"}:
            raise DrainingError(f"the {role} at {endpoint} is {service.state}")
    except GlasshouseError:
        client.disconnect(service)
        raise
    return service


def start_members(settings: RunSettings, launcher: LocalLauncher) -> list[Member]:
    """The run's services, found or started but not yet ready."""
    wanted = {role: getattr(settings, role) for role in ROLES}
    wanted = {role: model for role, model in wanted.items() if model != "none"}
    cores = os.cpu_count() or 1
    threads = settings.threads or max(1, cores // max(1, len(wanted) - 1))
    specs = [ServiceSpec(role, model, settings.device, threads) for role, model in wanted.items()]
    members = [Member(spec) for spec in specs]
    for member in members:
        member.start(launcher, own=settings.own)
    return members


def assemble(
    members: list[Member],
    launcher: LocalLauncher,
    client: Client,
    on_wait: Callable[[], None],
) -> Ensemble:
    """Wait for the members and greet them, those elsewhere first.

    Raises:
        GlasshouseError: one of them cannot start or cannot be reached.
    """
    for member in members:  # before anybody waits for the others
        member.greet_shared(client, launcher)

    def keep_talking() -> None:
        client.pump()  # loading takes minutes, and the others notice when nobody answers
        on_wait()

    launcher.wait_ready([member.local for member in members if member.local], keep_talking)
    for member in members:
        member.greet_own(client)
    return ensemble_of(members)


def ensemble_of(members: list[Member]) -> Ensemble:
    """The services of members that were all greeted."""
    found = {member.role: member.service for member in members if member.service is not None}
    return Ensemble(found["generator"], found["clip"], found.get("discriminator"))
