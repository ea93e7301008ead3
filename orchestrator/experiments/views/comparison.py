"""Levels against each other on the same prompts and seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.experiments.material import Table
from orchestrator.experiments.statistics import compare, mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.experiments.material import Chart, Material
    from orchestrator.experiments.results import Unit


def numbers(material: Material) -> dict[str, Callable[[Unit], float | None]]:
    """What units are compared by, name -> how it is read; greater is better for the first."""

    def final(name: str) -> Callable[[Unit], float | None]:
        return lambda unit: float(material.curves(unit)[name][-1])

    def value(name: str) -> Callable[[Unit], float | None]:
        return lambda unit: unit.values.get(name)

    def offered(unit: Unit) -> float:
        return float(material.score(unit, unit.values["similarity"]))

    found: dict[str, Callable[[Unit], float | None]] = {f"offered, {material.scored}": offered}
    if material.document.judge:
        found[f"by the judge, {material.scored}"] = material.judged
    if material.document.classifier:
        found["seen by the classifier, share"] = material.seen
    if any("realism" in unit.values for unit in material.units):
        found["realism of it, logit"] = value("realism")
    return found | {
        "last diversity": final("diversity"),
        "evaluations": value("evaluations"),
        "seconds": value("seconds"),
    }


def comparison(material: Material) -> Iterator[Table | Chart]:
    """Each level with intervals; every two levels by a paired test."""
    read = numbers(material)
    rows, tests = [], []
    for panel, levels in (material.panels() | material.pooled()).items():
        for level, units in levels.items():
            cells = []
            for value in read.values():
                known = [one for unit in units if (one := value(unit)) is not None]
                cells.append(mean_interval(known).text() if known else "-")
            rows.append([panel, level, str(len(units)), *cells])
        for name, value in read.items():
            if name in {"evaluations", "seconds"}:
                continue
            pairs = {
                level: {
                    (material.panel(unit), unit.pair): one
                    for unit in units
                    if (one := value(unit)) is not None
                }
                for level, units in levels.items()
            }
            tests += [
                [panel, name, f"{one.first} - {one.second}", str(one.units),
                 f"{one.difference:+.3f}", f"{one.wins:.2f}", f"{one.p:.3g}", f"{one.adjusted:.3g}"]
                for one in compare(pairs) if one.units
            ]  # fmt: skip
    head = ["panel", "level", "runs", *read]
    yield Table("levels", "Means over runs, with 95 % intervals", head, rows)
    head = ["panel", "of", "levels", "pairs", "median difference", "wins", "p", "p (Holm)"]
    note = (
        "Paired by prompt and seed, and where panels are pooled by panel too; Wilcoxon's "
        "signed-rank test, two-sided, corrected within each panel and quantity. Wins is the share "
        "of pairs in which the first is greater; with n pairs p cannot fall below 2^(1-n)."
    )
    yield Table("tests", "Levels against each other", head, tests, note)
