"""Experiments over real services: killed, gone on with, with a cell that fails, and plotted."""

import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow.parquet import read_table

from orchestrator.experiments.grid import Experiment, read_experiment, reference_of
from orchestrator.experiments.growing import CELLS, Tally, finished, grow
from orchestrator.experiments.judging import judge
from orchestrator.experiments.material import Material
from orchestrator.experiments.plotting import plot
from orchestrator.experiments.results import ASKED, BEST, NAME, Results
from orchestrator.experiments.views import VIEWS
from orchestrator.interrupts import Interrupts
from orchestrator.settings import read_settings
from orchestrator.terminal.board import make_board
from protocol.errors import BadRequestError, StorageError
from tests.orchestrator.ensemble import Fleet, Models, digest, serving

pytestmark = pytest.mark.timeout(900)  # services, and processes that are killed and started again

FILE = """
about = "a test"
compare = "algorithm"
show = ["convergence", "comparison", "anytime", "reaching", "range", "sheets", "best", "fronts",
    "confusion"]
sheets = [1, 4]
random = 16
{judges}
[settings]
population = 6
generations = 4
{models}
[grid]
prompt = ["a red car", "a blue car"]
algorithm = [{levels}]
seeds = 2
"""
GA_AND_DE = '"ga", "de"'


