"""What an experiment found, in one SQLite file, from which every table and figure is made.

A cell's rows are written in one transaction when its run has ended, so a process killed at any
instant leaves whole cells only. Cells of an earlier plan stay in the file, and are shown when the
plan has them again.

| table        | a row is                                                             |
|--------------|----------------------------------------------------------------------|
| `about`      | the experiment's document and scale, as JSON                         |
| `plan`       | a cell as planned: its place, factors, settings                      |
| `cells`      | a cell as it ended                                                   |
| `generations`| one generation of a cell                                             |
| `population` | one genome of its last population; of a reference, every genome      |
| `pictures`   | a picture or a sheet of pictures, as a file                          |
| `looks`      | how similar a cell's best is to one target, by one CLIP              |
| `readings`   | what a classifier reads in one picture                               |
| `measures`   | any other number about a cell                                        |
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from orchestrator.experiments.grid import Document
from orchestrator.runs.storage import to_json
from orchestrator.settings import target_of
from protocol.errors import BadRequestError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.experiments.grid import Cell, Experiment

NAME: Final = "results.sqlite"
FORMAT: Final = 1  # as in the schema
PATIENCE_S: Final = 60.0
BEST: Final = -1
"""Place of the best picture among the readings; 0 and on are the last population."""
ASKED: Final = -2
"""Place of what the prompt asks for."""

SCHEMA: Final = """
CREATE TABLE about (json TEXT NOT NULL) STRICT;
CREATE TABLE plan (number INTEGER PRIMARY KEY, cell TEXT NOT NULL, reference INTEGER NOT NULL,
    target TEXT NOT NULL, factors TEXT NOT NULL, settings TEXT NOT NULL) STRICT;
CREATE TABLE cells (cell TEXT PRIMARY KEY, status TEXT NOT NULL, why TEXT NOT NULL,
    folder TEXT NOT NULL, evaluations INTEGER, seconds REAL, similarity REAL, realism REAL,
    text TEXT) STRICT;
CREATE TABLE generations (cell TEXT NOT NULL, generation INTEGER NOT NULL,
    evaluations INTEGER NOT NULL, seconds REAL, best REAL, mean REAL, diversity REAL,
    PRIMARY KEY (cell, generation)) STRICT;
CREATE TABLE population (cell TEXT NOT NULL, place INTEGER NOT NULL, similarity REAL NOT NULL,
    realism REAL, PRIMARY KEY (cell, place)) STRICT;
CREATE TABLE pictures (cell TEXT NOT NULL, kind TEXT NOT NULL, generation INTEGER NOT NULL,
    file BLOB NOT NULL, PRIMARY KEY (cell, kind, generation)) STRICT;
CREATE TABLE looks (cell TEXT NOT NULL, clip TEXT NOT NULL, target TEXT NOT NULL,
    similarity REAL NOT NULL, PRIMARY KEY (cell, clip, target)) STRICT;
CREATE TABLE readings (cell TEXT NOT NULL, place INTEGER NOT NULL, attribute TEXT NOT NULL,
    value TEXT NOT NULL, confidence REAL, PRIMARY KEY (cell, place, attribute)) STRICT;
