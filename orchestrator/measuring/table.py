"""An evaluation as text: one figure a line, then what the classifiers see."""

from collections.abc import Iterator

from orchestrator.measuring.evaluation import Evaluation
from orchestrator.measuring.figures import Figure
from orchestrator.terminal.columns import aligned

HEADINGS = ("FIGURE", "VALUE", "95 %", "DEVIATION", "OF", "BY")
ONE_SAMPLE = (
    "One population is one sample: for intervals, repeat the search with other seeds "
    "(orchestrator experiment)."
)
INDEPENDENT = "The intervals take the pictures to be independent of each other."


def table(found: Evaluation) -> str:
    """For people."""
    said = f", which should show: {found.prompt}" if found.prompt else ""
    rows = [HEADINGS, *(_cells(figure) for figure in found.figures if not figure.refused)]
    lines = [f"{found.path}: {found.pictures} pictures{said}", "", *aligned(rows), ""]
    lines += [f"{one.name} ({one.by}): not given: {one.refused}" if one.by
              else f"{one.name}: not given: {one.refused}"
              for one in found.figures if one.refused]  # fmt: skip
    lines += ["", "What the classifiers see:", *aligned(list(_shown(found)))]
    return "\n".join([*lines, "", ONE_SAMPLE if found.of_a_run else INDEPENDENT])


def _cells(figure: Figure) -> tuple[str, ...]:
    interval = figure.low is not None and figure.high is not None
    return (
        figure.name,
        _number(figure.value),
        f"{_number(figure.low)} to {_number(figure.high)}" if interval else "",
        _number(figure.spread),
        str(figure.count or ""),
        figure.by,
    )


def _shown(found: Evaluation) -> Iterator[tuple[str, ...]]:
    for one in found.shown:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in one.shares.items())
        yield one.by, one.head, shares, f"(asked for: {one.asked})" if one.asked else ""


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
