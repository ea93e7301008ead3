"""Every row is computed exactly once, in batches of one kind, and no client waits for another's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.role import Rows
from services.runtime.scheduler import QUEUES, Part, Scheduler, Work

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
    for _ in range(9):
        scheduler.charge(scheduler.take(), 1.0)
    small = work(b"small", 16)
    scheduler.add(small)
    assert [part.work for part in scheduler.take()] == [small]


def test_the_queue_is_bounded_but_takes_one_large_request() -> None:
    scheduler = Scheduler(32, 16)
    assert scheduler.add(work(b"a", 100))
    assert not scheduler.add(work(b"a", 1))
    assert scheduler.add(work(b"b", 30))  # a large search does not lock others out
    assert scheduler.add(work(b"b", 2))
    assert not scheduler.add(work(b"b", 1))
    peers = (str(number).encode() for number in range(100))
    assert sum(scheduler.add(work(peer, 32)) for peer in peers) < QUEUES


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


def rows_of(batch: list[Part]) -> int:
    return sum(part.size for part in batch)


@given(requests, st.integers(1, 16), st.integers(0, 400))
def test_a_guilty_row_is_found_and_all_others_are_computed(
    asked: list[tuple[bytes, int, str]], batch_rows: int, which: int
) -> None:
    scheduler = Scheduler(10_000, batch_rows)
    works = [work(*one) for one in asked]
    for one in works:
        scheduler.add(one)
    places = [(one, row) for one in works for row in range(one.size)]
    guilty = places[which % len(places)] if places else None
    done: dict[int, list[int]] = {id(one): [] for one in works}
    found = []
    while parts := scheduler.take():
        assert rows_of(parts) <= batch_rows
        bad = [p for p in parts if guilty and p.work is guilty[0] and p.start <= guilty[1] < p.stop]
        if not bad:
            for part in parts:
                done[id(part.work)] += range(part.start, part.stop)
        elif rows_of(parts) > 1:
            scheduler.bisect(parts)
        else:
            found.append((parts[0].work, parts[0].start))
    assert found == ([guilty] if guilty else [])
    for one in works:
        missing = {guilty[1]} if guilty and guilty[0] is one else set()
        assert sorted(done[id(one)]) == sorted(set(range(one.size)) - missing)


def test_rows_come_again_in_smaller_batches_first() -> None:
    scheduler = Scheduler(1000, 16)
    first = work(b"a", 16)
    scheduler.add(first)
    parts = scheduler.take()
    scheduler.add(work(b"b", 4))
    scheduler.batch_rows = 5
    scheduler.again(parts)
    assert scheduler.rows == 20
    batches = [scheduler.take() for _ in range(4)]
    assert [(p.start, p.stop) for batch in batches for p in batch] == [
        (0, 5),
        (5, 10),
        (10, 15),
        (15, 16),
    ]
    assert {p.work for batch in batches for p in batch} == {first}


def served(
    searches: dict[bytes, tuple[int, str]], cost_s: dict[str, float], batches: int
) -> dict[bytes, float]:
    """Compute seconds that each of some endless searches gets."""
    scheduler = Scheduler(10_000, 16)
    got = dict.fromkeys(searches, 0.0)
    for _ in range(batches):
        for peer, (rows, kind) in searches.items():
            if (False, peer) not in scheduler._queues:
                scheduler.add(work(peer, rows, kind))
        parts = scheduler.take()
        seconds = cost_s[parts[0].work.rows.options]  # type: ignore[index] # a str here
        scheduler.charge(parts, seconds)
        for part in parts:
            got[part.work.peer] += seconds * part.size / rows_of(parts)
    return got


def jain(shares: list[float]) -> float:
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def test_equal_searches_get_equal_time() -> None:
    got = served({bytes([n]): (16, "x") for n in range(8)}, {"x": 1.0}, 400)
    assert jain(list(got.values())) >= 0.99


def test_time_is_shared_whatever_rows_cost_and_however_many_one_asks_for() -> None:
    searches = {b"dear": (16, "x"), b"cheap": (16, "y"), b"large": (1024, "y"), b"odd": (5, "z")}
    got = served(searches, {"x": 8.0, "y": 1.0, "z": 2.0}, 2000)
    assert jain(list(got.values())) >= 0.99


def test_a_pause_saves_nothing_up() -> None:
    scheduler = Scheduler(10_000, 16)
    scheduler.add(work(b"busy", 1000))
    scheduler.add(work(b"pauses", 16))
    for _ in range(20):
        scheduler.charge(scheduler.take(), 1.0)
    scheduler.add(work(b"pauses", 1000))
    led = []
    for _ in range(20):
        parts = scheduler.take()
        led.append(parts[0].work.peer)
        scheduler.charge(parts, 1.0)
    assert 9 <= led.count(b"busy") <= 11


def test_a_person_leads_every_second_batch_at_most() -> None:
    scheduler = Scheduler(10_000, 16)
    for peer in (b"a", b"b"):
        scheduler.add(work(peer, 200))
    person = work(b"a", 64)
    person.interactive = True
    scheduler.add(person)
    led = []
    for _ in range(8):
        parts = scheduler.take()
        scheduler.charge(parts, 1.0)
        led.append(parts[0].work is person)
    assert led == [True, False, True, False, True, False, True, False]


def test_accounts_of_clients_that_left_are_closed() -> None:
    scheduler = Scheduler(10_000, 16)
    for number in range(500):
        scheduler.add(work(str(number).encode(), 3))
        scheduler.charge(scheduler.take(), 1.0)
    scheduler.take()
    assert not scheduler._spent