CREATE TABLE measures (cell TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (cell, name)) STRICT;
"""
OF_A_CELL: Final = ("generations", "population", "pictures", "looks", "readings", "measures")
TABLES: Final = ("plan", "cells", *OF_A_CELL)


@dataclass(frozen=True)
class Collected:
    """What one run came to, table by table; rows are in the order of the columns.

    Attributes:
        folder: of the run, within the experiment's.
        evaluations: genomes that were scored.
        seconds: that the search took, beside whatever else ran on the machine.
        similarity: of its best.
        realism: of its best; None without a discriminator.
        text: its best caption; None where pictures are grown.
        generations: generation, evaluations so far, seconds so far, best so far, mean and diversity
            of the survivors.
        population: place, similarity, realism.
        pictures: kind, generation, file.
    """

    folder: str
    evaluations: int
    seconds: float
    similarity: float
    realism: float | None
    text: str | None
    generations: Sequence[tuple[Any, ...]]
    population: Sequence[tuple[Any, ...]]
    pictures: Sequence[tuple[str, int, bytes]]


@dataclass(frozen=True)
class Unit:
    """One cell that is done; the unit of all statistics.

    Attributes:
        cell: its name.
        factors: axis -> level.
        settings: as its run recorded them.
        reference: whether it is a reference.
        target: equal for cells that one reference serves.
        values: every number about it by name: `similarity`, `evaluations`, and those of `measures`.
        text: its caption, if it wrote one.
    """

    cell: str
    factors: Mapping[str, str]
    settings: Mapping[str, Any]
    reference: bool
    target: str
    values: dict[str, float] = field(default_factory=dict)
    text: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        """What is looked for and the seed: units of two levels with equal pairs are paired."""
        settings = self.settings
        wanted = settings["caption"] or target_of(settings["prompt"], settings["likes"])
        return str(wanted), str(settings["seed"])


class Results:
    """One experiment's results; any thread may use its own.

    Args:
        path: the file; made when missing.

    Raises:
        BadRequestError: it is none, or of another version.
        StorageError: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._guarded():
            self._database = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)
        try:
            self._lay_out()
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def _lay_out(self) -> None:
        ((version,),) = self._rows("PRAGMA user_version")
        if version not in {0, FORMAT}:
            raise BadRequestError(
                f"{self.path} is of another version of Glasshouse; move it away and run the "
                "experiment again: its runs are kept and not repeated"
            )
        if version == 0:
            with self._guarded():
                self._database.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = 1; COMMIT;")

    def plan(self, experiment: Experiment) -> None:
        """Say what is to be done; what is there stays, but for what another classifier read."""
        about = {
            "name": experiment.name,
            "scale": experiment.scale,
            "document": msgspec.to_builtins(experiment.document),
        }
        rows = [
            (number, cell.name, cell.reference, cell.target, _json(cell.factors),
             _json(cell.settings.recorded()))
            for number, cell in enumerate(experiment.cells)
        ]  # fmt: skip
        with self._transaction() as database:
            for (before,) in self._rows("SELECT json FROM about"):
                read = msgspec.json.decode(before)["document"].get("classifier")
                if read != experiment.document.classifier:
                    database.execute("DELETE FROM readings")
            database.execute("DELETE FROM about")
            database.execute("DELETE FROM plan")
            database.execute("INSERT INTO about VALUES (?)", [_json(about)])
            database.executemany("INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?)", rows)

    @property
    def about(self) -> dict[str, Any]:
        """Name, scale and document of the experiment.

        Raises:
            BadRequestError: none was planned.
        """
        found = self._rows("SELECT json FROM about")
        if not found:
            raise BadRequestError(f"{self.path} holds no experiment yet")
        return msgspec.json.decode(found[0][0], type=dict[str, Any])

    @property
    def document(self) -> Document:
        """What the experiment says of itself.

        Raises:
            BadRequestError: none was planned.
        """
        return msgspec.convert(self.about["document"], Document)

    def keep(self, cell: Cell, found: Collected) -> None:
        """A cell is done."""
        whole = (found.evaluations, found.seconds, found.similarity, found.realism, found.text)
        with self._transaction() as database:
            self._clear(database, cell.name)
            database.execute(
                "INSERT INTO cells VALUES (?, 'done', '', ?, ?, ?, ?, ?, ?)",
                [cell.name, found.folder, *whole],
            )
            for table, rows in (
                ("generations", found.generations),
                ("population", found.population),
                ("pictures", found.pictures),
            ):
                self._insert(database, table, cell.name, rows)

    def fail(self, cell: Cell, why: str) -> None:
        """A cell ended badly; it is tried again when the experiment is run again."""
        with self._transaction() as database:
            self._clear(database, cell.name)
            database.execute(
                "INSERT INTO cells (cell, status, why, folder, evaluations) "
                "VALUES (?, 'failed', ?, '', 0)",
                [cell.name, why],
            )

    def add(self, table: str, cell: str, rows: Iterable[Sequence[Any]]) -> None:
        """More rows of a cell that is done; those that it had in that table are replaced."""
        with self._transaction() as database:
            database.execute(f"DELETE FROM {_own(table)} WHERE cell = ?", [cell])  # noqa: S608 # ours
            self._insert(database, table, cell, rows)

    def done(self) -> set[str]:
        """Names of cells that are done."""
        return {name for (name,) in self._rows("SELECT cell FROM cells WHERE status = 'done'")}

    def failed(self) -> dict[str, str]:
        """Planned cells that failed, and why."""
        return dict(
            self._rows("SELECT cell, why FROM cells JOIN plan USING (cell) WHERE status = 'failed'")
        )

    def planned(self) -> int:
        """How many cells are planned."""
        return int(self._rows("SELECT count(*) FROM plan")[0][0])

    def units(self) -> list[Unit]:
        """Every planned cell that is done, in the order of the plan, references first."""
        more: dict[str, dict[str, float]] = {}
        for cell, name, value in self._rows("SELECT cell, name, value FROM measures"):
            more.setdefault(cell, {})[name] = value
        found = []
        for cell, reference, target, factors, settings, text, *numbers in self._rows(
            "SELECT cell, reference, target, factors, settings, text, "
            "evaluations, seconds, similarity, realism "
            "FROM plan JOIN cells USING (cell) WHERE status = 'done' ORDER BY number"
        ):
            names = ("evaluations", "seconds", "similarity", "realism")
            told = dict(zip(names, numbers, strict=True))
            values = {key: value for key, value in told.items() if value is not None}
            found.append(
                Unit(
                    cell,
                    msgspec.json.decode(factors),
                    msgspec.json.decode(settings),
                    bool(reference),
                    target,
                    values | more.get(cell, {}),
                    text or "",
                )
            )
        return found

    def rows(self, table: str, cell: str) -> list[tuple[Any, ...]]:
        """The rows of one cell in one table, without its name, in the order of the key."""
        columns = list(self.columns(table))[1:]
        wanted = ", ".join(columns)
        return self._rows(
            f"SELECT {wanted} FROM {_own(table)} WHERE cell = ? ORDER BY {', '.join(columns[:2])}",  # noqa: S608 # ours
            [cell],
        )

    def columns(self, table: str) -> dict[str, str]:
        """A table's columns: name -> TEXT, INTEGER, REAL or BLOB."""
        return {name: kind for _, name, kind, *_ in self._rows(f"PRAGMA table_info({_own(table)})")}

    def whole(self, table: str) -> dict[str, list[Any]]:
        """A table by columns, of the planned cells only."""
        columns = self.columns(table)
        rows = self._rows(
            f"SELECT one.* FROM {_own(table)} AS one JOIN plan USING (cell) ORDER BY plan.number"  # noqa: S608 # ours
        )
        return {name: [row[place] for row in rows] for place, name in enumerate(columns)}

    def _clear(self, database: sqlite3.Connection, cell: str) -> None:
        for table in TABLES[1:]:
            database.execute(f"DELETE FROM {table} WHERE cell = ?", [cell])  # noqa: S608 # ours

    def _insert(
        self, database: sqlite3.Connection, table: str, cell: str, rows: Iterable[Sequence[Any]]
    ) -> None:
        marks = ", ".join("?" * len(self.columns(table)))
        database.executemany(
            f"INSERT INTO {_own(table)} VALUES ({marks})",  # noqa: S608 # ours
            [(cell, *row) for row in rows],
        )

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._guarded():
            return self._database.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._guarded():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(
                f"{self.path} cannot be used ({error}); check the disk, or move the file away and "
                "run the experiment again: its runs are kept and not repeated"
            ) from error


def _own(table: str) -> str:
    if table not in TABLES:
        raise ValueError(table)
    return table


def _json(value: object) -> str:
    return to_json(value).decode()
