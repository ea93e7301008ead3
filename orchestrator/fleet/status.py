"""How the services of a user are: what `orchestrator ps` shows."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from orchestrator.terminal.columns import aligned
from protocol.client import Client, Service
from protocol.errors import GlasshouseError
from protocol.messages import ClientNames, Clients
from protocol.naming import weights_path
from protocol.registry import Registered, registered

ANSWER_S = 2.0
SAMPLE_S = 1.0
"""How long services are watched for the rows that they answer."""
LEAST_DIGITS = 4
"""Of a service's name, how much at least is shown in a table."""
PAGE_BYTES = 4096
SEARCH = re.compile(r"\d{4,}-[a-z0-9-]+")
"""What searches call themselves: as their run folders."""
HEADINGS: tuple[str, ...] = (
    *("NAME", "MODEL", "STATE", "QUEUE", "ROWS/S", "P50 MS", "P95 MS", "MB"),
    *("DEVICE", "DIGEST", "SEARCHES", "ENDPOINT"),
)


@dataclass(frozen=True)
class Seen:
    """One living service at one moment.

    Attributes:
        name: how commands call it.
        role: generator, clip or discriminator.
        model: catalogue name or path.
        digest: of the model.
        device: where it computes.
        endpoint: where it listens.
        state: as it says itself; `hung` if it does not answer.
        stays: whether it was started to stay, or belongs to a run.
        queue_rows: rows that wait.
        rows: rows answered in its life.
        rows_per_s: rows answered in a second, just now.
        batch_ms: median time of a batch.
        batch_p95_ms: 95th percentile of the same.
        memory_mb: of its process; None if that cannot be read.
        since: when it was ready, in seconds since 1970.
        searches: run folders of the searches that use it.
    """

    name: str
    role: str
    model: str
    digest: str
    device: str
    endpoint: str
    state: str
    stays: bool
    queue_rows: int
    rows: int
    rows_per_s: float
    batch_ms: float
    batch_p95_ms: float
    memory_mb: float | None
    since: float
    searches: tuple[str, ...] = ()


def look(services: list[Registered] | None = None) -> list[Seen]:
    """Ask services how they are, twice within a second; all of this user's by default."""
    with Client("orchestrator ps") as client:
        asked = [
            (one, _greet(client, one)) for one in (registered() if services is None else services)
        ]
        if any(greeted for _, greeted in asked):
            client.pump(SAMPLE_S)
        return [_look(client, one, greeted) for one, greeted in asked]


@dataclass
class _Greeted:
    """A service that has answered, and what it had done by then."""

    service: Service
    rows: int
    at: float


def _greet(client: Client, one: Registered) -> _Greeted | None:
    try:
        service = client.connect(one.endpoint, one.registration.role, timeout_s=ANSWER_S)
        client.await_pong(service)
    except GlasshouseError:
        return None
    return _Greeted(service, service.pong.rows if service.pong else 0, time.monotonic())


def _look(client: Client, one: Registered, greeted: _Greeted | None) -> Seen:
    state, pong, rate = "hung", None, 0.0
    searches: tuple[str, ...] = ()
    try:
        if greeted is not None:
            client.await_pong(greeted.service)
            state, pong = greeted.service.state, greeted.service.pong
            searches = _searches(client, greeted.service)
    except GlasshouseError:
        pass  # hung says it
    if greeted is not None and pong is not None:
        rate = (pong.rows - greeted.rows) / (time.monotonic() - greeted.at)
    said = one.registration
    return Seen(
        name=one.name,
        role=said.role,
        model=said.model,
        digest=said.digest,
        device=said.device,
        endpoint=one.endpoint,
        state=state,
        stays=not said.owned,
        queue_rows=pong.queue_rows if pong else 0,
        rows=pong.rows if pong else 0,
        rows_per_s=round(rate, 1),
        batch_ms=pong.batch_ms if pong else 0.0,
        batch_p95_ms=pong.batch_p95_ms if pong else 0.0,
        memory_mb=_memory_mb(one.pid()),
        since=one.since,
        searches=searches,
    )


def _searches(client: Client, service: Service) -> tuple[str, ...]:
    """Which searches a service serves, oldest first.

    Raises:
        GlasshouseError: it does not say.
    """
    reply = client.call(service, Clients(), ttl_s=ANSWER_S).answer().reply.result
    names = reply.names if isinstance(reply, ClientNames) else ()
    return tuple(sorted(name for name in set(names) if SEARCH.fullmatch(name)))


def _memory_mb(pid: int | None) -> float | None:
    """Resident memory of a process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return round(pages * PAGE_BYTES / 1e6, 1)


def table(seen: list[Seen]) -> str:
    """The same for people, one line a service."""
    if not seen:
        return "no service lives; start some that stay: orchestrator up"
    names = _short([one.name for one in seen])
    rows = [HEADINGS, *(_cells(one, name) for one, name in zip(seen, names, strict=True))]
    return "\n".join(aligned(rows, right=range(3, 8)))


def _short(names: list[str]) -> list[str]:
    """The beginnings of names that tell them apart, by which commands take them."""
    for digits in range(LEAST_DIGITS, max(map(len, names))):
        cut = [name[: name.rfind("-") + 1 + digits] for name in names]
        if len(set(cut)) == len(set(names)):
            return cut
    return names


def _cells(one: Seen, name: str) -> tuple[str, ...]:
    timed = one.rows > 0
    path = weights_path(one.model)
    model = one.model.removeprefix(f"{path.parent}/") if path else one.model
    return (
        name,
        model,
        one.state,
        str(one.queue_rows),
        f"{one.rows_per_s:.1f}",
        f"{one.batch_ms:.1f}" if timed else "-",
        f"{one.batch_p95_ms:.1f}" if timed else "-",
        "-" if one.memory_mb is None else f"{one.memory_mb:.0f}",
        one.device,
        one.digest.rpartition(":")[2][:8],
        f"{'' if one.stays else 'only '}{', '.join(one.searches) or '-'}",
        one.endpoint,
    )
