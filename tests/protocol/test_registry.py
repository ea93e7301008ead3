"""Registrations: found when the service lives, harmless whatever they hold."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from protocol.endpoints import new_endpoint, remove_socket, runtime_dir, sweep
from protocol.naming import model_key
from protocol.registry import Registered, Registration, register, registered

CLIP = Registration("clip", "mini-clip", "blake2b:00", "cpu", owned=False)


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gh-") as base:  # a short name: it holds sockets
        monkeypatch.setenv("XDG_RUNTIME_DIR", base)
        yield runtime_dir()


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Of something that listens."""
    found = new_endpoint("clip")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(found.removeprefix("ipc://"))
        listener.listen()
        yield found


def beside(endpoint: str) -> Path:
    return Path(endpoint.removeprefix("ipc://")).with_suffix(".json")


def test_a_living_service_is_found(endpoint: str) -> None:
    register(endpoint, CLIP)
    (found,) = registered()
    assert found.registration == CLIP
    assert found.endpoint == endpoint
    assert found.pid() == os.getpid()
    assert beside(endpoint).stat().st_mode & 0o777 == 0o600
    sweep()
    assert registered() == [found]
    remove_socket(endpoint)
    assert registered() == []
    assert not beside(endpoint).exists()
    assert found.pid() is None


def test_a_killed_service_is_not_found_and_swept(endpoint: str, runtime: Path) -> None:
    register(endpoint, CLIP)
    dead = new_endpoint("generator")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(dead.removeprefix("ipc://"))
    register(dead, CLIP)
    (runtime / "clip-000000000000.json").write_bytes(msgspec.json.encode(CLIP))  # has no socket
    assert [one.endpoint for one in registered()] == [endpoint]
    sweep()
    left = {path.name for path in runtime.iterdir()}
    assert left == {beside(endpoint).name, beside(endpoint).with_suffix(".sock").name}


def test_sockets_elsewhere_are_private(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("mine")
    register(f"ipc://{tmp_path}/mine.sock", CLIP)
    register("tcp://127.0.0.1:5555", CLIP)
    remove_socket(f"ipc://{tmp_path}/mine.sock")
    assert (tmp_path / "mine.json").read_text() == "mine"
    assert registered() == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"x" * 100_000,
        msgspec.json.encode({**msgspec.to_builtins(CLIP), "endpoint": "tcp://evil:1"}),
        msgspec.json.encode({**msgspec.to_builtins(CLIP), "role": "admin"}),
        msgspec.json.encode({**msgspec.to_builtins(CLIP), "owned": "no"}),
        msgspec.json.encode({**msgspec.to_builtins(CLIP), "model": "x" * 500}),
    ],
    ids=range(8),
)
def test_odd_files_are_passed_over(endpoint: str, content: bytes) -> None:
    beside(endpoint).write_bytes(content)
    assert registered() == []


def test_links_and_odd_names_are_passed_over(endpoint: str, runtime: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.json"
    target.write_bytes(msgspec.json.encode(CLIP))
    beside(endpoint).symlink_to(target)
    for name in ("x.json", "clip-xyz.json", "..json", "clip-3fa91c07be551.json"):
        (runtime / name).write_bytes(msgspec.json.encode(CLIP))
    os.mkfifo(runtime / "clip-111111111111.json")
    assert registered() == []


def test_a_registration_is_not_written_through_a_link(endpoint: str, tmp_path: Path) -> None:
    beside(endpoint).symlink_to(tmp_path / "victim")
    register(endpoint, CLIP)
    assert not (tmp_path / "victim").exists()


def test_paths_of_models_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_key("mini-car") == "mini-car"
    assert model_key("a/b.safetensors") == str(tmp_path / "a" / "b.safetensors")
    assert Registered("clip-1", CLIP, 0.0).log_path == runtime_dir() / "clip-1.log"
