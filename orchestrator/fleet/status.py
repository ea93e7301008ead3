"""How the services of a user are: what `orchestrator ps` shows."""

import re
from dataclasses import dataclass
from pathlib import Path

from protocol.client import Client, Service
from protocol.errors import GlasshouseError
from protocol.messages import ClientNames, Clients
from protocol.naming import weights_path
from protocol.registry import Registered, registered

ANSWER_S = 2.0
PAGE_BYTES = 4096
SEARCH = re.compile(r"\d{4,}-[a-z0-9-]+")
"""What searches call themselves: as their run folders."""
HEADINGS: tuple[str, ...] = (
    *("NAME", "MODEL", "DEVICE", "STATE"),
    *("QUEUE", "ROWS", "P50 MS", "P95 MS", "MB", "DIGEST", "SEARCHES"),
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
    batch_ms: float
    batch_p95_ms: float
    memory_mb: float | None
    since: float
    searches: tuple[str, ...] = ()


def look(services: list[Registered] | None = None) -> list[Seen]:
    """Ask services how they are; all of this user's by default, oldest first."""
    with Client("orchestrator ps") as client:
        return [_look(client, one) for one in (registered() if services is None else services)]


def _look(client: Client, one: Registered) -> Seen:
    state, pong = "hung", None
    searches: tuple[str, ...] = ()
    try:
        service = client.connect(one.endpoint, one.registration.role, timeout_s=ANSWER_S)
        client.await_pong(service)
        state, pong = service.state, service.pong
        searches = _searches(client, service)
    except GlasshouseError:
        pass  # hung says it
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
    rows = [HEADINGS, *(_cells(one) for one in seen)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if 4 <= column <= 8 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _cells(one: Seen) -> tuple[str, ...]:
    timed = one.rows > 0
    path = weights_path(one.model)
    model = one.model.removeprefix(f"{path.parent}/") if path else one.model
    return (
        one.name,
        model,
        one.device,
        one.state if one.stays else f"{one.state}, a run's own",
        str(one.queue_rows),
        f"{one.rows:,}",
        f"{one.batch_ms:.1f}" if timed else "-",
        f"{one.batch_p95_ms:.1f}" if timed else "-",
        "-" if one.memory_mb is None else f"{one.memory_mb:.0f}",
        one.digest.rpartition(":")[2][:8],
        ", ".join(one.searches) or "-",
    )
