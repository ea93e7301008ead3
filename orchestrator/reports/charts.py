"""Charts as SVG text, through matplotlib: no window, no global state, letters kept as letters."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from orchestrator.search import non_dominated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.reports.reading import Story

SIZE = (7.2, 3.2)  # inches
LOOK: Any = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a folder may be called $x
}
LONGEST_NAME = 48


def svg(draw: Callable[[Any], None], title: str) -> str:
    """One chart as an `<svg>` element; `draw` gets its axes."""
    with rc_context(LOOK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # whoever looks at the page has a font
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.set_title(title, loc="left")
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def _name(story: Story) -> str:
    """A run in a legend, which leaves out what begins with an underscore, and is short."""
    name = story.summary.name
    return f" {name}"[:LONGEST_NAME] if name.startswith("_") else name[:LONGEST_NAME]


def convergence(stories: Sequence[Story]) -> str:
    """Best and mean similarity over the generations, with the survivors' middle half behind."""

    def draw(axes: Any) -> None:
        for index, story in enumerate(stories):
            colour = f"C{index}"
            numbers = story.numbers()
            axes.plot(numbers, story.column("best"), color=colour, label=_name(story))
            axes.plot(numbers, story.column("mean"), color=colour, linestyle=":")
            baseline = story.summary.baseline
            if baseline is not None:
                axes.axhline(baseline.mean, color=colour, linestyle="--", linewidth=0.8)
            spread = _quartiles(story)
            if spread is not None:
                axes.fill_between(numbers, *spread, color=colour, alpha=0.15, linewidth=0)
            for swap in story.swaps:
                axes.axvline(swap.get("generation", 0), color=colour, linewidth=0.8, alpha=0.5)
        axes.set_xlabel("generation")
        axes.set_ylabel("similarity")
        axes.legend(loc="lower right", frameon=False)

    return svg(draw, "Similarity: best (line), mean (dots), middle half (band), random (dashes)")


def _quartiles(story: Story) -> tuple[list[float], list[float]] | None:
    scores = [event.get("scores") or [] for event in story.generations]
    if not scores or not all(scores):
        return None
    low, high = zip(
        *(np.quantile(np.array(one, np.float64), (0.25, 0.75)) for one in scores), strict=True
    )
    return list(low), list(high)


def spread(stories: Sequence[Story]) -> str:
    """Diversity over the generations."""

    def draw(axes: Any) -> None:
        for story in stories:
            axes.plot(story.numbers(), story.column("diversity"), label=_name(story))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("generation")
        axes.set_ylabel("mean pairwise CLIP distance")
        axes.legend(loc="best", frameon=False)

    return svg(draw, "Diversity")


def front(stories: Sequence[Story]) -> str:
    """The newest generation of each run by similarity and realism; empty without a discriminator.

    The rows that no other beats in both are joined.
    """
    shown = [one for one in stories if one.last is not None and one.last.realism is not None]
    if not shown:
        return ""

    def draw(axes: Any) -> None:
        for index, story in enumerate(shown):
            step = story.last
            if step is None or step.realism is None:
                continue
            colour = f"C{index}"
            axes.scatter(step.similarity, step.realism, s=12, color=colour, label=_name(story))
            objectives = np.stack([1 - step.similarity, -step.realism], axis=1)
            best = non_dominated(objectives)
            best = best[np.argsort(step.similarity[best])]
            axes.plot(step.similarity[best], step.realism[best], color=colour, linewidth=0.8)
        axes.set_xlabel("similarity")
        axes.set_ylabel("discriminator's logit")
        axes.legend(loc="best", frameon=False)

    return svg(draw, "The newest generation: similarity against realism")


def timings(story: Story) -> str:
    """Milliseconds of a batch over the generations, by role; empty where nothing was told."""
    found = story.timings()
    if not found:
        return ""

    def draw(axes: Any) -> None:
        for role, values in found.items():
            axes.plot(list(values), list(values.values()), label=role)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("generation")
        axes.set_ylabel("median ms of a batch")
        axes.legend(loc="best", frameon=False)

    return svg(draw, "Services")
