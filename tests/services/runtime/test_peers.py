"""A client that does not read costs a service a bounded amount of memory, and then its place."""

import pytest
import zmq

from protocol.client import Client
from protocol.frames import decode, encode
from protocol.messages import Generate, Hello, Request, Welcome
from protocol.tensors import TensorWriter
from services.runtime import peers
from tests.services.runtime.conftest import Serve
from tests.services.runtime.roles import DRAWN, DrawRole
from tests.services.runtime.test_handoff import genomes
from tests.services.runtime.waiting import until

REPLY_BYTES = 64 * DRAWN * DRAWN * 3


@pytest.mark.usefixtures("shm_folder")
def test_who_leaves_too_many_bytes_unread_is_forgotten(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "MAX_UNREAD_BYTES", 2 * REPLY_BYTES)
    server = serve(DrawRole(batch_rows=64))
    writer = TensorWriter()
    call = Generate(space="z", genomes=writer.add(genomes(64)))
    with zmq.Context() as context, context.socket(zmq.DEALER) as deaf:
        deaf.setsockopt(zmq.LINGER, 0)
        deaf.setsockopt(zmq.RCVHWM, 1)
        deaf.connect(server.endpoint)
        deaf.send_multipart(encode(Hello(1, 1, "generator", "deaf")))
        assert isinstance(decode(deaf.recv_multipart())[0], Welcome)
        for number in range(10):
            request = Request(bytes([number]) * 16, 60.0, call)
            deaf.send_multipart(encode(request, writer.frames))
        until(client, lambda: not server.peers._names)
        assert server.peers._unread == {}
    service = client.connect(server.endpoint, "generator")
    assert client.call(service, call, writer.frames).error is None
