"""What is asked twice is computed once, whoever asks; nothing grows without bound."""

from collections.abc import Callable

import numpy as np
import pytest

from protocol.client import Client
from protocol.errors import ConfigError, ModelFailedError
from protocol.messages import Generate, Score
from protocol.tensors import Frame, Slot
from services.runtime.answers import Answers, remembered_bytes
from services.runtime.role import Role, Rows
from services.runtime.scheduler import Work
from services.runtime.server import Server
from tests.services.runtime.roles import POISON, MeanRole, ask, scores
from tests.services.runtime.waiting import PATIENT, held, until

Serve = Callable[[Role], Server]


def test_a_retry_joins_what_is_computed_and_is_then_answered_from_memory(
    serve: Serve, client: Client
) -> None:
    role = MeanRole(batch_rows=4)
    server = serve(role)
    with Client("other", PATIENT) as other:
        mine, its = (c.connect(server.endpoint, "discriminator") for c in (client, other))
        role.gate.clear()
        first = ask(client, mine, [1, 2])
        until(client, lambda: not server.batcher.idle)
        second = ask(other, its, [1, 2])
        assert held(other, its) == 1
        role.gate.set()
        assert scores(client, first) == scores(other, second) == [1, 2]
        assert scores(client, ask(client, mine, [1, 2])) == [1, 2]
        assert len(role.shapes) == 1
        assert scores(client, ask(client, mine, [2, 1])) == [2, 1]
        assert len(role.shapes) == 2


def test_who_joined_is_served_when_the_first_one_leaves(serve: Serve, client: Client) -> None:
    role = MeanRole(batch_rows=4)
    server = serve(role)
    service = client.connect(server.endpoint, "discriminator")
    role.gate.clear()
    blocker = ask(client, service, [9])
    until(client, lambda: not server.batcher.idle)
    first, second, third = (ask(client, service, [1, 2]) for _ in range(3))
    assert held(client, service) == 4
    client.cancel(service, first)
    client.cancel(service, third)
    assert held(client, service) == 2
    role.gate.set()
    assert scores(client, blocker) == [9]
    assert scores(client, second) == [1, 2]


def test_errors_are_shared_and_not_remembered(serve: Serve, client: Client) -> None:
    role = MeanRole(batch_rows=4)
    server = serve(role)
    service = client.connect(server.endpoint, "discriminator")
    role.gate.clear()
    asked = [ask(client, service, [POISON]) for _ in range(2)]
    assert held(client, service) == 2
    role.gate.set()
    for pending in asked:
        with pytest.raises(ModelFailedError):
            scores(client, pending)
    with pytest.raises(ModelFailedError):
        scores(client, ask(client, service, [POISON]))
    assert len(role.shapes) == 2


def call(psi: float = 1.0, rows: int = 2) -> Generate:
    return Generate(space="z", genomes=Frame("float32", (rows, 3), 0), truncation_psi=psi)


def test_the_key_is_the_content() -> None:
    answers = Answers("blake2b:one", 100)
    genomes = memoryview(np.arange(6, dtype=np.float32)).cast("B")
    others = memoryview(np.arange(1, 7, dtype=np.float32)).cast("B")
    slots = [Score(images=Slot("uint8", (1, 2, 2, 3), "0" * 16, 3, count)) for count in (1, 2)]
    keys = [
        answers.key(call(), [genomes]),
        answers.key(call(0.5), [genomes]),
        answers.key(call(), [others]),
        Answers("blake2b:two", 100).key(call(), [genomes]),
        *(answers.key(one, ()) for one in slots),
    ]
    assert len(set(keys)) == len(keys)
    assert answers.key(call(), [memoryview(bytearray(genomes))]) == keys[0]
    assert answers.key(call(), [memoryview(bytes(1 << 21))]) == b""
    assert Answers("blake2b:one", 0).key(call(), [genomes]) == b""


def work(key: bytes, nbytes: int = 40) -> Work:
    found = Work(b"peer", b"id" * 8, Rows("", np.zeros((1, 1))), 0.0, 9.0)
    found.key, found.outputs = key, {0: (np.zeros(nbytes, np.uint8),)}
    return found


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    answers = Answers("blake2b:one", 100)
    for key in (b"a", b"b", b"large"):
        one = work(key, 200 if key == b"large" else 40)
        assert not answers.join(one)
        answers.ended(one, well=True)
        answers.remember(one)
    assert answers.recall(work(b"a"))
    one = work(b"c")
    answers.join(one)
    answers.ended(one, well=True)
    answers.remember(one)
    assert [answers.recall(work(key)) for key in (b"a", b"b", b"c", b"large")] == [
        True,
        False,
        True,
        False,
    ]
    assert answers._leads == answers._followers == {}


def test_how_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLASSHOUSE_REMEMBER_MB", raising=False)
    assert remembered_bytes() == 64_000_000
    monkeypatch.setenv("GLASSHOUSE_REMEMBER_MB", "0.5")
    assert remembered_bytes() == 500_000
    for wrong in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("GLASSHOUSE_REMEMBER_MB", wrong)
        with pytest.raises(ConfigError, match="number of megabytes"):
            remembered_bytes()
