"""Services in threads, over real sockets."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol.client import Client
from services.runtime.role import Role
from services.runtime.server import Server
from tests.services.runtime.waiting import PATIENT

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    running: list[tuple[Server, threading.Thread]] = []

    def start(role: Role, server_class: type[Server] = Server) -> Server:
        server = server_class(role, f"ipc://{tmp_path}/{len(running)}.sock")
        thread = threading.Thread(target=server.run)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.drain("the test is over", within_s=1.0)
        thread.join(120)
        assert not thread.is_alive()


@pytest.fixture
def client() -> Iterator[Client]:
    with Client("test", PATIENT) as client:
        yield client
