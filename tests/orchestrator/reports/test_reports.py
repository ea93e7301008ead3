"""Reports and comparisons of real runs."""

import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.commands.tell import compare
from orchestrator.reports.comparison import differing, outcomes, table
from orchestrator.reports.page import page
from orchestrator.reports.reading import read_story
from orchestrator.runs import RunFolder
from protocol.errors import BadRequestError

Runs = tuple[Path, Path]


def test_a_story_agrees_with_the_journal(runs: Runs) -> None:
    story = read_story(runs[0])
    assert story.numbers() == [1, 2, 3, 4]
    assert story.evaluations == 20
    assert story.last is not None
    assert sorted(story.grids) == [1, 2, 4]
    assert story.population is not None
    assert len(story.population) == 5
    assert story.seconds == pytest.approx(story.generations[-1]["elapsed_s"])
    assert story.pictures[0][0].name == "best.png"


def test_seconds_of_all_sittings_count(runs: Runs, tmp_path: Path) -> None:
    events = [{"event": "generation", "generation": n + 1, "elapsed_s": s} for n, s in
              enumerate([2.0, 4.0, 1.0, 3.0])]  # fmt: skip
    (tmp_path / "run.json").write_bytes((runs[0] / "run.json").read_bytes())
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    assert read_story(tmp_path).seconds == 7.0


def test_a_damaged_run_is_told_as_far_as_it_can_be_read(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes((runs[0] / "run.json").read_bytes())
    (tmp_path / "events.jsonl").write_text("{not json\n")
    (tmp_path / "latest.webp").write_bytes(b"no picture")
    (tmp_path / "best.png").write_bytes(b"no picture either")
    text = page([read_story(tmp_path)])
    assert "a yellow car" in text


def test_a_page_is_written_whatever_is_missing_in_the_events(runs: Runs, tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "grids" / "000002.webp", tmp_path / "grids" / "000002 (copy).webp")
    folder = RunFolder(tmp_path)
    folder.append_event({"event": "swap", "generation": 2})
    folder.append_event({**folder.events()[-2], "best": None, "scores": [0.5, None]})
    story = read_story(tmp_path)
    assert sorted(story.grids) == [1, 2, 4]
    assert "swapped for" in page([story])


@pytest.mark.parametrize("name", ["0002-$x_{y$", "_old", "车", "long" * 50])
def test_a_folder_may_be_called_anything(runs: Runs, tmp_path: Path, name: str) -> None:
    shutil.copytree(runs[0], tmp_path / name)
    folder = RunFolder(tmp_path / name)
    folder.update(services=[{"role": "clip"}])
    text = page([read_story(folder.path)])
    legend = text[text.index('id="legend_1"') :]
    assert name[:40] in legend


def test_timings_stand_at_their_generation(runs: Runs) -> None:
    story = read_story(runs[0])
    slow, quick = ({"role": "clip", "batch_ms": ms} for ms in (30.0, 10.0))
    unasked = {"role": "discriminator", "batch_ms": 0.0}
    asked = {**unasked, "batch_ms": 7.0}
    generations = [
        {"generation": 4, "services": [slow, quick, unasked]},
        {"generation": 5, "services": [slow, asked]},
    ]
    told = replace(story, generations=generations).timings()
    assert told == {"clip": {4: 20.0, 5: 30.0}, "discriminator": {5: 7.0}}


def test_a_comparison_shows_only_what_differs(runs: Runs) -> None:
    stories = [read_story(run) for run in runs]
    found = differing(stories)
    assert set(found) == {"prompt", "algorithm", "seed"}
    assert found["algorithm"] == ["ga", "nsga2"]
    assert outcomes(stories)["evaluations"] == ["20", "20"]
    assert "generations" in table(stories)
    assert differing(stories[:1] * 2) == {}


@pytest.mark.parametrize(("encoding", "drawn"), [("utf-8", True), ("latin-1", False)])
def test_curves_are_printed_where_they_can_be_written(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, encoding: str, *, drawn: bool
) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr("sys.stdout", stream)
    compare(list(runs))
    stream.flush()
    text = written.getvalue().decode(encoding)
    assert "best similarity" in text
    assert ("generation 4" in text) is drawn
    assert "\\u28" not in text


def test_a_page_is_complete_in_itself(runs: Runs) -> None:
    text = page([read_story(run) for run in runs])
    assert not re.findall(
        r"""(?:src|href)\s*=\s*["'](?!data:)""", text.replace('xlink:href="#', "")
    )
    assert "@import" not in text
    assert text.count('class="film"') == 2
    assert "<b>cars</b>" not in text, "a prompt is text and never HTML"


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match=r"no run\.json"):
        read_story(tmp_path)
