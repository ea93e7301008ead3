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
    """Colour outside the thing: by exact masks where they are known, and as CLIP sees it."""
    yield from _outside(material)
    yield from _near(material)


def _outside(material: Material) -> Iterator[Table | Chart]:
    """Share of a colour outside the mask: grown for it, drawn of the same scene, grown without."""
    plain = [unit for unit in material.units if _colour(unit.pair[0]) is None]
    groups: dict[tuple[str, str], list[Unit]] = {}
    for unit in material.units:
        if (colour := _colour(unit.pair[0])) and f"leaked {colour}" in unit.values:
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


def _near(material: Material) -> Iterator[Table]:
    """How near to other things of a colour: grown for it, and for the prompt without its word."""
    values: dict[tuple[str, str, str], dict[tuple[str, str], float]] = {}
    for unit in material.units:
        colour = _colour(unit.pair[0])
        bare = re.sub(rf"\b{colour}\s+", "", unit.pair[0], flags=re.IGNORECASE)
        for clip, text, similarity in material.results.rows("looks", unit.cell):
            asked = _colour(text)
            if text in material.document.also and asked and clip == unit.settings["clip"]:
                word = "with" if colour == asked else "without" if colour is None else ""
                key = material.level(unit), text, word
                values.setdefault(key, {})[bare, unit.pair[1]] = similarity
    rows = []
    for level, text in dict.fromkeys(key[:2] for key in values):
        both = {word: values.get((level, text, word), {}) for word in ("with", "without")}
        (test,) = compare(both)
        if test.units:
            shown = [mean_interval(list(one.values())).text(3) for one in both.values()]
            rows.append([level, text, str(test.units), *shown, f"{test.difference:+.3f}",
                         f"{test.p:.2g}"])  # fmt: skip
    if rows:
        head = ["level", "how near to", "pairs", "grown with its colour", "grown without the word",
                "median more", "p"]  # fmt: skip
        note = "Cosines by the CLIP of the search, paired by seed; no masks are needed."
        yield Table("near", "Nearness to other things of the colour", head, rows, note)


def _colour(prompt: str) -> str | None:
    """The one colour that a prompt names."""
    words = set(re.findall(r"\w+", prompt.casefold()))
    found = [colour for colour in HUES if colour in words]
    return found[0] if len(found) == 1 else None
