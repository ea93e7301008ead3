"""From what the settings name to services that said WELCOME.

A model name or path becomes a service of the run's own; an endpoint is a service that somebody else
runs. All own services are started side by side, because each needs seconds to import torch.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.evaluation.evaluator import Ensemble
from orchestrator.fleet.launcher import LocalLauncher, LocalService, ServiceSpec
from orchestrator.settings import RunSettings, is_endpoint
from orchestrator.terminal import ServiceStatus
from protocol.client import Client, Service
from protocol.messages import Role

ROLES: tuple[Role, ...] = ("generator", "clip", "discriminator")


@dataclass
class Member:
    """One role of the run: a service of its own or one elsewhere.

    Attributes:
        role: generator, clip or discriminator.
        wanted: model name, path or endpoint, as the settings have it.
        local: the child process, if it is the run's own.
        service: the conversation, once it is there.
    """

    role: Role
    wanted: str
    local: LocalService | None = None
    service: Service | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return self.local.endpoint if self.local else self.wanted

    def status(self) -> ServiceStatus:
        """For the display."""
        if self.service is None:
            ready = self.local is not None and self.local.ready
            return ServiceStatus(
                self.role, self.wanted, self.endpoint, "ready" if ready else "starting"
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
        )


def start_members(settings: RunSettings, launcher: LocalLauncher) -> list[Member]:
    """The run's services, started but not yet ready."""
    wanted = {role: getattr(settings, role) for role in ROLES}
    members = [Member(role, wanted[role]) for role in ROLES if wanted[role] != "none"]
    own = [member for member in members if not is_endpoint(member.wanted)]
    threads = settings.threads or max(1, (os.cpu_count() or 1) // max(1, len(own) - 1))
    for member in own:
        spec = ServiceSpec(member.role, member.wanted, settings.device, threads)
        member.local = launcher.start(spec)
    return members


def assemble(
    members: list[Member],
    launcher: LocalLauncher,
    client: Client,
    on_wait: Callable[[], None],
) -> Ensemble:
    """Wait for the members and greet them, those elsewhere first.

    Raises:
        GlasshouseError: one of them cannot start, cannot be reached, or does not fit the others.
    """
    for member in members:
        if member.local is None:  # before anybody waits for the others
            member.service = client.connect(member.wanted, member.role)
    own = [member for member in members if member.local is not None]
    launcher.wait_ready([member.local for member in own if member.local], on_wait)
    for member in own:
        watch = member.local.gone if member.local else None
        member.service = client.connect(member.endpoint, member.role, watch=watch)
    found = {member.role: member.service for member in members if member.service is not None}
    ensemble = Ensemble(found["generator"], found["clip"], found.get("discriminator"))
    ensemble.check()
    return ensemble
