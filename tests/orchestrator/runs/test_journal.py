"""The journal alone: what it gives back, and what it refuses."""

import contextlib
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.runs.journal import About, Conditions, Journal, Lineage, Model, Step
from protocol.errors import BadRequestError, StorageError
from protocol.latent import LatentSpace, Segment

SPACE = LatentSpace("z", (Segment("z", "real", 3, -10, 10, "normal"),))
WIDE = LatentSpace("w", (Segment("w", "real", 5, -10, 10, "normal"),))
MODELS = (Model("generator", "mini", "blake2b:00"), Model("clip", "mini-clip", "blake2b:01"))
CONDITIONS = Conditions("a car", SPACE, 1.0, MODELS)
ABOUT = About({"prompt": "a car"}, 2, {"numpy": "2"}, Lineage("runs/0001", 7))


def step(generation: int, *, realism: bool = True, conditions: Conditions = CONDITIONS) -> Step:
    rng = np.random.default_rng(generation)
    genomes = rng.standard_normal((4, conditions.space.size), dtype=np.float32)
    logits = rng.standard_normal(4) if realism else None
    objectives = rng.standard_normal((4, 2))
    return Step(
        "generation", generation, conditions, genomes, objectives, rng.random(4), logits, 0.25
    )


def make(path: Path, *generations: int) -> Path:
    with Journal.create(path / "journal.sqlite", ABOUT) as journal:
        for generation in generations:
            journal.append(step(generation))
    return path / "journal.sqlite"


def test_it_gives_back_what_was_written(tmp_path: Path) -> None:
    other = replace_model(CONDITIONS, "blake2b:ff")
    written = [step(1), step(2, realism=False), Step.reseed(2, wide(other), 2)]
    written += [step(3, conditions=wide(other))]
    with Journal.create(tmp_path / "journal.sqlite", ABOUT, written[:1]) as journal:
        for one in written[1:]:
            journal.append(one)
        digest = journal.digest
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        assert journal.about == ABOUT
        assert (journal.length, journal.generation, journal.digest) == (4, 3, digest)
        for found, wanted in zip(journal.steps(), written, strict=True):
            assert (found.kind, found.generation) == (wanted.kind, wanted.generation)
            assert found.conditions == wanted.conditions
            assert found.diversity == wanted.diversity
            for name in ("genomes", "objectives", "similarity", "realism"):
                np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert os.listdir(tmp_path) == ["journal.sqlite"]  # noqa: PTH208


def replace_model(conditions: Conditions, digest: str) -> Conditions:
    models = (Model("generator", "other", digest), conditions.models[1])
    return Conditions(conditions.prompt, conditions.space, conditions.truncation_psi, models)


def wide(conditions: Conditions) -> Conditions:
    return Conditions(conditions.prompt, WIDE, conditions.truncation_psi, conditions.models)


def test_conditions_are_the_same_whatever_models_are_called() -> None:
    renamed = (MODELS[1], Model("generator", "/elsewhere/mini.safetensors", "blake2b:00"))
    assert CONDITIONS.same(Conditions("a car", SPACE, 1.0, renamed))
    assert not CONDITIONS.same(Conditions("a cat", SPACE, 1.0, MODELS))
    assert not CONDITIONS.same(Conditions("a car", SPACE, 0.7, MODELS))
    assert not CONDITIONS.same(wide(CONDITIONS))
    other = replace_model(CONDITIONS, "blake2b:ff")
    assert not CONDITIONS.same(other)
    assert other.changed(CONDITIONS) == [other.models[0]]


def test_steps_up_to_a_generation_leave_out_what_followed_it(tmp_path: Path) -> None:
    rescore = replace(step(2), kind="rescore")
    path = make(tmp_path, 1, 2)
    with Journal.open(path) as journal:
        journal.append(rescore)
        journal.append(step(3))
        kinds = [(one.kind, one.generation) for one in journal.steps(2)]
        assert kinds == [("generation", 1), ("generation", 2)]
        assert len(list(journal.steps(1))) == 1
        assert len(list(journal.steps())) == 4


def test_pages_do_not_show(tmp_path: Path) -> None:
    path = make(tmp_path, *range(1, 71))
    with Journal.open(path) as journal:
        assert [one.generation for one in journal.steps()] == list(range(1, 71))


def test_a_reader_does_not_keep_the_run_from_writing(tmp_path: Path) -> None:
    path = make(tmp_path, *range(1, 41))
    with Journal.open(path) as journal, Journal.open(path) as reader:
        steps = reader.steps()
        next(steps)
        journal.append(step(41))
        assert len(list(steps)) == 40


