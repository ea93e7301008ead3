"""Colour leakage: how much of a prompt's colour lies outside the thing (the thesis's outlook)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orchestrator.experiments.leaking import HUES
from orchestrator.experiments.material import Chart, Table
from orchestrator.experiments.statistics import compare, mean_interval
from orchestrator.experiments.views.drawing import panels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from orchestrator.experiments.material import Material
    from orchestrator.experiments.results import Unit


def leaks(material: Material) -> Iterator[Table | Chart]:
    """Share of a colour outside the mask: grown for it, drawn of the same scene, grown without."""
    plain = [unit for unit in material.units if _colour(unit) is None]
    groups: dict[tuple[str, str], list[Unit]] = {}
    for unit in material.units:
        if (colour := _colour(unit)) and f"leaked {colour}" in unit.values:
            groups.setdefault((material.level(unit), colour), []).append(unit)
    rows, means = [], {}
    for (level, colour), units in groups.items():
        leaked = {unit.pair: 100 * unit.values[f"leaked {colour}"] for unit in units}
        drawn = {unit.pair: 100 * unit.values[f"drawn {colour}"] for unit in units}
        name = f"leaked {colour}"
        alike = [unit for unit in plain if material.level(unit) == level and name in unit.values]
        others = [100 * unit.values[name] for unit in alike]
        (test,) = compare({"grown": leaked, "drawn": drawn})
        means[level, colour] = [mean_interval(list(one.values())) for one in (leaked, drawn)]
        shown = [one.text() for one in means[level, colour]]
        usual = mean_interval(others).text() if others else "-"
        rows.append([level, colour, str(len(units)), *shown, f"{test.difference:+.2f}",
                     f"{test.p:.2g}", usual])  # fmt: skip
    if not rows:
        return
    head = ["level", "colour", "runs", "grown for it, %", "the world's drawing, %", "median more",
            "p", "grown without the word, %"]  # fmt: skip
    note = (
        "Pixels of the colour's hue outside the thing's exact mask, per cent of all pixels "
        "outside. What a grown picture has more than the world's drawing of its scene was leaked."
    )
    yield Table("leakage", "Colour outside the thing", head, rows, note)

    def draw(axes: npt.NDArray[Any]) -> None:
        axis = axes[0, 0]
        for place, label in enumerate(["grown", "drawn by the world"]):
            at = [number + 0.35 * place for number in range(len(means))]
            found = [one[place] for one in means.values()]
            gaps = [[one.value - one.low for one in found], [one.high - one.value for one in found]]
            axis.bar(at, [one.value for one in found], 0.3, label=label, color=f"C{place}",
                     yerr=gaps)  # fmt: skip
        names = [
            " ".join(filter(None, [colour, level * (level != "all")])) for level, colour in means
        ]
        axis.set_xticks([number + 0.17 for number in range(len(means))], names, rotation=20)
        axis.set_ylabel("% of the pixels outside")
        axis.legend(frameon=False)

    yield Chart("leakage", "Colour outside the thing", panels(1, 1, draw, (6.0, 2.8)))


def _colour(unit: Unit) -> str | None:
    """The one colour that a prompt names."""
    words = set(re.findall(r"\w+", unit.pair[0].casefold()))
    found = [colour for colour in HUES if colour in words]
    return found[0] if len(found) == 1 else None
