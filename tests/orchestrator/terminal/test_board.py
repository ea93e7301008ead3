import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.terminal import Snapshot
from orchestrator.terminal.board import (
    Board,
    BoardFrame,
    Chalk,
    Feed,
    JsonBoard,
    Line,
    LiveBoard,
    PlainBoard,
)

TARGETS = ["a red car", "a blue car", "[bold]no markup[/bold]"]


class Text(io.StringIO):
    """Where a board is printed."""


def cells(picture: Any) -> list[str]:
    return ["".join(segment.text for segment in line) for line in picture.lines]


@pytest.fixture
def drawn(snapshot: Snapshot, terminal: Callable[..., Any]) -> Callable[[int, int], list[str]]:
    """The board of three searches: one runs, one failed, one waits."""

    def draw(columns: int, rows: int) -> list[str]:
        boards: list[Any] = []
        display = LiveBoard(terminal(columns, rows), images=True)
        display.update = boards.append  # type: ignore[method-assign]
        chalk = Chalk(TARGETS, 60, display)
        chalk.put(0, state="searching", shown=snapshot)
        chalk.put(1, state="failed", note="clip refuses it")
        frame = BoardFrame(terminal(columns, rows), images=True)
        return cells(frame.draw(boards[-1], columns, rows, "hello"))

    return draw


@pytest.mark.parametrize(("columns", "rows"), [(120, 40), (80, 24), (40, 8)])
def test_it_fills_the_screen_and_says_how_each_stands(
    drawn: Callable[[int, int], list[str]], columns: int, rows: int
) -> None:
    lines = drawn(columns, rows)
    assert [len(line) for line in lines] == [columns] * rows
    text = "\n".join(lines)
    assert "1 of 3 targets" in text
    assert "failed" in text
    assert "hello" in lines[-1]
    if rows > 8:
        assert "12/60" in text
        assert "0.310" in text
        assert "clip refuses it" in text


def test_a_prompt_is_never_markup(drawn: Callable[[int, int], list[str]]) -> None:
    assert "[bold]no markup[/bold]" in "\n".join(drawn(120, 40))


def test_where_there_is_no_room_those_that_run_are_shown(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    boards: list[Any] = []
    display = LiveBoard(terminal(80, 12), images=False)
    display.update = boards.append  # type: ignore[method-assign]
    chalk = Chalk([f"target {number}" for number in range(100)], 60, display)
    for number in range(40):
        chalk.put(number, state="done", shown=snapshot)
    chalk.put(40, state="searching", shown=snapshot)
    text = "\n".join(cells(BoardFrame(terminal(80, 12), images=False).draw(boards[-1], 80, 12)))
    assert "target 40" in text


def test_plain_lines_tell_of_beginnings_and_ends(snapshot: Snapshot) -> None:
    stream = Text()
    chalk = Chalk(TARGETS, 60, PlainBoard(stream))
    feed = Feed(chalk, 0, stream)
    feed.update(dataclasses.replace(snapshot, phase="starting"))
    feed.update(snapshot)
    feed.update(dataclasses.replace(snapshot, generation=13))
    chalk.put(0, state="done")
    chalk.put(1, state="failed", note="clip refuses it")
    lines = stream.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["1/3 a red car"] * 2 + ["2/3 a blue car"]
    assert "best 0.310" in lines[1]
    assert lines[2].endswith("clip refuses it")


def test_json_lines_carry_the_target(snapshot: Snapshot) -> None:
    stream = Text()
    chalk = Chalk(TARGETS, 60, JsonBoard(stream))
    for generation in (12, 12, 13):
        chalk.put(1, shown=dataclasses.replace(snapshot, generation=generation))
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(one["target"], one["generation"]) for one in found] == [
        ("a blue car", 12),
        ("a blue car", 13),
    ]


def test_the_board_is_done_when_all_have_ended() -> None:
    seen: list[Any] = []
    display = PlainBoard(Text())
    display.update = seen.append  # type: ignore[method-assign, assignment]
    chalk = Chalk(TARGETS, 60, display)
    for number, state in enumerate(("done", "failed", "stopped")):
        assert not seen or seen[-1].phase == "searching"
        chalk.put(number, state=state)
    assert seen[-1].phase == "done"


def test_services_that_start_are_told_of_before_any_search(terminal: Callable[..., Any]) -> None:
    stream, boards = Text(), []
    display = LiveBoard(terminal(80, 24), images=False)
    display.update = boards.append  # type: ignore[method-assign]
    for shown in (display, PlainBoard(stream), JsonBoard(stream)):
        Chalk(TARGETS, 60, shown).begin()
    assert stream.getvalue() == "starting services for 3 searches\n"
    text = "\n".join(cells(BoardFrame(terminal(80, 24), images=False).draw(boards[0], 80, 24)))
    assert "starting services  00:00" in text
    assert text.count("waiting") == 3


def test_pictures_are_called_by_the_numbers_of_their_targets(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    lines = (Line("a red car"), Line("a blue car", "searching", snapshot), Line("a green car"))
    drawn = BoardFrame(terminal(80, 24), images=True).draw(Board(lines, 60), 80, 24)
    captions = [line.split() for line in cells(drawn) if line.split()[1:] == ["0.310"]]
    assert captions == [["2", "0.310"]]
