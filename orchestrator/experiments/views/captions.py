"""Captions: each picture beside the words that were grown for it (the paper's Fig 10)."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.experiments.material import Chart, Table
from orchestrator.experiments.statistics import mean_interval, share_interval
from orchestrator.experiments.views.drawing import panels, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from orchestrator.experiments.material import Material
    from orchestrator.experiments.results import Unit

ACROSS = 3
WORDS = 52  # letters in a line


def captions(material: Material) -> Iterator[Table | Chart]:
    """The captions with similarity and rank, and how often the right picture is found by them."""
    rows = []
    for unit in material.units:
        score = float(material.score(unit, unit.values["similarity"]))
        name, rank = Path(unit.pair[0]).stem, material.rank(unit)
        shown = f"{unit.values['similarity']:.3f}", f"{score:+.1f}", str(rank or "-")
        rows.append([name, material.level(unit), str(unit.pair[1]), unit.text, *shown])
    head = ["picture", "level", "seed", "caption", "similarity", material.scored, "rank"]
    note = "Rank of the picture among all of this table, by its similarity to the caption."
    yield Table("captions", "Pictures and their captions", head, rows, note)
    ranks: dict[str, list[float]] = {}
    for unit in material.units:
        if (rank := material.rank(unit)) is not None:
            ranks.setdefault(material.level(unit), []).append(float(rank))
    rows = []
    for level, found in ranks.items():
        first = share_interval([one == 1 for one in found], range(len(found)))
        rows.append([level, str(len(found)), first.text(), mean_interval(found).text(1)])
    if rows:
        head = ["level", "captions", "right picture first", "mean rank"]
        yield Table("retrieval", "Is the picture found by its caption?", head, rows)
    yield from _figure(material)


def _figure(material: Material) -> Iterator[Chart]:
    """The pictures, each under the captions of its first runs."""
    first: dict[str, dict[str, Unit]] = {}
    for unit in material.units:
        first.setdefault(unit.pair[0], {}).setdefault(material.level(unit), unit)
    if not first:
        return

    def draw(axes: npt.NDArray[Any]) -> None:
        for axis in axes.flat:
            axis.axis("off")
        for axis, levels in zip(axes.flat, first.values(), strict=False):
            one, *_ = levels.values()
            files = {kind: file for kind, _, file in material.results.rows("pictures", one.cell)}
            show(axis, files.get("captioned"))
            said = [textwrap.fill(f"{level}: {unit.text}", WORDS) for level, unit in levels.items()]
            axis.set_title("\n".join(said), fontsize=5)

    down = -(-len(first) // ACROSS)
    yield Chart("captions", "Captions of the first runs", panels(down, ACROSS, draw, (2.6, 2.0)))
