"""Beyond this machine only known keys are answered; everybody else leaves a counted line."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from protocol import keys
from protocol.client import Client
from protocol.errors import ConfigError, UnreachableError
from protocol.frames import encode
from protocol.messages import Hello
from services.runtime.process import claim_endpoint
from services.runtime.server import Server
from tests.services.runtime.roles import MeanRole
from tests.services.runtime.test_server import ask, scores

pytestmark = pytest.mark.usefixtures("keys_folder")


@pytest.fixture
def mine() -> keys.Identity:
    return keys.new_identity()


@pytest.fixture
def server(mine: keys.Identity) -> Iterator[Server]:
    server = Server(MeanRole(), "tcp://127.0.0.1:0", identity=mine)
    keys.trust(server.endpoint, mine.public.hex())
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server
    server.drain("the test is over", within_s=1.0)
    thread.join(120)
    assert not thread.is_alive()


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 120
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    assert condition()


def refused(server: Server) -> dict[str, int]:
    assert server._guard is not None
    return dict(server._guard.refused)


def test_a_known_key_is_served_as_soon_as_it_is_allowed(
    server: Server, mine: keys.Identity
) -> None:
    with Client("test") as client:
        while not refused(server).get("unknown key"):
            with pytest.raises(UnreachableError):
                client.connect(server.endpoint, "discriminator", timeout_s=0.5)
        keys.allow(mine.public.hex(), "me")
        service = client.connect(server.endpoint, "discriminator", timeout_s=120)
        assert scores(client, ask(client, service, [5, 6])) == [5, 6]


def test_strangers_get_nothing_and_are_counted(
    server: Server, mine: keys.Identity, caplog: pytest.LogCaptureFixture
) -> None:
    keys.allow(mine.public.hex(), "me")
    caplog.set_level(logging.WARNING, "service")
    hello = encode(Hello(1, 1, "discriminator", "stranger"))
    with zmq.Context() as context:
        public, secret = (z85.decode(key) for key in zmq.curve_keypair())
        with context.socket(zmq.DEALER) as unknown, context.socket(zmq.DEALER) as plain:
            unknown.setsockopt(zmq.CURVE_SERVERKEY, mine.public)
            unknown.setsockopt(zmq.CURVE_PUBLICKEY, public)
            unknown.setsockopt(zmq.CURVE_SECRETKEY, secret)
            for stranger in (unknown, plain):
                stranger.setsockopt(zmq.LINGER, 0)
                stranger.connect(server.endpoint)
                stranger.send_multipart(hello)
            host, port = server.endpoint.removeprefix("tcp://").split(":")
            with socket.create_connection((host, int(port))) as http:
                http.sendall(b"GET / HTTP/1.1\r\n\r\n")
                wait_for(lambda: {"unknown key", "no valid encryption"} <= set(refused(server)))
            assert not unknown.poll(100)
            assert not plain.poll(100)
    assert "turned away connection 1: " in caplog.text
    assert secret.hex() not in caplog.text


class Proxy:
    """Passes bytes between one client and a service, and can say again what the client said."""

    def __init__(self, endpoint: str) -> None:
        host, port = endpoint.removeprefix("tcp://").split(":")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._target = (host, int(port))
        self.said: list[bytes] = []
        self._sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        service = socket.create_connection(self._target)
        self._sockets = [client, service]
        back = threading.Thread(target=self._pass, args=(service, client, []))
        back.start()
        self._pass(client, service, self.said)
        back.join()

    def _pass(self, source: socket.socket, target: socket.socket, seen: list[bytes]) -> None:
        try:
            while chunk := source.recv(65536):
                seen.append(chunk)
                target.sendall(chunk)
        except OSError:
            pass

    def replay(self) -> None:
        self._sockets[1].sendall(self.said[-1])

    def close(self) -> None:
        for one in self._sockets:
            one.shutdown(socket.SHUT_RDWR) if one.fileno() >= 0 else None
        self._thread.join(10)
        for one in (*self._sockets, self._listener):
            one.close()


def test_a_replayed_frame_gets_nothing_and_is_counted(server: Server, mine: keys.Identity) -> None:
    keys.allow(mine.public.hex(), "me")
    proxy = Proxy(server.endpoint)
    keys.trust(proxy.endpoint, mine.public.hex())
    role = server._role
    assert isinstance(role, MeanRole)
    with Client("test") as client:
        service = client.connect(proxy.endpoint, "discriminator", timeout_s=120)
        assert scores(client, ask(client, service, [5])) == [5]
        proxy.replay()
        wait_for(lambda: refused(server).get("no valid encryption"))
        assert len(role.shapes) == 1
        assert b"discriminator" not in b"".join(proxy.said)
    proxy.close()


def test_a_bind_beyond_this_machine_needs_keys_and_somebody_to_let_in() -> None:
    claim_endpoint("tcp://127.0.0.1:0")
    with pytest.raises(ConfigError, match="orchestrator keys new"):
        claim_endpoint("tcp://0.0.0.0:0")
    mine = keys.new_identity()
    with pytest.raises(ConfigError, match="orchestrator keys allow"):
        claim_endpoint("tcp://0.0.0.0:0")
    keys.allow(mine.public.hex(), "me")
    assert claim_endpoint("tcp://0.0.0.0:0")


@pytest.mark.parametrize("endpoint", ["tcp://*:7000", "tcp://0.0.0.0:*", "nonsense"])
def test_a_bind_is_an_endpoint_before_anything_else(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="is no endpoint"):
        claim_endpoint(endpoint)


def test_a_port_that_is_taken_is_said_before_a_model_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"{taken} cannot be bound .* choose another --bind"):
            claim_endpoint(taken)
    assert claim_endpoint(taken) == taken


def test_a_bind_takes_the_place_of_no_other_file(tmp_path: Path) -> None:
    mine = tmp_path / "thesis.txt"
    mine.write_text("words")
    for path in (mine, tmp_path):
        with pytest.raises(ConfigError, match="is no socket"):
            claim_endpoint(f"ipc://{path}")
    assert mine.read_text() == "words"
