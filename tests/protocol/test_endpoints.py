"""Sockets lie where only their user can reach, and leftovers of killed services go."""

import socket
from pathlib import Path

import pytest

from protocol.endpoints import (
    check_endpoint,
    is_abandoned,
    is_local,
    new_endpoint,
    runtime_dir,
    socket_path,
    sweep,
)
from protocol.errors import ConfigError


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "glasshouse"


def test_the_folder_is_private(runtime: Path) -> None:
    assert runtime_dir() == runtime
    assert runtime.stat().st_mode & 0o777 == 0o700


def test_an_open_folder_is_refused(runtime: Path) -> None:
    runtime.mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="0700"):
        runtime_dir()


def test_a_folder_that_is_a_link_is_refused(runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    runtime.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        runtime_dir()


@pytest.mark.usefixtures("runtime")
def test_endpoints_are_never_used_twice() -> None:
    assert len({new_endpoint("clip") for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "good", ["ipc:///tmp/a.sock", "tcp://127.0.0.1:5555", "tcp://host.lan:1", "tcp://[::1]:80"]
)
def test_good_endpoints(good: str) -> None:
    assert check_endpoint(good) == good


@pytest.mark.parametrize(
    "bad",
    ["", "nonsense", "ipc://relative.sock", "ipc:///" + "x" * 120, "tcp://host", "tcp://*:80",
     "tcp://host:99999", "udp://host:80", "tcp://:80", "ipc:///tmp/a\0b.sock"],
)  # fmt: skip
def test_bad_endpoints(bad: str) -> None:
    with pytest.raises(ConfigError):
        check_endpoint(bad)


def test_only_abandoned_sockets_are_swept(runtime: Path) -> None:
    living, dead = (runtime_dir() / name for name in ("clip-1.sock", "clip-2.sock"))
    (runtime / "other.txt").touch()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as closed:
        listener.bind(str(living))
        listener.listen()
        closed.bind(str(dead))
        closed.close()
        assert is_abandoned(dead)
        assert not is_abandoned(runtime / "other.txt")
        assert sweep() == [dead]
        assert sorted(path.name for path in runtime.iterdir()) == ["clip-1.sock", "other.txt"]


@pytest.mark.parametrize("endpoint", ["tcp://*:80", "tcp://0.0.0.0:*", "tcp://host", "nonsense"])
def test_what_is_no_endpoint_does_not_count_as_local(endpoint: str) -> None:
    assert not is_local(endpoint)


def test_tcp_has_no_file() -> None:
    assert socket_path("tcp://127.0.0.1:5555") is None


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("ipc:///run/s.sock", True),
        ("tcp://127.0.0.1:1", True),
        ("tcp://127.9.9.9:1", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://0.0.0.0:1", False),
        ("tcp://[::]:1", False),
        ("tcp://10.0.0.5:1", False),
        ("tcp://127.example.org:1", False),
        ("tcp://localhost.example.org:1", False),
        ("tcp://eth0:1", False),
    ],
)
def test_only_this_machine_is_local(endpoint: str, local: bool) -> None:
    assert is_local(check_endpoint(endpoint)) is local
