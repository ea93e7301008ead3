import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from orchestrator.search.algorithm import Objectives
from orchestrator.search.pareto import (
    Picks,
    _crowding,
    _ranks,
    best_first,
    knee_and_extremes,
    non_dominated,
)
from protocol.errors import BadRequestError

tables = st.tuples(st.integers(1, 12), st.integers(1, 3)).flatmap(
    lambda shape: hnp.arrays(np.float64, shape, elements=st.integers(0, 5).map(float))
)


@given(tables)
def test_the_front_is_that_of_the_definition(table: Objectives) -> None:
    def beaten(row: Objectives) -> bool:
        return any((o <= row).all() and (o < row).any() for o in table)

    assert non_dominated(table).tolist() == [i for i, row in enumerate(table) if not beaten(row)]


@given(tables)
def test_ranks_are_those_of_pymoo(table: Objectives) -> None:
    expected = np.empty(len(table), int)
    for rank, front in enumerate(NonDominatedSorting().do(table)):
        expected[front] = rank
    assert _ranks(table).tolist() == expected.tolist()


def test_crowding_is_that_of_pymoo() -> None:
    front = np.random.default_rng(0).random((9, 2))
    expected = get_crowding_function("cd").do(front, n_remove=0)
    finite = np.isfinite(expected)
    assert np.allclose(_crowding(front)[finite], expected[finite] * 2)  # pymoo takes the mean
    assert np.isinf(_crowding(front)[~finite]).all()


def test_best_first_sorts_one_objective_and_keeps_ties_in_order() -> None:
    assert best_first(np.array([[2.0], [1.0], [np.inf], [1.0]])).tolist() == [1, 3, 0, 2]


def test_best_first_puts_failed_rows_last_and_survives_only_those() -> None:
    table = np.array([[np.inf, np.inf], [1, 2], [np.inf, np.inf], [2, 1], [3, 3]])
    assert set(best_first(table)[:2]) == {1, 3}
    assert best_first(table)[2] == 4
    assert sorted(best_first(table[[0, 2]])) == [0, 1]
    assert best_first(np.empty((0, 2))).tolist() == []


def test_the_knee_does_not_depend_on_units() -> None:
    front = np.array([[0.0, 1.0], [0.2, 0.3], [0.6, 0.2], [1.0, 0.0], [0.9, 0.9]])
    assert knee_and_extremes(front) == Picks(knee=1, extremes=(0, 3))
    assert knee_and_extremes(front * [1e-3, 50] + [7, -2]) == Picks(knee=1, extremes=(0, 3))


def test_one_row_is_everything() -> None:
    assert knee_and_extremes(np.array([[0.3, 0.7], [0.4, 0.8]])) == Picks(0, (0, 0))


def test_three_objectives_have_a_knee_and_three_extremes() -> None:
    front = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0.2, 0.3, 0.2], [2, 2, 2.0]])
    assert knee_and_extremes(front) == Picks(knee=3, extremes=(0, 1, 2))


def test_failed_rows_are_never_picked() -> None:
    table = np.array([[np.inf, np.inf], [1.0, 2.0], [2.0, 1.0]])
    picks = knee_and_extremes(table)
    assert picks.extremes == (1, 2)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (np.zeros((3, 1)), r"shape \(n, m\)"),
        (np.zeros((0, 2)), r"shape \(n, m\)"),
        (np.zeros(2), r"shape \(n, m\)"),
        (np.full((2, 2), np.inf), "at least one row"),
    ],
)
def test_what_has_no_knee_is_refused(table: Objectives, words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        knee_and_extremes(table)
