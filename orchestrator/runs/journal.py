"""The journal of a run: the append-only record from which it can be repeated, `journal.sqlite`.

One row a step, in one transaction, on the disk before the algorithm is told. A step is

* `generation`: the genomes that were asked for and what they scored;
* `refinement`: the same after evolution, on the way along the gradient;
* `rescore`: the survivors' new scores after a model was swapped or the prompt changed;
* `choice`: the survivors' values after the user favoured or banned one of them;
* `reseed`: no rows; a search of another latent space begins here.

Each step says under which conditions its rows were scored, and carries the digest of itself and of
all steps before it. The journal promises that what it gives back is what was written: a changed
byte, a missing row or a row in the wrong place is refused. Arrays are little-endian blobs, the
rest is JSON; nothing is ever pickled. A process killed at any instant leaves whole steps only.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt

from orchestrator.runs.storage import storing
from protocol.errors import BadRequestError, StorageError
from protocol.latent import LatentSpace  # noqa: TC001 # msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

NAME = "journal.sqlite"
FORMAT = 3
UNSCORED = 2
"""The format before this one: it knows no scorers, and is read and continued as it is."""
APPLICATION = 0x67_6C_61_73  # "glas", at a fixed place in the file
LOCKED_S = 10.0
PAGE = 32

SCHEMA = """
CREATE TABLE about (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL) STRICT;
CREATE TABLE conditions (id INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT;
CREATE TABLE steps (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    generation INTEGER NOT NULL,
    conditions INTEGER NOT NULL REFERENCES conditions (id),
    rows INTEGER NOT NULL,
    genomes BLOB NOT NULL,
    objectives BLOB NOT NULL,
    similarity BLOB NOT NULL,
    realism BLOB,
    diversity REAL NOT NULL,
    scored BLOB,
    chain BLOB NOT NULL
) STRICT;
"""
COLUMNS = "kind, generation, conditions, rows, genomes, objectives, similarity, realism, diversity"

Kind = Literal["generation", "refinement", "rescore", "choice", "reseed"]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


class Model(msgspec.Struct, frozen=True):
    """One model of a run: its role, its name for people, and the digest that it is known by."""

    role: str
    model: str
    digest: str


class Conditions(msgspec.Struct, frozen=True):
    """Under what genomes were scored: under equal conditions, equal genomes score the same.

    Attributes:
        prompt: what the pictures were compared with.
        space: the latent space of the genomes.
        truncation_psi: as the generator was asked.
        models: one a role.
        profile: how clip looked, and what realism cost.
        measures: pairs of prompts between which pictures were placed.
        temperature: as a generator that writes was asked; left out where it was none.
    """

    prompt: str
    space: LatentSpace
    truncation_psi: float
    models: tuple[Model, ...]
    profile: str = "fixed"
    measures: tuple[str, ...] = ()
    temperature: float | msgspec.UnsetType = msgspec.UNSET

    def same(self, other: Conditions) -> bool:
        """Whether scores under both can be compared; names of models do not matter."""
        return self._key() == other._key()

    def changed(self, other: Conditions) -> list[Model]:
        """The models of `self` that `other` has in another version, or not at all."""
        theirs = {model.role: model.digest for model in other.models}
        return [model for model in self.models if theirs.get(model.role) != model.digest]

    def _key(self) -> tuple[object, ...]:
        digests = sorted((model.role, model.digest) for model in self.models)
        settings = (self.prompt, self.space, self.truncation_psi, self.profile, self.measures)
        return (*settings, self.temperature, digests)


class Lineage(msgspec.Struct, frozen=True):
    """Where a forked run comes from: the folder of its parent, and the last generation of it."""

    parent: str
    generation: int


class About(msgspec.Struct, frozen=True):
    """What a journal says of its run as a whole.

    Attributes:
        settings: of the run, as JSON.
        objectives: values in each row, all minimised.
        versions: of everything that a replay depends on.
        lineage: the run that this one was forked from.
    """

    settings: dict[str, Any]
    objectives: int
    versions: dict[str, str]
    lineage: Lineage | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """One row of the journal.

    Attributes:
        kind: what happened.
        generation: its number; of any other step, that of the generation before it.
        conditions: under what the rows were scored.
        genomes: (rows, size) float32.
        objectives: (rows, m + k) float64: m minimised, then k that the algorithm is told besides:
            measures, or the gradient of a refinement.
        similarity: (rows,) float64, cosine to the prompt.
        realism: (rows,) float64, the discriminator's logit; None without one.
        diversity: mean pairwise CLIP distance of these rows.
        scored: (rows,) float64, a scorer's numbers, NaN where it has none; None without one.
    """

    kind: Kind
    generation: int
    conditions: Conditions
    genomes: Float32
    objectives: Float64
    similarity: Float64
    realism: Float64 | None
    diversity: float
    scored: Float64 | None = None

    @classmethod
    def reseed(cls, generation: int, conditions: Conditions, objectives: int) -> Step:
        """The step that begins afresh in another latent space."""
        none = np.empty(0, np.float64)
        genomes = np.empty((0, conditions.space.size), np.float32)
        rows = np.empty((0, objectives), np.float64)
        return cls("reseed", generation, conditions, genomes, rows, none, None, 0.0)


class Journal:
    """One run's journal; `create` and `open` make it.

    Attributes:
        path: its file.
        about: what it says of its run.
        length: steps in it.

    The digest of a journal stands for all its steps: equal journals have equal digests.
    """

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database
        self._conditions: dict[int, Conditions] = {}
        self._chain = b""
        with self._guarded("read"):
            old = database.execute("PRAGMA user_version").fetchone()[0] == UNSCORED
            self._columns = COLUMNS if old else f"{COLUMNS}, scored"
            self.about = self._read_about()
            for number, text in database.execute("SELECT id, json FROM conditions ORDER BY id"):
                self._conditions[number] = msgspec.json.decode(text, type=Conditions)
            last = database.execute("SELECT number, chain FROM steps ORDER BY number DESC LIMIT 1")
            number, self._chain = last.fetchone() or (0, b"")
            self.length = int(number)

    @classmethod
    def create(cls, path: Path, about: About, steps: Iterable[Step] = ()) -> Self:
        """A new journal that begins with `steps`; it exists whole or not at all.

        Raises:
            StorageError: it cannot be written, or is there already.
        """
        if path.exists():
            raise StorageError(f"{path} is there already; a run has one journal")
        beside = path.with_name(f".{path.name}.new")
        with storing("write a journal", path):
            beside.unlink(missing_ok=True)
            with contextlib.closing(_connect(beside, "rwc")) as database:
                _lay_out(beside, database, about)
                cls(beside, database)._extend(steps)  # noqa: SLF001 # its own
            beside.rename(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The journal of an earlier run.

        Raises:
            BadRequestError: there is none, or none of this version.
            StorageError: it cannot be read, or is damaged.
        """
        if not path.is_file():
            raise BadRequestError(
                f"{path.parent} has no journal: it ended before its first generation; "
                "start it again with the command in its run.json"
            )
        database = _connect(path, "rw")
        try:
            with _guarded(path, "read"):
                _check_format(path, database)
            return cls(path, database)
        except BaseException:
            database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def append(self, step: Step, about: About | None = None) -> None:
        """Add one step; when this returns, it is on the disk, together with what `about` changes.

        Raises:
            StorageError: it could not be written; the journal is as it was.
        """
        self._extend([step], about)

    def change(self, about: About) -> None:
        """Replace what is said of the run as a whole.

        Raises:
            StorageError: it could not be written.
        """
        self._extend([], about)

    def steps(self, until: int | None = None) -> Iterator[Step]:
        """All steps in order, or those up to the end of generation `until`.

        A rescore or reseed after generation `until` belongs to the next and is left out.

        Raises:
            StorageError: the journal is damaged.
        """
        chain = b""
        with self._guarded("read"):
            for expected, (number, recorded, *fields) in enumerate(self._rows(), 1):
                conditions = self._conditions[fields[2]]
                chain = _chained(chain, conditions, fields)
                if number != expected or recorded != chain:
                    raise _damaged(self.path, f"step {expected} is not what was written")
                step = self._step(conditions, fields)
                if until is not None and step.generation > until:
                    return
                yield step
                if step.kind in {"generation", "refinement"} and step.generation == until:
                    return

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        """All rows of steps, in pages: a long look must not keep the run itself from writing."""
        last = 0
        while True:
            found = self._database.execute(
                f"SELECT number, chain, {self._columns} FROM steps WHERE number > ? "  # noqa: S608 # ours
                "ORDER BY number LIMIT ?",
                [last, PAGE],
            ).fetchall()
            yield from found
            if len(found) < PAGE:
                return
            last = found[-1][0]

    @property
    def generation(self) -> int:
        """The newest that is complete."""
        with self._guarded("read"):
            found = self._database.execute("SELECT max(generation) FROM steps").fetchone()[0]
        return int(found or 0)

    @property
    def evolved(self) -> int:
        """The newest generation that was bred; those after it were refined."""
        with self._guarded("read"):
            found = self._database.execute(
                "SELECT max(generation) FROM steps WHERE kind != 'refinement'"
            ).fetchone()[0]
        return int(found or 0)

    @property
    def digest(self) -> str:
        """Of all steps: equal for equal journals."""
        return self._chain.hex()

    def _read_about(self) -> About:
        row = self._database.execute("SELECT json FROM about").fetchone()
        if row is None:
            raise _damaged(self.path, "it does not say what run it is of")
        return msgspec.json.decode(row[0], type=About)

    def _step(self, conditions: Conditions, fields: list[Any]) -> Step:
        kind, generation, _, rows, genomes, objectives, similarity, realism, spread, *more = fields
        scored = more[0] if more else None
        return Step(
            kind=kind,
            generation=generation,
            conditions=conditions,
            genomes=np.frombuffer(genomes, "<f4").reshape(rows, conditions.space.size),
            objectives=np.frombuffer(objectives, "<f8").reshape(
                rows, len(objectives) // (8 * rows) if rows else self.about.objectives
            ),
            similarity=np.frombuffer(similarity, "<f8").reshape(rows),
            realism=None if realism is None else np.frombuffer(realism, "<f8").reshape(rows),
            diversity=spread,
            scored=None if scored is None else np.frombuffer(scored, "<f8").reshape(rows),
        )

    def _extend(self, steps: Iterable[Step], about: About | None = None) -> None:
        """Add steps, and change what is said of the run, in one transaction."""
        before = self.length, self._chain, dict(self._conditions)
        try:
            with self._guarded("write"), _transaction(self._database):
                for step in steps:
                    self._insert(step)
                if about is not None:
                    text = msgspec.json.encode(about).decode()
                    self._database.execute("UPDATE about SET json = ?", [text])
        except BaseException:
            self.length, self._chain, self._conditions = before
            raise
        self.about = about or self.about

    def _insert(self, step: Step) -> None:
        fields: list[Any] = [
            step.kind,
            step.generation,
            self._number(step.conditions),
            len(step.genomes),
            _blob(step.genomes, "<f4"),
            _blob(step.objectives, "<f8"),
            _blob(step.similarity, "<f8"),
            None if step.realism is None else _blob(step.realism, "<f8"),
            float(step.diversity),
            None if step.scored is None else _blob(step.scored, "<f8"),
        ][: len(self._columns.split(","))]
        chain = _chained(self._chain, self._conditions[fields[2]], fields)
        self._database.execute(
            f"INSERT INTO steps (number, chain, {self._columns}) "  # noqa: S608 # ours
            f"VALUES (?, ?{', ?' * len(fields)})",
            [self.length + 1, chain, *fields],
        )
        self.length, self._chain = self.length + 1, chain

    def _number(self, conditions: Conditions) -> int:
        """The row of these conditions, a new one if need be."""
        for number, known in self._conditions.items():
            if known.same(conditions):
                return number
        number = len(self._conditions) + 1
        text = msgspec.json.encode(conditions).decode()
        self._database.execute("INSERT INTO conditions VALUES (?, ?)", [number, text])
        self._conditions[number] = msgspec.json.decode(text, type=Conditions)  # as it is read
        return number

    def _guarded(self, what: str) -> contextlib.AbstractContextManager[None]:
        return _guarded(self.path, what)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection that commits only when told to, and trusts nothing that the file says."""
    with _guarded(path, "open"):
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=LOCKED_S,
            isolation_level=None,
        )
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA synchronous = FULL")
        return database


def _lay_out(path: Path, database: sqlite3.Connection, about: About) -> None:
    with _guarded(path, "write"), _transaction(database):
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {FORMAT}")
        for statement in SCHEMA.split(";"):
            database.execute(statement)
        text = msgspec.json.encode(about).decode()
        database.execute("INSERT INTO about VALUES (1, ?)", [text])


def _check_format(path: Path, database: sqlite3.Connection) -> None:
    application = database.execute("PRAGMA application_id").fetchone()[0]
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION:
        raise _damaged(path, "it is no Glasshouse journal")
    if version not in {UNSCORED, FORMAT}:
        raise BadRequestError(
            f"{path} is a journal of format {version}, but this Glasshouse reads format {FORMAT}; "
            "use the version of Glasshouse that its run.json names"
        )


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # some failures have rolled back already
            database.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _guarded(path: Path, what: str) -> Iterator[None]:
    """Turn what SQLite or a damaged row raises into one sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(f"could not {what} the journal {path}: {error}") from error
    except (sqlite3.DatabaseError, msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> StorageError:
    return StorageError(
        f"the journal {path} is damaged ({why}); fork the generations before the damage, or "
        "bring the file back from a copy"
    )


def _chained(before: bytes, conditions: Conditions, fields: list[Any]) -> bytes:
    """The digest of one step and, through `before`, of all steps before it.

    A step without a scorer has the digest that it had before there were any.
    """
    digest = hashlib.blake2b(before, digest_size=16)
    *scorerless, last = fields
    told = scorerless if len(fields) > len(COLUMNS.split(",")) and last is None else fields
    for field in (msgspec.json.encode(conditions), *told):
        content = field if isinstance(field, bytes) else repr(field).encode()
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.digest()


def _blob(array: npt.NDArray[Any], kind: str) -> bytes:
    return np.ascontiguousarray(array, kind).tobytes()
