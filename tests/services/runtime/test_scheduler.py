"""Every row is computed exactly once, in batches of one kind, and no client waits for another's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.role import Rows
from services.runtime.scheduler import Scheduler, Work

requests = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(1, 40), st.sampled_from(["x", "y"])),
    max_size=12,
)


def work(peer: bytes, rows: int, options: str = "x", deadline: float = 100.0) -> Work:
    return Work(peer, bytes(16), Rows(options, np.zeros((rows, 1))), 0.0, deadline)


@given(requests, st.integers(1, 16))
def test_every_row_is_in_exactly_one_batch(
    asked: list[tuple[bytes, int, str]], batch_rows: int
) -> None:
    scheduler = Scheduler(10_000, batch_rows)
    works = [work(*one) for one in asked]
    for one in works:
        assert scheduler.add(one)
    seen: dict[int, list[int]] = {id(one): [] for one in works}
    while parts := scheduler.take():
        assert sum(part.stop - part.start for part in parts) <= batch_rows
        assert len({part.work.rows.options for part in parts}) == 1
        for part in parts:
            seen[id(part.work)] += range(part.start, part.stop)
    assert scheduler.rows == 0
    for one in works:
        assert sorted(seen[id(one)]) == list(range(one.size))


@given(requests, st.integers(1, 16))
def test_it_never_computes_less_than_it_could(
    asked: list[tuple[bytes, int, str]], batch_rows: int
) -> None:
    """Work-conserving: a batch is full, or no row of its kind that could join was left."""
    scheduler = Scheduler(10_000, batch_rows)
    for peer, rows, _ in asked:
        scheduler.add(work(peer, rows))
    while scheduler.rows:
        waiting = scheduler.rows
        parts = scheduler.take()
        assert sum(part.stop - part.start for part in parts) == min(batch_rows, waiting)


def test_a_small_search_passes_a_large_one() -> None:
    scheduler = Scheduler(10_000, 16)
    scheduler.add(work(b"large", 1024))
    scheduler.take()
    small = work(b"small", 16)
    scheduler.add(small)
    batches = 0
    while small.waiting:
        scheduler.take()
        batches += 1
    assert batches <= 3  # half of each batch is its own


def test_the_queue_is_bounded_but_takes_one_large_request() -> None:
    scheduler = Scheduler(32, 16)
    assert scheduler.add(work(b"a", 100))
    assert not scheduler.add(work(b"b", 1))
    while scheduler.take():
        pass
    assert scheduler.add(work(b"b", 30))
    assert scheduler.add(work(b"c", 2))
    assert not scheduler.add(work(b"c", 1))


def test_forgotten_and_late_requests_are_not_computed() -> None:
    scheduler = Scheduler(1000, 16)
    gone, late, kept = work(b"a", 5), work(b"b", 5, deadline=1.0), work(b"c", 5)
    for one in (gone, late, kept):
        scheduler.add(one)
    scheduler.forget(b"a")
    scheduler.expire(2.0)
    assert [part.work for part in scheduler.take()] == [kept]
    assert gone.cancelled
    assert late.cancelled
    assert scheduler.take() == []


def test_a_request_put_back_is_computed_alone_and_whole() -> None:
    scheduler = Scheduler(1000, 16)
    first, second = work(b"a", 20), work(b"b", 4)
    scheduler.add(first)
    scheduler.add(second)
    scheduler.take()
    scheduler.put_back(first)
    scheduler.put_back(second)
    rows = {id(first): 0, id(second): 0}
    while parts := scheduler.take():
        assert len(parts) == 1
        rows[id(parts[0].work)] += parts[0].stop - parts[0].start
    assert rows == {id(first): 20, id(second): 4}
