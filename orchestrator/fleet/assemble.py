"""From what the settings name to services that said WELCOME.

A model name or path becomes the living services of this user that hold it, or else one of the run's
own; endpoints are services that somebody else runs. All own services are started side by side,
because each needs seconds to import torch.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.fleet.ensemble import Ensemble
from orchestrator.fleet.lasting import living
from orchestrator.fleet.launcher import POLL_S, LocalLauncher, ServiceSpec
from orchestrator.fleet.replica import Elsewhere, Own, Replica, Shared
from orchestrator.fleet.replicas import Replicas
from orchestrator.settings import RunSettings, endpoints
from protocol.client import Client
from protocol.messages import Role
from protocol.naming import is_endpoint

ROLES: tuple[Role, ...] = ("generator", "clip", "discriminator", "scorer")


@dataclass(frozen=True)
class Finder:
    """Finds the services of a run, and starts those that cannot be found.

    Attributes:
        launcher: starts services of the run's own.
        client: speaks to all of them.
        settings: which services, where, and whether living ones may be shared.
        on_wait: called again and again while a role has no service that could take its calls.
        lent: endpoints of services that somebody started for this run and others, by role and
            model.
    """

    launcher: LocalLauncher
    client: Client
    settings: RunSettings
    on_wait: Callable[[], None] = lambda: None
    lent: Mapping[tuple[Role, str], str] = field(default_factory=dict)

    def find_all(self) -> list[Replicas]:
        """Those that the settings name, found or started but not yet ready."""
        wanted = {role: getattr(self.settings, role) for role in ROLES}
        return [self.find(role, model) for role, model in wanted.items() if model != "none"]

    def find(self, role: Role, model: str) -> Replicas:
        """The services of one role, found or started but not yet ready.

        Raises:
            GlasshouseError: an endpoint that is none, or a log that cannot be written.
        """
        if is_endpoint(model):
            replicas: list[Replica] = [
                Elsewhere(self.client, role, endpoint) for endpoint in endpoints(model)
            ]
            return Replicas(self.client, role, replicas, on_wait=self.on_wait)
        spec = ServiceSpec(role, model, self.settings.device, self._threads())

        def others(lost: Sequence[Replica]) -> list[Replica]:
            return [] if any(isinstance(one, Own) for one in lost) else self._living(spec, lost)

        return Replicas(self.client, role, self._living(spec, ()), others, self.on_wait)

    def _living(self, spec: ServiceSpec, lost: Sequence[Replica]) -> list[Replica]:
        """Living services that hold one model, or a new one of the run's own."""
        known = {replica.endpoint for replica in lost}
        lent = self.lent.get((spec.role, spec.model))
        if lent is not None and lent not in known:
            return [Shared(self.client, spec.role, lent)]
        found = [] if self.settings.own else living(spec)
        found = [one for one in found if one.endpoint not in known]
        alike = [one for one in found if one.registration.digest == found[0].registration.digest]
        if not alike:
            return [Own(self.client, self.launcher, spec)]
        return [Shared(self.client, spec.role, one.endpoint) for one in alike]

    def _threads(self) -> int:
        """A fair share for each service, of which one waits for another in a single search."""
        ours = [role for role in ROLES if role != "scorer"]  # which is somebody else's
        wanted = sum(getattr(self.settings, role) != "none" for role in ours)
        return self.settings.threads or share_of_cores(wanted - 1)


def share_of_cores(services: int) -> int:
    """CPU threads, 1 or more, for each of so many services that compute at the same time.

    Cores are those that this process may use: a container's quota and a job's affinity count. More
    threads than cores would be many times slower, as they spin while they wait for one another.
    """
    from joblib import cpu_count

    return max(1, int(cpu_count()) // max(1, services))


def assemble(roles: Sequence[Replicas], on_wait: Callable[[], None]) -> Ensemble:
    """The services of a run, once all of them are ready; arguments and errors as `await_ready`."""
    await_ready(roles, on_wait)
    return ensemble_of(roles)


def await_ready(roles: Sequence[Replicas], on_wait: Callable[[], None]) -> None:
    """Wait until all services are ready; `on_wait` is called about twenty times a second.

    Raises:
        GlasshouseError: one of them cannot start or cannot be reached.
    """
    while True:
        for replicas in roles:
            replicas.tend()
        on_wait()
        if all(replicas.ready for replicas in roles):
            return
        until = time.monotonic() + POLL_S
        while time.monotonic() < until:  # loading takes minutes, and those that wait want PINGs
            roles[0].client.step()


def ensemble_of(roles: Sequence[Replicas]) -> Ensemble:
    """The services of a run, all of them ready.

    Raises:
        GlasshouseError: one was lost meanwhile.
    """
    found = {replicas.role: replicas.settled() for replicas in roles}
    return Ensemble(
        found["generator"], found["clip"], found.get("discriminator"), found.get("scorer")
    )
