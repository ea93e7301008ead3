"""Pixels in slots are either exactly what was written or reported as lost, whatever happens."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from protocol import slots
from protocol.errors import ProtocolError, SlotLostError
from protocol.frames import decode, encode
from protocol.messages import Request, Score
from protocol.slots import SlotReader, pool_path
from protocol.tensors import Array, Frame, Inline, Pool, Slot
from services.runtime.pool import SlotPool, SlotWriter

NAME = "0123456789abcdef"
HOLDER = (b"peer", b"request")


@pytest.fixture
def shm(shm_folder: Path) -> Path:
    return shm_folder


@pytest.fixture
def pool(shm: Path) -> SlotPool:
    assert list(shm.iterdir()) == []
    return SlotPool(NAME, 20_000, slots=3)


def pictures(seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (4, 32, 32, 3), np.uint8)


def put(pool: SlotPool, array: Array, request: bytes = b"request", until: float = 9.0) -> Slot:
    ref = pool.put(array, (b"peer", request), until)
    assert ref is not None
    return ref


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_another_reader_sees_what_was_written(pool: SlotPool, dtype: str) -> None:
    array = np.arange(600).reshape(2, 300).astype(dtype)
    found = SlotReader().copy(put(pool, array))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    pool.close()


def test_views_are_read_only_and_not_copies(pool: SlotPool) -> None:
    view = SlotReader().view(put(pool, pictures()))
    assert not view.array.flags.writeable
    assert not view.array.flags.owndata
    assert view.intact()
    pool.close()


def test_a_released_slot_is_lost_to_whoever_still_reads(pool: SlotPool) -> None:
    reader, ref = SlotReader(), put(pool, pictures())
    view = reader.view(ref)
    pool.release(HOLDER)
    assert not view.intact()
    for read in (reader.view, reader.copy, SlotReader().copy):
        with pytest.raises(SlotLostError, match="released"):
            read(ref)
    assert put(pool, pictures(1)).slot == ref.slot  # the warm one
    assert not view.intact()
    pool.close()


def test_a_slot_that_goes_while_it_is_copied_is_lost(
    pool: SlotPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        def copy(self) -> Array:
            pool.release(HOLDER)
            return put(pool, pictures(1))  # type: ignore[return-value] # thrown away

    reader, ref = SlotReader(), put(pool, pictures())
    view = reader.view(ref)
    object.__setattr__(view, "array", Slow())
    monkeypatch.setattr(reader, "view", lambda _: view)
    with pytest.raises(SlotLostError):
        reader.copy(ref)
    pool.close()


def test_leases_end_by_deadline_by_peer_and_by_request(pool: SlotPool) -> None:
    first, second = put(pool, pictures(), b"1", until=5.0), put(pool, pictures(), b"2", until=9.0)
    third = pool.put(pictures(), (b"other", b"1"), 9.0)
    assert third is not None
    assert pool.put(pictures(), HOLDER, 9.0) is None  # all leased
    reader = SlotReader()
    pool.expire(5.0)
    with pytest.raises(SlotLostError):
        reader.view(first)
    assert reader.view(second).intact()
    pool.release((b"peer", b"unknown"))
    pool.release_peer(b"peer")
    assert len(pool._leased) == 1
    assert reader.view(third).intact()
    pool.close()


def room(pool: SlotPool, value: int) -> Array:
    """Pictures of one value, written where they can be lent."""
    found = pool.room(pictures().shape, np.uint8)
    assert found is not None
    found[:] = value
    return found


def test_what_a_model_writes_into_a_room_is_lent_without_a_copy(pool: SlotPool) -> None:
    array = room(pool, 5)
    view = SlotReader().view(put(pool, array[:3]))  # the last row filled the batch up
    assert (view.array == 5).all()
    array[:] = 6
    assert (view.array == 6).all()
    assert view.intact()
    pool.close()


def test_a_slot_is_not_used_again_while_somebody_here_refers_to_it(pool: SlotPool) -> None:
    array = room(pool, 5)
    ref = put(pool, array)
    row = array[1:2].view()
    del array
    pool.release(HOLDER)
    others = [room(pool, 7), room(pool, 8)]
    assert pool.room((1,), np.uint8) is None
    assert {put(pool, other, bytes([n])).slot for n, other in enumerate(others)} == {0, 1, 2} - {
        ref.slot
    }
    assert (row == 5).all()
    del row
    assert put(pool, room(pool, 9)).slot == ref.slot
    pool.close()


def test_two_who_ask_for_the_same_have_a_slot_each(pool: SlotPool) -> None:
    array, reader = room(pool, 5), SlotReader()
    first, second = put(pool, array, b"1"), put(pool, array, b"2")
    assert first.slot != second.slot
    pool.release((b"peer", b"1"))
    assert (reader.copy(second) == 5).all()
    third = put(pool, array, b"3")
    assert (third.slot, third.count) == (first.slot, first.count + 1)
    assert (reader.copy(third) == 5).all()
    pool.close()


def test_a_room_that_finds_no_room_in_the_file_is_kept_by_the_owner(
    pool: SlotPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", full)
    ref = put(pool, room(pool, 5))
    assert not ref.shared
    assert (pool.read(ref) == 5).all()
    assert pool.room((30_000,), np.uint8) is None  # larger than a slot
    pool.close()


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_cannot_have_a_slot_goes_as_a_frame(pool: SlotPool) -> None:
    writer = SlotWriter(pool, HOLDER, 9.0)
    assert isinstance(writer.add(np.zeros(9, np.uint8)), Inline)
    assert isinstance(writer.add(np.zeros(30_000, np.uint8)), Frame)  # larger than a slot
    for _ in range(3):
        assert isinstance(writer.add(pictures()), Slot)
    assert isinstance(writer.add(pictures()), Frame)  # all are leased
    assert len(writer.frames) == 2
    pool.close()


def test_what_finds_no_room_is_kept_by_the_owner(
    pool: SlotPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", full)
    ref = put(pool, pictures())
    assert not ref.shared
    with pytest.raises(SlotLostError):
        SlotReader().view(ref)
    np.testing.assert_array_equal(pool.read(ref), pictures())
    monkeypatch.undo()
    with pytest.raises(SlotLostError):  # also when somebody claims that it is in the file
        SlotReader().view(Slot("uint8", ref.shape, NAME, ref.slot, ref.count))
    pool.release(HOLDER)
    with pytest.raises(SlotLostError):
        pool.read(ref)
    assert put(pool, pictures(1)).shared
    pool.close()


def test_an_owner_reads_only_what_is_leased_by_that_very_reference(pool: SlotPool) -> None:
    ref = put(pool, pictures())
    fields = {name: getattr(ref, name) for name in ref.__struct_fields__}
    for change in ({"count": 9}, {"slot": 1}, {"shape": (4,)}, {"dtype": "int64"}):
        with pytest.raises(SlotLostError, match="not leased"):
            pool.read(Slot(**{**fields, **change}))
    np.testing.assert_array_equal(pool.read(ref), pictures())
    pool.close()


@pytest.mark.parametrize("call", ["posix_fallocate", "ftruncate"])
def test_a_pool_without_room_leaves_no_file(
    shm: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(os, call, full)
    pool = SlotPool(NAME, 20_000)
    assert list(shm.iterdir()) == []
    assert not SlotReader().can_read(pool.pool)
    np.testing.assert_array_equal(pool.read(put(pool, pictures())), pictures())
    pool.close()


def test_the_probe_compares_the_token(pool: SlotPool) -> None:
    reader = SlotReader()
    assert reader.can_read(pool.pool)
    assert not reader.can_read(Pool(NAME, bytes(16)))
    assert not reader.can_read(Pool("f" * 16, bytes(16)))
    pool.close()


def test_only_private_pools_of_this_user_are_read(pool: SlotPool, shm: Path) -> None:
    ref, path = put(pool, pictures()), pool_path(NAME)
    link = pool_path("a" * 16)
    link.symlink_to(path)
    (shm / "open").write_bytes(path.read_bytes())
    (shm / "open").rename(pool_path("b" * 16))
    pool_path("b" * 16).chmod(0o644)
    pool_path("c" * 16).touch(0o600)
    pool_path("d" * 16).write_bytes(b"x" * 9000)
    pool_path("d" * 16).chmod(0o600)
    os.mkfifo(pool_path("e" * 16), 0o600)
    for digit in "abcde":
        with pytest.raises(SlotLostError):
            SlotReader().view(Slot("uint8", ref.shape, digit * 16, ref.slot, ref.count))
    pool.close()


@pytest.mark.parametrize("change", [{"slot": 1}, {"slot": 200}, {"count": 7}, {"shape": (9000,)}])
def test_references_that_lie_are_lost(pool: SlotPool, change: dict[str, int]) -> None:
    ref = put(pool, np.zeros(2000, np.uint8))
    fields = {name: getattr(ref, name) for name in ref.__struct_fields__}
    with pytest.raises(SlotLostError):
        SlotReader().view(Slot(**{**fields, **change}))
    pool.close()


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 16, "0" * 15, "0" * 16 + "\n"])
def test_a_pools_name_never_becomes_a_path(name: str) -> None:
    request = Request(bytes(16), 1.0, Score(images=Slot("uint8", (1,), name, 0, 1)))
    with pytest.raises(ProtocolError):
        decode(encode(request))


def test_the_pool_of_a_killed_owner_is_swept_and_of_a_living_one_is_not(
    pool: SlotPool, shm: Path
) -> None:
    script = """
import numpy as np
from services.runtime.pool import SlotPool
pool = SlotPool("f" * 16, 20_000)
ref = pool.put(np.full(5000, 7, np.uint8), (b"", b""), 9.0)
print(ref.slot, ref.count, flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        slot, count = map(int, owner.stdout.readline().split())
        ref, reader = Slot("uint8", (5000,), "f" * 16, slot, count), SlotReader()
        view = reader.view(ref)
        assert slots.sweep() == []
        owner.send_signal(signal.SIGKILL)
    assert slots.sweep() == [pool_path("f" * 16)]
    assert list(shm.iterdir()) == [pool_path(NAME)]
    assert view.intact()  # what is mapped stays
    assert (view.array == 7).all()
    pool.close()
    assert list(shm.iterdir()) == []
