"""Displays that print lines: for logs, pipes, dumb terminals and other programs.

One line for each generation, each change of a service's state and each phase, and a sign of life
every ten seconds between them, as long as `update` is called. No escapes, ever: control characters
in a target or a log line are replaced. A stream that cannot be written is counted, never raised.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator.terminal.snapshot import Snapshot, clock, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.terminal.controls import Request
    from orchestrator.terminal.snapshot import ServiceStatus

ALIVE_S = 10.0


class QuietDisplay:
    """Prints nothing.

    Attributes:
        draw_errors: how often writing failed.
    """

    def __init__(self, stream: TextIO) -> None:
        self.draw_errors = 0
        self._stream = stream

    def start(self) -> None:
        """Nothing to prepare."""

    def update(self, snapshot: Snapshot) -> None:
        """Nothing to show."""

    def message(self, text: str) -> None:
        """Nothing to say."""

    def requests(self) -> list[Request]:
        """Nobody has keys to ask with."""
        return []

    def stop(self) -> None:
        """Nothing to leave behind."""

    def _write(self, line: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except (OSError, RuntimeError, ValueError):  # gone, called from a signal handler, closed
            self.draw_errors += 1


class JsonDisplay(QuietDisplay):
    """Prints the line of `events.jsonl` for each generation, and `{"event": "message"}` lines."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._generation = 0

    def update(self, snapshot: Snapshot) -> None:
        """One line for each generation that `snapshot` completes."""
        if snapshot.generation != self._generation and snapshot.best:
            self._generation = snapshot.generation
            self._emit(snapshot.event())

    def message(self, text: str) -> None:
        """One line that carries `text`."""
        self._emit({"event": "message", "message": printable(text)})

    def _emit(self, event: dict[str, Any]) -> None:
        from orchestrator.runs.storage import to_json

        self._write(to_json(event).decode())


class PlainDisplay(QuietDisplay):
    """Prints plain lines.

    Args:
        stream: where to print, usually stderr.
        now: the clock in seconds, for tests.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._now = now
        self._last: Snapshot | None = None
        self._written = now()

    def update(self, snapshot: Snapshot) -> None:
        """Print what is new since the last snapshot."""
        before, self._last = self._last, snapshot
        lines = news(before, snapshot)
        if not lines and self._now() - self._written >= ALIVE_S:
            lines = [_alive(snapshot)]
        for line in lines:
            self.message(line)

    def message(self, text: str) -> None:
        """Print `text` as one line."""
        self._write(printable(text))
        self._written = self._now()


def news(before: Snapshot | None, after: Snapshot) -> list[str]:
    """The lines that tell how `after` differs from `before`."""
    lines = []
    if before is None:
        before = Snapshot(after.target)
        lines.append(
            f'searching for "{after.target}": {after.generator}, {after.algorithm}, '
            f"seed {after.seed}, population {after.population}, in {after.folder}"
        )
    lines += _service_news(before.services, after.services)
    lines += [line for line in after.log if line not in before.log]
    if after.generation != before.generation and after.best:
        lines.append(_generation_line(after))
    if after.collapsed and not before.collapsed:
        lines.append("warning: the pictures of this population are near-identical")
    if after.phase != before.phase and after.phase in {"saving", "done"}:
        lines.append(f"{after.phase} after {clock(after.elapsed_s)}: {after.folder}")
    return lines


def _service_news(before: Sequence[ServiceStatus], after: Sequence[ServiceStatus]) -> list[str]:
    """A line for each service in a new state; going from ready to busy and back is no news."""
    known: dict[tuple[str, str], str] = {(s.role, s.endpoint): s.state for s in before}
    lines = []
    for service in after:
        old = known.get((service.role, service.endpoint))
        if old != service.state and {old, service.state} != {"ready", "busy"}:
            model = "" if service.model == service.endpoint else service.model  # not greeted yet
            words = ("service", service.role, model, "is", service.state, service.endpoint)
            shared = "(shared)" if service.shared else ""
            lines.append(" ".join(word for word in (*words, shared) if word))
    return lines


def _generation_line(snapshot: Snapshot) -> str:
    parts = [f"generation {snapshot.generation}/{snapshot.generations}"]
    over = "" if snapshot.over_random is None else f" ({snapshot.over_random:+.1f} σ)"
    parts.append(f"best {snapshot.best[-1]:.3f}{over}")
    if snapshot.mean:
        parts.append(f"mean {snapshot.mean[-1]:.3f}")
    if snapshot.second:
        parts.append(f"{snapshot.second_name} {snapshot.second[-1]:.3f}")
    if snapshot.scored:
        parts.append(f"scorer {snapshot.scored[-1]:.3f}")
    if snapshot.failed:
        parts.append(f"failed {snapshot.failed}")
    if snapshot.diversity is not None:
        parts.append(f"diversity {snapshot.diversity:.3f}")
    parts.append(f"{snapshot.evaluations_per_s:.1f} evaluations/s")
    parts.append(f"ETA {clock(snapshot.eta_s)}")
    parts += [f'"{text}"' for text in snapshot.captions[:1]]
    return "  ".join(parts)


def _alive(snapshot: Snapshot) -> str:
    """What is being waited for."""
    if snapshot.phase == "starting":
        slow = [s.role for s in snapshot.services if s.state == "starting"]
        return (
            f"starting for {clock(snapshot.elapsed_s)}, waiting for {', '.join(slow) or 'services'}"
        )
    return f"{snapshot.phase}, generation {snapshot.generation}, {clock(snapshot.elapsed_s)} so far"