@pytest.fixture(scope="module")
def fleet(tiny_models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Endpoints of one service a role, and of a CLIP that no search sees."""
    from tests import tiny

    folder = tmp_path_factory.mktemp("fleet")
    specs = {role: (role, str(model)) for role, model in tiny_models.items()}
    specs["judge"] = ("clip", str(tiny.save_clip(folder / "judge.safetensors", seed=7)))
    classifier = tiny.save_classifier(folder / "classifier.safetensors")
    specs["classifier"] = ("classifier", str(classifier))
    with serving(folder, specs) as endpoints:
        yield endpoints


def write(tmp_path: Path, fleet: Fleet, levels: str = GA_AND_DE, judges: str = "") -> Path:
    roles = ("generator", "clip", "discriminator")
    models = "\n".join(f'{role} = "{fleet[role]}"' for role in roles)
    path = tmp_path / "test.toml"
    path.write_text(FILE.format(models=models, levels=levels, judges=judges))
    return path


def grown(experiment: Experiment, folder: Path) -> Tally:
    board = make_board("quiet", "off", io.StringIO(), {})
    return grow(experiment, folder, 3, Interrupts(), board)


def digests(folder: Path) -> dict[str, str]:
    """The journal of every cell: what its search did, bit for bit."""
    return {
        cell.name: digest(found)
        for cell in sorted((folder / CELLS).iterdir())
        if (found := finished(cell)) is not None
    }


def test_an_experiment_killed_again_and_again_ends_as_one_that_never_was(
    fleet: Fleet, tmp_path: Path
) -> None:
    path = write(tmp_path, fleet)
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    experiment = read_experiment(path)
    assert grown(experiment, whole).sentence() == "10 of 10 cells done"
    words = [sys.executable, "-m", "orchestrator", "experiment", str(path), "--ui", "quiet"]
    words += ["--into", str(folder), "-j", "3"]
    for wanted in (1, 4):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for_cells(process, folder, wanted)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=300)
    before = journals(folder)
    assert before
    ended = subprocess.run(words, capture_output=True, text=True, timeout=400, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "10 of 10 cells done" in ended.stdout
    assert digests(folder) == digests(whole)
    assert before.items() <= journals(folder).items(), "what was begun went on in its own file"
    assert scores(folder) == scores(whole)


def wait_for_cells(process: "subprocess.Popen[str]", folder: Path, wanted: int) -> None:
    """Until so many cells have begun; the process must not end before."""
    until = time.monotonic() + 300
    while len(list((folder / CELLS).glob("*/*/journal.sqlite"))) < wanted:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def journals(folder: Path) -> dict[Path, int]:
    """Which file each journal is; a run that was begun again would have another."""
    found = (folder / CELLS).glob("*/[0-9]*/journal.sqlite")
    return {path: path.stat().st_ino for path in found}


def scores(folder: Path) -> list[tuple[str, float]]:
    with Results(folder / NAME) as results:
        return [(unit.cell, unit.values["similarity"]) for unit in results.units()]


def test_a_cell_that_fails_is_reported_stops_nobody_and_is_tried_again(
    fleet: Fleet, tmp_path: Path
) -> None:
    broken = '"ga", {name = "broken", algorithm = "ga", generator = "nowhere.safetensors"}'
    folder = tmp_path / "experiment"
    tally = grown(read_experiment(write(tmp_path, fleet, broken)), folder)
    assert tally.done == 6
    assert len(tally.failed) == 6, "four cells of the grid, and two references"
    assert all("nowhere" in why for why in tally.failed.values())
    assert "6 failed" in plot(folder).read_text()
    alone = grown(read_experiment(write(tmp_path, fleet, broken)), folder)
    assert alone.failed == tally.failed, "the same where nothing that is left can begin"
    again = grown(read_experiment(write(tmp_path, fleet)), folder)
    assert again.sentence() == "10 of 10 cells done"
    assert "failed" not in plot(folder).read_text()


def test_a_run_that_cannot_be_read_is_a_cell_that_failed(fleet: Fleet, tmp_path: Path) -> None:
    folder, experiment = tmp_path / "experiment", read_experiment(write(tmp_path, fleet))
    grown(experiment, folder)
    (folder / NAME).unlink()
    whole, cut, *_ = (cell.name for cell in experiment.cells if not cell.reference)
    (population,) = (folder / CELLS / cut).glob("0*/populations/000004.npz")
    population.write_bytes(population.read_bytes()[:99])
    tally = grown(experiment, folder)
    assert tally.sentence() == "9 of 10 cells done, 1 failed"
    assert "is damaged" in tally.failed[cut]
    assert whole in digests(folder)


def test_every_view_can_be_drawn_before_anything_is_judged(fleet: Fleet, tmp_path: Path) -> None:
    path = write(tmp_path, fleet, '"ga"', judges=f'judge = "{fleet["judge"]}"\nleakage = "car"')
    text = path.read_text().replace('"confusion"]', '"confusion", "matrix", "leaks", "captions"]')
    path.write_text(text.replace("seeds = 2", 'profile = ["fixed"]\nsave_every = [10]\nseeds = 1'))
    experiment = read_experiment(path)
    assert set(experiment.document.show) == set(VIEWS)
    grown(experiment, tmp_path / "experiment")
    assert "6 of 6 cells done" in plot(tmp_path / "experiment").read_text()


def test_everything_shown_is_made_from_the_results_alone(fleet: Fleet, tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    grown(read_experiment(write(tmp_path, fleet)), folder)
    page = plot(folder).read_text()
    assert page == plot(folder).read_text()
    made = {path.name: path.read_bytes() for path in folder.glob("[ft]*s/*")}
    assert {"convergence.webp", "sheets.webp", "tests.csv", "reaching.csv"} <= set(made)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / NAME).write_bytes((folder / NAME).read_bytes())
    assert plot(elsewhere).read_text() == page
    assert {path.name: path.read_bytes() for path in elsewhere.glob("[ft]*s/*")} == made
    with Results(folder / NAME) as results:
        rows = results.whole("generations")
    with (folder / "csv" / "generations.csv").open() as file:
        assert len(file.readlines()) == len(rows["cell"]) + 1 == 8 * 4 + 2 * 1 + 1
    tables = {path.stem: read_table(path) for path in folder.glob("parquet/*.parquet")}
    assert tables["generations"].to_pydict()["best"] == rows["best"]
    kinds = {name: [str(field.type) for field in one.schema] for name, one in tables.items()}
    assert kinds["readings"] == ["string", "int64", "string", "string", "double"]  # none was asked
    assert kinds["cells"] == ["string"] * 4 + ["int64"] + ["double"] * 3 + ["string"]


def test_what_was_grown_is_judged_once_by_those_that_no_search_saw(
    fleet: Fleet, tmp_path: Path
) -> None:
    folder = tmp_path / "experiment"
    judges = f'judge = "{fleet["judge"]}"\nalso = ["a green car"]\n'
    judges += f'classifier = "{fleet["classifier"]}"\nattribute = "colour"\npopulations = true'
    grown(read_experiment(write(tmp_path, fleet, judges=judges)), folder)
    judge(folder)
    with Results(folder / NAME) as results:
        units = [unit for unit in results.units() if not unit.reference]
        assert len(results.units()) - len(units) == 4, "random genomes for each CLIP and prompt"
        for unit in units:
            looks = {row[:2]: row[2] for row in results.rows("looks", unit.cell)}
            assert {clip for clip, _ in looks} == {fleet["clip"], fleet["judge"]}
            assert {to for _, to in looks} == {"a red car", "a blue car", "a green car"}
            own = looks[fleet["clip"], unit.pair[0]]
            assert own == pytest.approx(unit.values["similarity"], abs=1e-5)
            readings = results.rows("readings", unit.cell)
            places = {row[0] for row in readings if row[1] == "colour"}
            assert places == {ASKED, BEST, *range(6)}, "the best, and the whole last population"
            (asked,) = (row[2] for row in readings if row[:2] == (ASKED, "colour"))
            assert asked in unit.pair[0]
        before, read = results.whole("looks"), results.whole("readings")
    page = plot(folder).read_text()
    assert "by the judge, z-score" in page
    assert "seen by the classifier, share" in page
    assert (folder / "tables" / "accuracy-ga.csv").is_file()
    judge(folder)
    with Results(folder / NAME) as results:
        assert results.whole("looks") == before
    more = judges.replace('"a green car"', '"a green car", "a dog"').replace("classifier", "#")
    grown(read_experiment(write(tmp_path, fleet, judges=more)), folder)
    judge(folder)
    with Results(folder / NAME) as results:
        assert set(results.whole("looks")["target"]) == {*before["target"], "a dog"}
        assert results.whole("readings")["cell"] == [], "nobody asks for them any more"
    grown(read_experiment(write(tmp_path, fleet, judges=judges)), folder)
    judge(folder)
    with Results(folder / NAME) as results:
        assert results.whole("readings") == read


def test_the_clip_of_a_search_looks_as_it_did_and_judges_in_their_own_way(
    fleet: Fleet, tmp_path: Path
) -> None:
    judges = f'judge = "{fleet["judge"]}"\n'
    judges += f'classifier = {{"a red car" = "{fleet["classifier"]}"}}'
    path = write(tmp_path, fleet, judges=judges)
    path.write_text(
        path.read_text().replace("[settings]", '[settings]\ntemplate = "a photo of {}"')
    )
    path.write_text(path.read_text().replace('"a blue car"', '"a blue car:2 | night:-0.5"'))
    levels = path.read_text().replace('compare = "algorithm"', 'compare = "profile"')
    path.write_text(levels.replace(f"algorithm = [{GA_AND_DE}]", 'profile = ["legacy", "fixed"]'))
    folder = tmp_path / "experiment"
    grown(read_experiment(path), folder)
    judge(folder)
    with Results(folder / NAME) as results:
        units = [unit for unit in results.units() if not unit.reference]
        assert len(units) == 2 * 2 * 2
        seen = [one.settings for one in results.units() if one.reference]
        assert sorted((one["clip"] == fleet["judge"], one["profile"]) for one in seen) == [
            (False, "fixed"), (False, "fixed"), (False, "legacy"), (False, "legacy"),
            (True, "fixed"), (True, "fixed"),
        ]  # fmt: skip
        for unit in units:
            looks = {row[:2]: row[2] for row in results.rows("looks", unit.cell)}
            own = looks[fleet["clip"], unit.pair[0]]
            assert own == pytest.approx(unit.values["similarity"], abs=1e-5)
            read = {row[:2]: row[2] for row in results.rows("readings", unit.cell)}
            assert (read != {}) == (unit.pair[0] == "a red car"), "the level's own classifier"
            right = read[BEST, "colour"] == read[ASKED, "colour"] == "red" if read else None
            assert Material.read(results).seen(unit) == right
        material = Material.read(results)
        random = {one.target: one for one in results.units() if one.reference}
        for unit in units:
            own = replace(read_settings(unit.settings), clip=fleet["judge"], profile="fixed")
            scores = [row[1] for row in results.rows("population", random[reference_of(own)].cell)]
            look = {row[:2]: row[2] for row in results.rows("looks", unit.cell)}
            above = look[fleet["judge"], unit.pair[0]] - np.mean(scores)
            assert material.judged(unit) == pytest.approx(above / np.std(scores))
    assert "by the judge, z-score" in plot(folder).read_text()


def test_one_folder_is_grown_by_one_process(fleet: Fleet, tmp_path: Path) -> None:
    from orchestrator.runs import RunFolder

    folder = tmp_path / "experiment"
    folder.mkdir()
    with RunFolder(folder).lock(), pytest.raises(BadRequestError, match="another process"):
        grown(read_experiment(write(tmp_path, fleet)), folder)


def test_results_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="run it first"):
        plot(tmp_path)
    (tmp_path / NAME).write_bytes(b"nonsense" * 1000)
    with pytest.raises(StorageError, match=r"results\.sqlite cannot be used"):
        plot(tmp_path)
    (tmp_path / NAME).unlink()
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(BadRequestError, match="another version"):
        plot(tmp_path)
    os.remove(tmp_path / NAME)  # noqa: PTH107 # a file that was opened is let go of
