"""Every evaluation of a run as one table, for other programs.

One row an evaluation, in the order of the journal: `step`, `kind`, `generation`, `row`,
`similarity`, `realism` (empty without a discriminator), `objective_0`..., `gene_0`.... Parquet
needs pyarrow, which the extra `parquet` brings.
"""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.runs.folder import RunFolder
from orchestrator.runs.journal import NAME, Journal
from orchestrator.runs.storage import write_whole
from protocol.errors import BadRequestError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

Columns = dict[str, "npt.NDArray[Any]"]


def export_run(run: Path, out: Path) -> int:
    """Write the evaluations of `run` to `out`, in the format of its ending; returns how many.

    A run that was reseeded into another latent space has genomes of two lengths: the shorter ones
    end in NaN.

    Raises:
        BadRequestError: an unknown ending, or no run.
        StorageError: the journal cannot be read, or the file not written.
        ConfigError: Parquet without pyarrow.
    """
    _format(out)
    columns = read_columns(RunFolder.open(run).path / NAME)
    write_table(columns, out)
    return len(columns["step"])


def write_table(columns: Columns, out: Path) -> None:
    """Write columns of equal length to `out`, in the format of its ending.

    Raises:
        BadRequestError: an unknown ending.
        StorageError: it cannot be written.
        ConfigError: Parquet without pyarrow.
    """
    write_whole(out, _format(out)(columns))


def _format(out: Path) -> Callable[[Columns], bytes]:
    formats = {".csv": _csv, ".npz": _npz, ".parquet": _parquet}
    write = formats.get(out.suffix.lower())
    if write is None:
        raise BadRequestError(f"wanted a file ending in .csv, .parquet or .npz, but got {out}")
    return write


def read_columns(path: Path) -> Columns:
    """The table of one journal, a (rows,) array for each column.

    Raises:
        StorageError: it cannot be read.
    """
    with Journal.open(path) as journal:
        steps = [(number, step) for number, step in enumerate(journal.steps(), 1)]
        objectives = journal.about.objectives
    sizes = [len(step.genomes) for _, step in steps]
    genes = max((step.genomes.shape[1] for _, step in steps), default=0)
    genomes = np.full((sum(sizes), genes), np.nan, np.float32)
    realism = np.full(sum(sizes), np.nan)
    start = 0
    for _, step in steps:
        stop = start + len(step.genomes)
        genomes[start:stop, : step.genomes.shape[1]] = step.genomes
        if step.realism is not None:
            realism[start:stop] = step.realism
        start = stop
    values = [step.objectives[:, :objectives] for _, step in steps]  # and no measures or gradients
    told = np.concatenate(values or [np.empty((0, objectives))])
    return {
        "step": np.repeat([number for number, _ in steps], sizes).astype(np.int64),
        "kind": np.repeat([step.kind for _, step in steps], sizes).astype(str),
        "generation": np.repeat([step.generation for _, step in steps], sizes).astype(np.int64),
        "row": np.concatenate([np.arange(size) for size in sizes] or [np.empty(0, np.int64)]),
        "similarity": np.concatenate([step.similarity for _, step in steps] or [np.empty(0)]),
        "realism": realism,
        **{f"objective_{index}": told[:, index] for index in range(objectives)},
        **{f"gene_{index}": genomes[:, index] for index in range(genes)},
    }


def _csv(columns: Columns) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    lists = [column.tolist() for column in columns.values()]
    writer.writerows(map(_cells, zip(*lists, strict=True)))
    return file.getvalue().encode()


def _cells(row: tuple[Any, ...]) -> list[Any]:
    """The row with nothing where a number is missing."""
    return ["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in row]


def _npz(columns: Columns) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **columns)
    return file.getvalue()


def _parquet(columns: Columns) -> bytes:
    try:
        from pyarrow import Table, parquet
    except ImportError as error:
        raise ConfigError(
            "Parquet needs pyarrow, which is not installed: pip install glasshouse[parquet], "
            "or export to .csv or .npz"
        ) from error
    file = io.BytesIO()
    parquet.write_table(Table.from_pydict(dict(columns)), file)
    return file.getvalue()
