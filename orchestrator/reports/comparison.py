"""Runs side by side: only the settings that differ, and how each one went."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orchestrator.terminal.snapshot import clock, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.reports.reading import Story

NOT_COMPARED = {"command", "runs"}
SHOWN = 40
"""Characters of a value, at most."""

Rows = dict[str, list[str]]


def differing(stories: Sequence[Story]) -> Rows:
    """Settings and model digests that are not the same in all runs, a value for each run."""
    names = dict.fromkeys(name for story in stories for name in story.settings)
    rows: Rows = {}
    for name in names:
        if name not in NOT_COMPARED:
            rows[name] = [_text(story.settings.get(name)) for story in stories]
    for role in dict.fromkeys(str(one.get("role")) for story in stories for one in story.services):
        rows[f"{role} digest"] = [_digest(story, role) for story in stories]
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def outcomes(stories: Sequence[Story]) -> Rows:
    """How each run went."""
    swaps = [", ".join(map(_swap, story.swaps)) or "-" for story in stories]
    return {
        "status": [story.summary.status for story in stories],
        "grown": [f"{story.summary.generation} generations" for story in stories],
        "evaluations": [f"{story.evaluations:,}" for story in stories],
        "seconds": [clock(story.seconds) for story in stories],
        **({"swaps": swaps} if any(story.swaps for story in stories) else {}),
        "best similarity": [_number(story.summary.best) for story in stories],
        "best over random": [story.summary.over_random or "-" for story in stories],
        "last mean": [_number(_last(story, "mean")) for story in stories],
        "last diversity": [_number(_last(story, "diversity")) for story in stories],
    }


def table(stories: Sequence[Story]) -> str:
    """For people, one column a run."""
    rows = {
        "": [story.summary.name for story in stories],
        **differing(stories),
        **outcomes(stories),
    }
    cells = {name: [printable(value)[:SHOWN] for value in values] for name, values in rows.items()}
    widths = [max(len(values[index]) for values in cells.values()) for index in range(len(stories))]
    margin = max(map(len, cells))
    lines = []
    for name, values in cells.items():
        row = "  ".join(f"{value:{width}}" for value, width in zip(values, widths, strict=True))
        lines.append(f"{name:{margin}}  {row}".rstrip())
    return "\n".join(lines)


def _swap(event: dict[str, Any]) -> str:
    return f"{event.get('model')} after {event.get('generation')}"


def _digest(story: Story, role: str) -> str:
    found = (one.get("digest") for one in story.services if one.get("role") == role)
    return str(next(found, "none"))


def _last(story: Story, name: str) -> float | None:
    return story.generations[-1].get(name) if story.generations else None


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "-"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
