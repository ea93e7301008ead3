"""The benchmark of algorithms: what a kill leaves, what is left to do, and how it is counted."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmarks.algorithms import append, key_of, planned, read
from benchmarks.contest import Choice, Outcome, best_until
from benchmarks.standings import by_choice, curves, tables, value

CHOICES = (Choice("ga", "z", 32), Choice("glass-ga", "z", 16, longer=2.5))
EVALUATIONS, LONGEST = 2_400, 6_000
ROOT = Path(__file__).parents[1]


def outcome(choice: Choice, prompt: str, seed: int, judge: float, thing: str = "car") -> Outcome:
    marks = tuple(range(200, round(EVALUATIONS * choice.longer) + 1, 200))
    judged = tuple(judge * mark / EVALUATIONS for mark in marks)
    shown = tuple(value > 2 for value in judged)
    search = tuple(value + 1 for value in judged)
    return Outcome(choice.title, thing, prompt, seed, "m", marks, search, judged, shown, 1.5, b"P")


def test_a_line_that_a_kill_cut_short_is_taken_off_and_done_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert read(path) == []
    wanted = [outcome(CHOICES[0], "a car", seed, 3.0) for seed in range(3)]
    for one in wanted:
        append(path, one)
    whole = path.read_bytes()
    for cut in (1, 40):
        path.write_bytes(whole[:-cut])
        assert read(path) == wanted[:2]
        append(path, wanted[2])
        assert read(path) == wanted
        assert path.read_bytes() == whole


@dataclass
class Named:
    """As much of a stage as planning asks for."""

    thing: str
    models: str = "m"


def test_every_search_is_planned_once_and_the_first_seeds_first() -> None:
    stages = [Named("car"), Named("face")]
    tasks = planned(stages, CHOICES, 3, 2, EVALUATIONS)  # type: ignore[arg-type] # as much as is asked
    assert len(tasks) == len({task.key for task in tasks}) == 3 * 2 * 2
    assert [task.seed for task in tasks] == [0] * 6 + [1] * 6
    assert [task.stage.thing for task in tasks[:6:2]] == ["car", "face", "car"]
    assert {task.evaluations for task in tasks} == {EVALUATIONS, LONGEST}
    first = tasks[1]
    done = outcome(first.choice, first.prompt.text, 0, 1.0)
    assert key_of(done) == first.key


def test_the_best_until_a_mark_is_counted_row_by_row() -> None:
    similarity = np.array([0.1, 0.5, 0.2, 0.9, 0.3, 0.9])
    assert best_until(similarity, range(2, 7, 2)).tolist() == [1, 3, 3]


def test_differences_are_paired_and_the_intervals_are_over_prompts() -> None:
    scores = {
        ("a", 0): (3.0, 1.0),
        ("a", 1): (3.2, 1.4),
        ("b", 0): (2.0, 1.0),
        ("b", 1): (2.0, 0.8),
    }
    outcomes = [
        outcome(choice, prompt, seed, score)
        for (prompt, seed), pair in scores.items()
        for choice, score in zip(CHOICES, pair, strict=True)
    ]
    outcomes.append(outcome(CHOICES[0], "c", 0, 9.0))  # without a partner: in no difference
    found = by_choice(outcomes, CHOICES)
    assert value(outcomes[0], "judge", 2_000) == pytest.approx(2.5)
    levels, judged, searched, shown = tables(found, EVALUATIONS, LONGEST)
    assert [row[1] for row in levels.rows] == ["5", "4"]
    assert levels.rows[0][-1] == "3/5"
    fair, early = judged.rows
    assert fair[:2] == ["ga in z - glass-ga in z", "4"]
    gaps = np.array([2.0, 1.8, 1.0, 1.2])
    assert fair[2] == f"{gaps.mean():.2f} [1.10, 1.90]", "two clusters: the worse to the better one"
    assert fair[3] == "1.00"
    assert float(fair[4]) == pytest.approx(0.125, abs=0.01)
    assert float(fair[5]) == pytest.approx(0.25, abs=0.01), "two comparisons"
    assert early[0] == "ga in z at 2,000 - glass-ga in z at 6,000"
    early_gaps = [first * 2_000 / 2_400 - second * 2.5 for first, second in scores.values()]
    assert early[2].startswith(f"{np.mean(early_gaps):.2f} [")
    assert [row[2] for row in searched.rows][:1] == [fair[2]], "one more for both"
    assert shown.rows[0][1:4] == ["4", "0.50 [0.00, 1.00]", "0.75"]
    assert len(curves(found).axes) == 3


@pytest.mark.slow
@pytest.mark.timeout(660)
def test_the_command_goes_on_where_it_was(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.algorithms", str(tmp_path / "results.jsonl")]
    command += ["--things", "face", "--evaluations", "200", "--seeds", "1", "--jobs", "1"]
    command += ["--only", "ga in z,random in z", "--write", str(tmp_path)]

    def run(prompts: int) -> str:
        done = subprocess.run(
            [*command, "--prompts", str(prompts)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
        )
        return done.stdout

    assert "0 of 2 searches" in run(1)
    again = run(2)
    assert "2 of 4 searches" in again
    assert "ga in z - random in z" in again
    assert len(read(tmp_path / "results.jsonl")) == 4
    page = (tmp_path / "search-results.md").read_text()
    assert page.count("| ga in z - random in z | 2 |") == 3
    assert (tmp_path / "search-results.webp").is_file()
