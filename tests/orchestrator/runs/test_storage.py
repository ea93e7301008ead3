import contextlib
import errno
import json
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.runs import RunFolder
from orchestrator.runs.storage import append_line, link, storing, to_json, write_whole
from protocol.errors import StorageError

LIMIT = 4096


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """Files of this process may hold 4096 bytes, a limit that root has too.

    Only around what is tested: pytest's own output may be going to a longer file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "glasshouse-test", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(folder: RunFolder) -> None:
    for generation in range(2, 99_999):
        folder.append_event({"generation": generation})


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_whole(path, b"old")
    with (
        small_files(),
        pytest.raises(StorageError, match=r"run\.json: file too large; raise the limit"),
    ):
        write_whole(path, bytes(LIMIT + 1))
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["run.json"]


def test_a_line_that_cannot_be_finished_is_left_out_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    append_line(path, b"{}")
    with small_files(), pytest.raises(StorageError):
        append_line(path, bytes(LIMIT))
    append_line(path, b"[]")
    assert path.read_bytes() == b"{}\n[]\n"


def test_a_full_disk_is_one_sentence_and_leaves_whole_files(small_disk: Path) -> None:
    folder = RunFolder.create(small_disk, "a yellow car")
    folder.append_event({"generation": 1})
    pixels = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    with pytest.raises(StorageError) as caught:
        folder.save_picture("best", pixels, {})
    assert caught.value.message == (
        f"Could not write a file at {folder.path / 'best.png'}: no space left on device; "
        "free some space, or keep runs on another disk."
    )
    with pytest.raises(StorageError):
        fill(folder)
    assert names_in(folder.path) == ["events.jsonl"]
    lines = (folder.path / "events.jsonl").read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\n") and json.loads(line) for line in lines)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="that you may write to"):
        RunFolder.create(tmp_path, "a car")
    tmp_path.chmod(0o700)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(StorageError, match=r"runs: file exists; move what is in the way"):
        RunFolder.create(tmp_path / "runs", "a car")
    with pytest.raises(StorageError, match=r"not a directory; move what is in the way"):
        RunFolder.create(tmp_path / "runs" / "mine", "a car")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, None])
def test_every_os_error_becomes_one_sentence(number: int | None) -> None:
    error = OSError(number, "x") if number else OSError("odd")
    with pytest.raises(StorageError) as caught, storing("write a file", Path("/a/b")):
        raise error
    assert caught.value.message.startswith("Could not write a file at /a/b: ")
    assert caught.value.message.count(".") == 1
    assert caught.value.__cause__ is error


def test_an_interrupt_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "run.json", b"new")
    assert names_in(tmp_path) == []


def test_a_file_system_without_links_gets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "symlink", refuse)
    link(tmp_path / "latest", "0001-a")
    assert names_in(tmp_path) == []


def test_a_link_never_replaces_a_folder(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    with pytest.raises(StorageError, match="is a directory"):
        link(tmp_path / "latest", "0001-a")
    assert names_in(tmp_path) == ["latest"]


def test_json_holds_arrays_paths_and_no_nan() -> None:
    value = {"a": np.float32(0.5), "b": np.arange(2), "c": Path("x"), "d": float("nan"), "e": "é"}
    assert json.loads(to_json(value)) == {"a": 0.5, "b": [0, 1], "c": "x", "d": None, "e": "é"}
    with pytest.raises(TypeError, match="cannot hold a object"):
        to_json(object())
