import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.terminal.braille import Curve, chart, plot, sparkline

GOLDEN = [
    "0.40┤         ⢀⣀⠤⠔⠒⠉",
    "    │    ⣀⡠⠤⠒⠉⠁ ⣀⡠⠤⠒",
    "    │⠤⠒⠊⠉ ⢀⣀⠤⠒⠊⠉    ",
    "0.10┤⣀⠤⠔⠒⠉⠁         ",
    "     1            21",
]


def test_a_chart_is_these_very_characters() -> None:
    best = [0.2 + 0.01 * generation for generation in range(21)]
    mean = [0.1 + 0.01 * generation for generation in range(21)]
    assert chart([Curve(best), Curve(mean)], 20, 5).plain.split("\n") == GOLDEN


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    dots = plot([0, 1], 2, 1, 0, 1)
    assert dots.tolist() == np.eye(4, dtype=bool)[::-1].tolist()


def test_before_the_first_number_and_behind_the_last_there_is_no_line() -> None:
    dots = plot([math.nan, 1, 0, math.nan, math.nan], 10, 1, 0, 1)
    drawn = np.flatnonzero(dots.any(0))
    assert (drawn.min(), drawn.max()) == (5, 10)
    assert plot([0.5], 10, 1, 0, 1).any(0).all(), "but the first generation of a run is seen"
    assert plot([0.5, math.nan], 10, 1, 0, 1).any(0).sum() == 1
    assert plot([math.nan, 0.5, math.nan], 10, 1, 0, 1).any()


def test_a_jump_is_a_stroke() -> None:
    dots = plot([0, 1, 1, 1], 4, 2, 0, 1)
    assert (dots.sum(0) >= 1).all()
    assert dots.sum() > dots.shape[1]
    assert dots.any(1).all()


def test_labels_are_real_numbers_that_differ() -> None:
    text = chart([Curve([0.3001, 0.3002, 0.3003])], 30, 10).plain.splitlines()
    labels = [line.split("┤")[0] for line in text if "┤" in line]
    assert labels[0] == "0.30030"
    assert labels[-1] == "0.30010"
    assert len(set(labels)) == len(labels) == 3


def test_points_that_are_no_numbers_are_left_out() -> None:
    assert plot([math.nan, math.inf], 4, 2, 0, 1).sum() == 0
    assert plot([0, math.nan, 0], 4, 2, 0, 1).sum() == 8


def test_the_first_curve_gives_the_colour_where_curves_meet() -> None:
    text = chart([Curve([1, 2], "green"), Curve([1, 2], "blue")], 20, 4)
    assert "blue" not in {str(span.style) for span in text.spans}


values = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=200)


@given(values, values, st.integers(16, 120), st.integers(2, 40))
def test_a_chart_fills_its_cells(
    best: list[float], mean: list[float], columns: int, rows: int
) -> None:
    lines = chart([Curve(best), Curve(mean)], columns, rows).plain.split("\n")
    assert len(lines) == rows
    assert {len(line) for line in lines} == {columns}


@pytest.mark.parametrize(
    ("marks", "axis"),
    [
        ((), "1                    generation 9"),
        ((1, 3, 99), "▲       ▲            generation 9"),
        ((9,), "1                               ▲"),
        ((6, 8), "1                   ▲       ▲   9"),
        (tuple(range(1, 10)), "▲   ▲   ▲   ▲   ▲   ▲   ▲   ▲   ▲"),
    ],
)
def test_swaps_are_marked_and_the_last_generation_stays_legible(
    marks: tuple[int, ...], axis: str
) -> None:
    values = [n / 9 for n in range(1, 10)]
    last = chart([Curve(values)], 38, 5, marks).plain.splitlines()[-1]
    assert last[5:] == axis


@pytest.mark.parametrize(
    ("points", "columns", "bars"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([9, 0, 7], 2, "▁█"),
        ([1, 1], 5, "▁▁"),
        ([math.nan, 1], 5, "▁"),
        ([], 5, ""),
    ],
)
def test_sparklines(points: list[float], columns: int, bars: str) -> None:
    assert sparkline(points, columns) == bars