def test_what_is_said_of_the_run_changes_together_with_a_step(tmp_path: Path) -> None:
    path = make(tmp_path, 1)
    changed = About({"prompt": "a cat"}, 2, {"numpy": "2"})
    with Journal.open(path) as journal:
        journal.append(step(2), changed)
    with Journal.open(path) as journal:
        assert journal.about == changed
        journal.change(ABOUT)
        assert journal.about == ABOUT
        assert journal.length == 2


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE steps SET genomes = zeroblob(48) WHERE number = 2",
        "UPDATE steps SET objectives = x'00' WHERE number = 2",
        "UPDATE steps SET generation = 5 WHERE number = 2",
        "UPDATE steps SET conditions = 9 WHERE number = 2",
        "DELETE FROM steps WHERE number = 2",
        "UPDATE conditions SET json = replace(json, 'a car', 'a cat')",
        "UPDATE conditions SET json = '{'",
        "DELETE FROM about",
        "DROP TABLE steps",
        "PRAGMA application_id = 1",
    ],
)
def test_a_changed_row_is_refused(tmp_path: Path, damage: str) -> None:
    path = make(tmp_path, 1, 2, 3)
    database = sqlite3.connect(path)
    database.execute(damage)
    database.commit()
    database.close()
    with pytest.raises(StorageError, match=r"journal\.sqlite"):
        list(Journal.open(path).steps())


def test_any_damaged_byte_of_a_row_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = make(tmp_path, 1, 2, 3)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    with Journal.open(path) as journal:
        wanted = [one.genomes.tobytes() for one in journal.steps()]
    for place in rng.integers(0, len(whole), 60):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        path.write_bytes(broken)
        with contextlib.suppress(StorageError, BadRequestError), Journal.open(path) as journal:
            assert [one.genomes.tobytes() for one in journal.steps()] == wanted


def test_a_file_cut_short_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path, 1, 2, 3)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(StorageError, match="damaged"):
        list(Journal.open(path).steps())
    path.write_text("no database at all, but long enough to look at" * 100)
    with pytest.raises(StorageError, match="damaged"):
        Journal.open(path)
    path.unlink()
    with pytest.raises(BadRequestError, match=r"has no journal.*start it again"):
        Journal.open(path)
    make(tmp_path)
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(BadRequestError, match="format 99"):
        Journal.open(path)


def test_a_journal_from_before_there_were_scorers_goes_on(tmp_path: Path) -> None:
    path = make(tmp_path, 1, 2)
    with Journal.open(path) as journal:
        digest = journal.digest
    database = sqlite3.connect(path)
    database.execute("ALTER TABLE steps DROP COLUMN scored")
    database.execute("PRAGMA user_version = 2")
    database.close()
    with Journal.open(path) as journal:
        assert journal.digest == digest
        journal.append(step(3))
        old = journal.digest
        assert [one.scored for one in journal.steps()] == [None, None, None]
    path.unlink()
    with Journal.open(make(tmp_path, 1, 2, 3)) as journal:
        assert journal.digest == old, "steps without a scorer have the digests that they had"


def test_a_scorers_numbers_come_back(tmp_path: Path) -> None:
    path = make(tmp_path, 1)
    numbers = np.where(np.arange(len(step(2).genomes)) == 1, np.nan, 0.5)
    with Journal.open(path) as journal:
        plain = journal.digest
        journal.append(replace(step(2), scored=numbers))
    with Journal.open(path) as journal:
        *_, last = journal.steps()
        assert last.scored is not None
        np.testing.assert_array_equal(last.scored, numbers)
        assert journal.digest != plain


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    path = make(tmp_path, 1)
    with pytest.raises(StorageError, match="there already"):
        Journal.create(path, ABOUT)
    with pytest.raises(StorageError):
        Journal.create(tmp_path / "nowhere" / "journal.sqlite", ABOUT)


def test_a_step_that_cannot_be_written_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    path = make(tmp_path, 1)
    with Journal.open(path) as journal:
        before = journal.digest
        other = sqlite3.connect(path)
        other.execute(
            "CREATE TRIGGER no BEFORE INSERT ON steps BEGIN SELECT RAISE(FAIL, 'no'); END"
        )
        with pytest.raises(StorageError):
            journal.append(step(2, conditions=replace_model(CONDITIONS, "blake2b:ff")))
        other.execute("DROP TRIGGER no")
        other.close()
        assert (journal.length, journal.digest) == (1, before)
        journal.append(step(2))
        assert len(list(journal.steps())) == 2
