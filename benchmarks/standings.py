"""Who won: tables and curves from the outcomes of contests.

The unit is one search, that is one (prompt, seed); intervals are by resampling whole prompts, of
which the seeds are a cluster, and differences are paired by prompt and seed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from benchmarks.contest import Choice, Outcome
from orchestrator.evaluation.evaluator import Float64
from orchestrator.experiments.material import Table
from orchestrator.experiments.statistics import compare, holm, mean_band, mean_interval
from orchestrator.experiments.views.drawing import panels

Who = Literal["judge", "search", "fulfilled"]
Unit = tuple[str, int]
"""Prompt and seed."""
Outcomes = Mapping[str, Mapping[Unit, Outcome]]
"""Choice -> unit -> outcome."""

BY: Final[dict[Who, str]] = {
    "judge": "the judge CLIP, which no search sees",
    "search": "the CLIP that the search sees",
    "fulfilled": "the classifiers: 1 where all that was asked for is there, else 0",
}
SIZE: Final = (4.6, 3.6)


def by_choice(outcomes: Iterable[Outcome], choices: Sequence[Choice]) -> Outcomes:
    """In the order of the choices; those without an outcome are left out."""
    found: dict[str, dict[Unit, Outcome]] = {choice.title: {} for choice in choices}
    for one in outcomes:
        if one.choice in found:
            found[one.choice][one.prompt, one.seed] = one
    return {title: units for title, units in found.items() if units}


def value(outcome: Outcome, who: Who, evaluations: int) -> float:
    """Of the best picture after at most so many evaluations: deviations over random, or 0 or 1."""
    places = [place for place, mark in enumerate(outcome.marks) if mark <= evaluations]
    scores: tuple[float, ...] = getattr(outcome, who)
    return float(scores[places[-1]])


def levels(found: Outcomes, evaluations: int) -> Table:
    """Each choice by itself."""
    marks = sorted({mark for mark in (800, 2_000, evaluations) if mark <= evaluations})
    head = ["search", "searches", *(f"judge, {mark:,}" for mark in marks)]
    head += [f"own CLIP, {evaluations:,}", f"all that was asked for, {evaluations:,}"]
    rows = []
    for title, units in found.items():
        prompts = [prompt for prompt, _ in units]
        cells = [_mean([value(o, "judge", m) for o in units.values()], prompts) for m in marks]
        cells.append(_mean([value(o, "search", evaluations) for o in units.values()], prompts))
        place = sum(mark <= evaluations for mark in next(iter(units.values())).marks) - 1
        hits = sum(one.fulfilled[place] for one in units.values())
        rows.append([title, str(len(units)), *cells, f"{hits}/{len(units)}"])
    note = (
        "Standard deviations over 512 random latents of the same prompt, of the best picture so "
        "far by the search's own CLIP; means, with 95 % intervals over prompts."
    )
    return Table("levels", f"After {evaluations:,} evaluations", head, rows, note)


def tests(found: Outcomes, who: Who, evaluations: int, longest: int) -> Table:
    """The first choice against each other one, and early against the one that ran longer."""
    first, *rivals = found
    duels = [(f"{first} - {other}", other, evaluations, evaluations) for other in rivals]
    early = min(2_000, evaluations)
    duels += [
        (f"{first} at {early:,} - {other} at {longest:,}", other, early, longest)
        for other in rivals
        if all(one.marks[-1] >= longest > evaluations for one in found[other].values())
    ]
    rows, ps = [], []
    for words, other, mine, theirs in duels:
        gaps = {
            unit: value(one, who, mine) - value(found[other][unit], who, theirs)
            for unit, one in found[first].items()
            if unit in found[other]
        }
        if not gaps:
            continue
        [test] = compare({words: gaps, "": dict.fromkeys(gaps, 0.0)})
        cells = [words, str(len(gaps)), _mean(list(gaps.values()), [prompt for prompt, _ in gaps])]
        rows.append([*cells, f"{test.wins:.2f}", f"{test.p:.2g}"])
        ps.append(test.p)
    for row, p in zip(rows, holm(ps), strict=True):
        row.append(f"{p:.2g}")
    head = ["difference", "pairs", "mean [95 % over prompts]", "wins", "p", "p (Holm)"]
    note = (
        f"At {evaluations:,} evaluations where nothing else is said. Paired by prompt and seed; "
        "Wilcoxon's signed-rank test, two-sided; wins: share of pairs in which the first is better."
    )
    return Table(f"tests-{who}", f"By {BY[who]}", head, rows, note)


def curves(found: Outcomes) -> Figure:
    """Best so far at each mark, by each of `BY`; means over prompts with 95 % bands."""

    def draw(axes: npt.NDArray[Any]) -> None:
        for axis, (who, words) in zip(axes[0], BY.items(), strict=True):
            for number, (title, units) in enumerate(found.items()):
                marks = next(iter(units.values())).marks
                mean, low, high = mean_band(_by_prompt(units, who))
                axis.plot(marks, mean, color=f"C{number}", label=title, linewidth=1)
                axis.fill_between(marks, low, high, color=f"C{number}", alpha=0.12, linewidth=0)
            axis.set_xlabel("evaluations")
            axis.set_title(words, fontsize=7)
        axes[0][0].set_ylabel("σ over random latents, best so far; or share")
        axes[0][-1].legend(frameon=False, fontsize=6)

    return panels(1, len(BY), draw, SIZE)


def _by_prompt(units: Mapping[Unit, Outcome], who: Who) -> Float64:
    """(prompts, marks): means over the seeds of each prompt."""
    prompts = dict.fromkeys(prompt for prompt, _ in units)
    return np.array(
        [
            np.mean([getattr(one, who) for (p, _), one in units.items() if p == prompt], axis=0)
            for prompt in prompts
        ]
    )


def _mean(values: Sequence[float], prompts: Sequence[str]) -> str:
    return mean_interval(values, prompts).text()


def tables(found: Outcomes, evaluations: int, longest: int) -> Iterator[Table]:
    """All of them."""
    yield levels(found, evaluations)
    for who in BY:
        yield tests(found, who, evaluations, longest)
