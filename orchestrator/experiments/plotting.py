"""Every table and figure of an experiment, made from its results alone.

experiments/ga-against-de/
    report.md           all of them on one page
    tables/*.csv        each table
    figures/*.webp      each figure
    csv/*.csv           the results themselves, and parquet/*.parquet where pyarrow is
"""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.experiments.growing import tally
from orchestrator.experiments.material import Material, Table
from orchestrator.experiments.results import NAME, TABLES, Results
from orchestrator.experiments.views import VIEWS
from orchestrator.experiments.views.drawing import webp
from orchestrator.runs.export import write_table
from orchestrator.runs.storage import storing, write_whole
from protocol.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from orchestrator.experiments.material import Chart

NOT_EXPORTED = {"pictures"}
PARQUET = find_spec("pyarrow") is not None
TYPES: Final = {"TEXT": (str, ""), "INTEGER": (np.int64, 0), "REAL": (np.float64, np.nan)}
"""Kind of a column -> its dtype, and what stands for nothing."""


def plot(folder: Path) -> Path:
    """Make everything anew; returns the page that shows it.

    Raises:
        BadRequestError: there are no results.
        StorageError: they cannot be read, or the rest cannot be written.
    """
    if not (folder / NAME).is_file():
        raise BadRequestError(
            f"{folder} holds no results; run it first: orchestrator experiment run NAME"
        )
    with Results(folder / NAME) as results:
        material = Material.read(results)
        for name in ("figures", "tables", "csv", *["parquet"] * PARQUET):
            with storing("make a folder", folder / name):
                (folder / name).mkdir(exist_ok=True)
        _export(results, folder)
        lines = list(_page(results, material, folder))
    write_whole(folder / "report.md", "\n".join(lines).encode())
    return folder / "report.md"


def _page(results: Results, material: Material, folder: Path) -> Iterator[str]:
    about, standing = results.about, tally(results)
    yield f"# {about['name']} ({about['scale']})\n\n{material.document.about}\n"
    yield f"{standing.sentence()}. Scores: {material.scored}.\n"
    yield from (f"* failed: {cell}: {why}" for cell, why in standing.failed.items())
    for name in material.document.show if material.units else ():
        for one in VIEWS[name](material):
            yield f"\n## {one.title}\n"
            yield from _table(one, folder) if isinstance(one, Table) else _chart(one, folder)


def _table(table: Table, folder: Path) -> Iterator[str]:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([table.head, *table.rows])
    write_whole(folder / "tables" / f"{table.name}.csv", file.getvalue().encode())
    yield from markdown(table)


def markdown(table: Table) -> Iterator[str]:
    """The table's lines; columns that are empty throughout are left out."""
    kept = [place for place, _ in enumerate(table.head) if any(row[place] for row in table.rows)]
    for row in (table.head, ["---"] * len(table.head), *table.rows):
        yield "| " + " | ".join(row[place].replace("|", "\\|") for place in kept) + " |"
    if table.note:
        yield f"\n{table.note}"


def _chart(chart: Chart, folder: Path) -> Iterator[str]:
    write_whole(folder / "figures" / f"{chart.name}.webp", webp(chart.figure))
    yield f"![{chart.title}](figures/{chart.name}.webp)"


def _export(results: Results, folder: Path) -> None:
    """The tables of the results, but for pictures, as other programs read them."""
    for table in TABLES:
        if table in NOT_EXPORTED:
            continue
        kinds, values = results.columns(table), results.whole(table)
        columns = {name: _typed(kind, values[name]) for name, kind in kinds.items()}
        write_table(columns, folder / "csv" / f"{table}.csv")
        if PARQUET:
            write_table(columns, folder / "parquet" / f"{table}.parquet")


def _typed(kind: str, values: list[Any]) -> npt.NDArray[Any]:
    """A column that has one type, whatever is missing: tables of two experiments join."""
    dtype, missing = TYPES[kind]
    return np.array([missing if value is None else value for value in values], dtype)
