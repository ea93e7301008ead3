"""A service over real sockets: it answers everybody their own, whatever anybody sends."""

import logging
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.client import Client, Service
from protocol.errors import (
    BadRequestError,
    ConfigError,
    DeadlineError,
    DrainingError,
    GlasshouseError,
    ModelFailedError,
    ProtocolError,
    ServiceLostError,
    UnreachableError,
)
from protocol.frames import MAX_MESSAGE_BYTES, decode, encode
from protocol.messages import (
    Cancel,
    ClientNames,
    Clients,
    Describe,
    Description,
    EmbedTexts,
    ErrorMessage,
    Hello,
    Pong,
    Reply,
    Request,
    Result,
    Score,
    Scores,
    Welcome,
)
from protocol.tensors import Array, TensorWriter
from services.runtime.role import Options, Role
from services.runtime.server import Server
from tests.services.runtime.roles import POISON, MeanRole, ask, pictures, scores
from tests.services.runtime.waiting import PATIENT, held, until

Serve = Callable[[Role], Server]


def test_rows_come_back_in_order_whatever_the_batches(serve: Serve, client: Client) -> None:
    role = MeanRole(batch_rows=4)
    service = client.connect(serve(role).endpoint, "discriminator")
    asked = [[1, 2, 3, 4, 5, 6, 7], [10], [20, 21]]
    pendings = [ask(client, service, values) for values in asked]
    assert [scores(client, pending) for pending in pendings] == asked
    assert {shape[0] for shape in role.shapes} == {4}


def test_clients_share_batches(serve: Serve) -> None:
    role = MeanRole(batch_rows=8)
    server = serve(role)
    with Client("one", PATIENT) as one, Client("two", PATIENT) as two:
        services = [c.connect(server.endpoint, "discriminator") for c in (one, two)]
        role.gate.clear()
        blocker = ask(one, services[0], [0])
        until(one, lambda: not server.batcher.idle)
        first = ask(one, services[0], [1, 2])
        second = ask(two, services[1], [3, 4])
        until(one, lambda: server.batcher.rows == 4)
        role.gate.set()
        assert scores(one, blocker) == [0]
        assert (scores(one, first), scores(two, second)) == ([1, 2], [3, 4])
    assert len(role.shapes) == 2


def test_ping_is_answered_while_the_model_computes(serve: Serve, client: Client) -> None:
    role = MeanRole()
    service = client.connect(serve(role).endpoint, "discriminator")
    role.gate.clear()
    pending = ask(client, service, [1] * 12)
    until(client, lambda: service.pong and service.pong.batch_age_s > 0)
    held(client, service)
    assert isinstance(service.pong, Pong)
    assert service.pong.state == "busy"
    assert service.pong.queue_rows == 8
    role.gate.set()
    assert scores(client, pending) == [1] * 12


def test_a_row_that_breaks_the_model_does_not_hurt_its_batch_mates(
    serve: Serve, client: Client
) -> None:
    role = MeanRole(batch_rows=8)
    server = serve(role)
    service = client.connect(server.endpoint, "discriminator")
    role.gate.clear()
    blocker = ask(client, service, [0])
    until(client, lambda: not server.batcher.idle)
    good, bad, fine = (ask(client, service, v) for v in ([1, 2], [3, POISON, 4], [5]))
    until(client, lambda: server.batcher.rows == 6)
    role.gate.set()
    assert scores(client, blocker) == [0]
    assert scores(client, good) == [1, 2]
    assert scores(client, fine) == [5]
    with pytest.raises(ModelFailedError, match="failed on row 1 of 3: these pixels break me"):
        scores(client, bad)
    assert scores(client, ask(client, service, [9])) == [9]


def test_rows_that_do_not_fit_together_are_computed_apart(serve: Serve, client: Client) -> None:
    """A role that checks no shapes must not end the compute thread."""
    role = MeanRole(batch_rows=8)
    server = serve(role)
    service = client.connect(server.endpoint, "discriminator")
    role.gate.clear()
    blocker = ask(client, service, [0])
    until(client, lambda: not server.batcher.idle)
    good, writer = ask(client, service, [1, 2]), TensorWriter()
    flat = Score(images=writer.add(np.array([5, 6, 7], np.uint8)))
    odd = client.submit(service, flat, writer.frames)
    until(client, lambda: server.batcher.rows == 5)
    role.gate.set()
    assert scores(client, blocker) == [0]
    assert scores(client, good) == [1, 2]
    assert scores(client, odd) == [5, 6, 7]


