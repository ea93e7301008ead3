"""A journal as tables for other programs."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow.parquet import read_table
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.runs.export import export_run, read_columns
from orchestrator.runs.folder import RunFolder
from orchestrator.runs.journal import NAME, About, Conditions, Journal, Model, Step
from protocol.errors import BadRequestError, ConfigError
from protocol.latent import LatentSpace, Segment


def step(kind: str, generation: int, genes: int, rng: np.random.Generator) -> Step:
    space = LatentSpace(f"z{genes}", (Segment("z", "real", genes, -3, 3, "normal"),))
    conditions = Conditions("a car", space, 1.0, (Model("generator", "tiny", "blake2b:00"),))
    if kind == "reseed":
        return Step.reseed(generation, conditions, 1)
    genomes = rng.standard_normal((3, genes)).astype(np.float32)
    similarity = rng.random(3)
    return Step(
        kind, generation, conditions, genomes, 1 - similarity[:, None], similarity, None, 0.1
    )  # type: ignore[arg-type] # one of the kinds


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two generations of four genes, then one of two."""
    rng = np.random.default_rng(0)
    steps = [step("generation", 1, 4, rng), step("rescore", 1, 4, rng)]
    steps += [step("reseed", 1, 2, rng), step("generation", 2, 2, rng)]
    folder = RunFolder.create(tmp_path / "runs", "a car")
    folder.write_settings({"prompt": "a car"})
    Journal.create(folder.path / NAME, About({}, 1, {}), steps).close()
    return folder.path


def test_every_row_of_the_journal_is_there(run: Path) -> None:
    columns = read_columns(run / NAME)
    assert columns["step"].tolist() == [1, 1, 1, 2, 2, 2, 4, 4, 4]
    assert columns["row"].tolist() == [0, 1, 2] * 3
    with Journal.open(run / NAME) as journal:
        genomes = [one.genomes for one in journal.steps() if len(one.genomes)]
    assert (columns["gene_1"] == np.concatenate([one[:, 1] for one in genomes])).all()
    assert np.isnan(columns["gene_3"]).tolist() == [False] * 6 + [True] * 3


def test_a_row_of_gradients_is_told_with_its_objectives_alone(run: Path) -> None:
    rng = np.random.default_rng(1)
    refined = step("refinement", 3, 2, rng)
    told = np.concatenate([refined.objectives, rng.random((3, 2))], axis=1)
    with Journal.open(run / NAME) as journal:
        journal.append(replace(refined, objectives=told))
    columns = read_columns(run / NAME)
    assert columns["objective_0"][-3:].tolist() == refined.objectives[:, 0].tolist()
    assert "objective_1" not in columns


def test_csv_and_npz_hold_the_same(run: Path, tmp_path: Path) -> None:
    assert export_run(run, tmp_path / "out.csv") == export_run(run, tmp_path / "out.npz") == 9
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    with np.load(tmp_path / "out.npz") as columns:
        assert [float(row["similarity"]) for row in rows] == columns["similarity"].tolist()
        assert list(rows[0]) == columns.files
    assert rows[0]["realism"] == ""
    assert rows[0]["kind"] == "generation"


def test_parquet_holds_the_same(run: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path / "out.parquet")
    table = read_table(tmp_path / "out.parquet")
    export_run(run, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as columns:
        assert table.column_names == columns.files
        assert table["similarity"].to_pylist() == columns["similarity"].tolist()
    assert table["step"].to_pylist() == [1, 1, 1, 2, 2, 2, 4, 4, 4]


def test_without_pyarrow_parquet_says_what_to_install(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install glasshouse\[parquet\]"):
        export_run(run, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_another_ending_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match=r"\.parquet"):
        export_run(run, tmp_path / "out.xlsx")


def test_the_command_writes_into_the_run_or_to_a_file(run: Path, tmp_path: Path) -> None:
    def export(*words: object) -> str:
        done = CliRunner().invoke(app, ["export", str(run), *map(str, words)])
        return str(done.exception or done.output)

    assert export("--csv") == f"{run}/evaluations.csv: 9 evaluations\n"
    assert export(tmp_path / "out.npz").endswith("out.npz: 9 evaluations\n")
    assert (run / "evaluations.csv").exists()
    for words in ((), ("--csv", "--npz"), (tmp_path / "out.csv", "--csv")):
        assert "name one FILE, or say one of --csv" in export(*words)