def test_a_person_does_not_wait_for_a_search(serve: Serve, client: Client) -> None:
    role = MeanRole(batch_rows=4)
    server = serve(role)
    service = client.connect(server.endpoint, "discriminator")
    role.gate.clear()
    large = ask(client, service, [1] * 40)
    writer = TensorWriter()
    call = Score(images=writer.add(pictures([9, 9])))
    until(client, lambda: server.batcher.rows == 36)
    person = client.submit(service, call, writer.frames, interactive=True)
    until(client, lambda: server.batcher.rows == 38)
    role.gate.set()
    assert scores(client, person) == [9, 9]
    assert role.filled[1] == {1, 9}  # it led the second batch, and the search filled it up
    assert scores(client, large) == [1] * 40


def test_out_of_memory_halves_the_batches_and_nobody_notices(serve: Serve, client: Client) -> None:
    role = MeanRole(batch_rows=8)
    service = client.connect(serve(role).endpoint, "discriminator")
    role.memory_rows = 3
    asked = [[1], [2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [12, 14]]
    pendings = [ask(client, service, values) for values in asked]
    assert [scores(client, pending) for pending in pendings] == asked
    assert [rows for rows, *_ in role.shapes][:3] == [8, 4, 2]
    role.memory_rows = 0
    with pytest.raises(ModelFailedError, match="failed on row 0 of 1"):
        scores(client, ask(client, service, [19]))


class HugeRole(MeanRole):
    """Answers a picture of value 1 with more than any message can hold."""

    def result(self, options: Options, outputs: tuple[Array, ...], writer: TensorWriter) -> Result:
        if outputs[0][0] == 1:
            writer.add(np.zeros(MAX_MESSAGE_BYTES, np.uint8))
        return super().result(options, outputs, writer)


def test_an_answer_that_is_too_large_is_refused_and_hurts_nobody_else(
    serve: Serve, client: Client
) -> None:
    service = client.connect(serve(HugeRole()).endpoint, "discriminator")
    with pytest.raises(ProtocolError, match="send fewer rows"):
        scores(client, ask(client, service, [1]))
    assert scores(client, ask(client, service, [2])) == [2]


class LeavingRole(MeanRole):
    """Calls sys.exit at a picture of value 1, as a user's scorer may."""

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        if values[0].max() == 1:
            sys.exit("I have had enough")
        return super().compute(options, values)


def test_a_model_that_would_leave_stays(serve: Serve, client: Client) -> None:
    service = client.connect(serve(LeavingRole()).endpoint, "discriminator")
    with pytest.raises(ModelFailedError, match="I have had enough"):
        scores(client, ask(client, service, [1]))
    assert scores(client, ask(client, service, [2])) == [2]


def test_an_endpoint_that_is_taken_is_said_in_one_sentence() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(ConfigError, match="cannot be bound"):
            Server(MeanRole(), f"tcp://127.0.0.1:{listener.getsockname()[1]}")


def test_a_cancelled_request_is_not_answered_even_when_it_is_being_computed(
    serve: Serve, client: Client
) -> None:
    role = MeanRole()
    server = serve(role)
    service = client.connect(server.endpoint, "discriminator")
    role.gate.clear()
    pending = ask(client, service, [1])
    until(client, lambda: not server.batcher.idle)
    client.cancel(service, pending)
    assert held(client, service) == 0
    role.gate.set()
    assert scores(client, ask(client, service, [2])) == [2]
    assert service.session.strays == 0


def test_mistakes_are_answered_in_one_sentence(serve: Serve, client: Client) -> None:
    service = client.connect(serve(MeanRole()).endpoint, "discriminator")
    with pytest.raises(BadRequestError, match="only scores here"):
        client.call(service, EmbedTexts(texts=("a",))).answer()
    with pytest.raises(BadRequestError, match="at least one row"):
        scores(client, ask(client, service, []))
    answer = client.call(service, Describe()).answer()
    assert isinstance(answer.reply.result, Description)
    assert answer.reply.result.info == service.info


def test_a_service_names_those_that_speak_to_it(serve: Serve, client: Client) -> None:
    endpoint = serve(MeanRole()).endpoint
    service = client.connect(endpoint, "discriminator")
    with Client("0007-a-yellow-car" + "r" * 150, PATIENT) as other:
        other.connect(endpoint, "discriminator")
        found = client.call(service, Clients()).answer().reply.result
    assert isinstance(found, ClientNames)
    assert ("0007-a-yellow-car" + "r" * 150)[:100] in found.names
    assert len(found.names) == found.clients == 2


def test_the_wrong_role_is_refused(serve: Serve, client: Client) -> None:
    with pytest.raises(BadRequestError, match=r"wanted a clip, but .* is a discriminator"):
        client.connect(serve(MeanRole()).endpoint, "clip")


def test_nobody_there(client: Client, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="nobody answered in 1 s"):
        client.connect(f"ipc://{tmp_path}/none.sock", "clip", timeout_s=0.6)


def test_a_full_queue_is_asked_again(serve: Serve, client: Client) -> None:
    role = MeanRole(batch_rows=4, queue_rows=8, pause_s=0.01)
    service = client.connect(serve(role).endpoint, "discriminator")
    asked = [[n] * 6 for n in range(10)]
    pendings = [ask(client, service, values) for values in asked]
    assert [scores(client, pending) for pending in pendings] == asked


def test_a_deadline_ends_the_request_and_drops_its_rows(serve: Serve, client: Client) -> None:
    role = MeanRole()
    server = serve(role)
    service = client.connect(server.endpoint, "discriminator")
    role.gate.clear()
    first = ask(client, service, [1])
    until(client, lambda: not server.batcher.idle)
    with pytest.raises(DeadlineError):
        scores(client, ask(client, service, [2], ttl_s=0.3))
    assert held(client, service) == 1
    role.gate.set()
    assert scores(client, first) == [1]
    assert scores(client, ask(client, service, [3])) == [3]
    assert len(role.shapes) == 2  # the one that was being computed, and the last


def test_draining_answers_what_is_queued_and_says_bye(serve: Serve, client: Client) -> None:
    role = MeanRole(batch_rows=2)
    server = serve(role)
    service = client.connect(server.endpoint, "discriminator")
    role.gate.clear()
    pending = ask(client, service, [1, 2, 3])
    until(client, lambda: server.batcher.rows == 1)
    server.drain("told to stop")
    late = ask(client, service, [4])
    client.wait([late])
    assert isinstance(late.error, DrainingError)
    role.gate.set()
    assert scores(client, pending) == [1, 2, 3]
    until(client, lambda: service.state == "lost")
    with pytest.raises(ServiceLostError, match="told to stop"):
        scores(client, ask(client, service, [5]))


def raw_socket(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> "zmq.Socket[bytes]":
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVTIMEO, 120_000)
    socket.connect(endpoint)
    return socket


def test_a_request_before_hello_is_refused(serve: Serve) -> None:
    server = serve(MeanRole())
    with zmq.Context() as context, raw_socket(context, server.endpoint) as socket:
        socket.send_multipart(encode(Request(id=b"i" * 16, ttl_s=1.0, call=Describe())))
        message, _ = decode(socket.recv_multipart())
        assert isinstance(message, ErrorMessage)
        assert message.id == b"i" * 16
        assert message.code == "lost"


def test_malformed_messages_are_counted_in_the_log_and_do_not_fill_it(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "service")
    server = serve(MeanRole())
    with zmq.Context() as context, raw_socket(context, server.endpoint) as socket:
        for _ in range(20):
            socket.send_multipart([b"GET / HTTP/1.1"])
            message, _ = decode(socket.recv_multipart())
            assert isinstance(message, ErrorMessage)
            assert (message.code, message.id) == ("protocol", b"")
    lines = [line for line in caplog.messages if "these bytes are not a Glasshouse" in line]
    assert [int(line.split()[2]) for line in lines] == [*range(1, 11), 16]


def test_another_version_is_named(serve: Serve) -> None:
    server = serve(MeanRole())
    with zmq.Context() as context, raw_socket(context, server.endpoint) as socket:
        socket.send_multipart(encode(Hello(7, 9, "discriminator", "future")))
        message, _ = decode(socket.recv_multipart())
        assert isinstance(message, ErrorMessage)
        assert message.code == "version"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_no_input_makes_a_service_die_hang_or_answer_for_another(
    fuzzed: tuple[Server, Client, Service, "zmq.Socket[bytes]"], data: st.DataObject
) -> None:
    _, client, service, attacker = fuzzed
    writer = TensorWriter()
    good = encode(
        Request(id=b"x" * 16, ttl_s=5.0, call=Score(images=writer.add(pictures([1])))),
        writer.frames,
    )
    hello = encode(Hello(1, 1, "discriminator", "fuzz"))
    base = data.draw(st.sampled_from([good, hello, encode(Describing)]))
    parts = [bytearray(part) for part in base]
    for _ in range(data.draw(st.integers(0, 4))):
        part = data.draw(st.sampled_from(parts))
        place = data.draw(st.integers(0, len(part) - 1))
        part[place] = data.draw(st.integers(0, 255))
    parts += [bytearray(b) for b in data.draw(st.lists(st.binary(max_size=30), max_size=3))]
    attacker.send_multipart([bytes(part) for part in parts])
    mine = ask(client, service, [7, 8])
    assert scores(client, mine) == [7, 8]
    assert service.session.strays == 0
    while attacker.poll(0):
        message, _ = decode(attacker.recv_multipart())
        assert not isinstance(message, Welcome) or message.info == service.info


Describing = Request(id=b"d" * 16, ttl_s=1.0, call=Describe())


@pytest.fixture
def fuzzed(serve: Serve, client: Client) -> Iterator[tuple[Server, Client, Service, object]]:
    server = serve(MeanRole())
    service = client.connect(server.endpoint, "discriminator")
    with zmq.Context() as context, raw_socket(context, server.endpoint) as attacker:
        yield server, client, service, attacker


def test_errors_cannot_be_forged_into_another_peers_request(serve: Serve, client: Client) -> None:
    """A second client that knows a request's id can neither cancel nor answer it."""
    role = MeanRole()
    server = serve(role)
    service = client.connect(server.endpoint, "discriminator")
    role.gate.clear()
    blocker = ask(client, service, [1])
    until(client, lambda: not server.batcher.idle)
    pending = ask(client, service, [2])
    until(client, lambda: server.batcher.rows == 1)
    with zmq.Context() as context, raw_socket(context, server.endpoint) as stranger:
        stranger.send_multipart(encode(Hello(1, 1, "discriminator", "stranger")))
        stranger.send_multipart(encode(Cancel(id=pending.request.id)))
        stranger.send_multipart(encode(Request(pending.request.id, 5.0, Describe())))
        answers = [decode(stranger.recv_multipart())[0] for _ in range(2)]
        assert [type(answer) for answer in answers] == [Welcome, Reply]
    role.gate.set()
    assert scores(client, blocker) == [1]
    assert scores(client, pending) == [2]


def test_outcomes_are_numbers_not_lists(serve: Serve, client: Client) -> None:
    service = client.connect(serve(MeanRole()).endpoint, "discriminator")
    pending = client.call(service, *_score([5] * 300))
    answer = pending.answer()
    assert isinstance(answer.reply.result, Scores)
    logits = answer.tensor(answer.reply.result.logits)
    assert logits.dtype == np.float32
    assert answer.reply.digest == "blake2b:mean"
    assert answer.reply.wait_ms >= 0
    assert not isinstance(pending.error, GlasshouseError)


def _score(values: list[int]) -> tuple[Score, list[memoryview]]:
    writer = TensorWriter()
    return Score(images=writer.add(pictures(values))), writer.frames
