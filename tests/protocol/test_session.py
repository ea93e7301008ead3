"""Every request ends once, with its own answer or a reason: tested without socket or clock."""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol.errors import (
    BadRequestError,
    DeadlineError,
    ProtocolError,
    ServiceLostError,
    UnreachableError,
)
from protocol.frames import decode, encode
from protocol.messages import (
    Bye,
    Cancel,
    ClipInfo,
    Embeddings,
    EmbedTexts,
    ErrorMessage,
    Hello,
    Ping,
    Pong,
    Reply,
    Request,
    Scores,
    ServiceInfo,
    Welcome,
)
from protocol.session import PING_EVERY_S, SILENCE_S, Pending, Session
from protocol.tensors import TensorWriter

INFO = ServiceInfo("mini-clip", "blake2b:0", "cpu", 16, 64, ClipInfo(64, 4, 24))
WELCOME = Welcome(version=1, incarnation="one", info=INFO)
TEXT = EmbedTexts(texts=("a car",))


def greeted() -> Session:
    session = Session("ipc:///s", "clip", "test")
    session.start(0.0)
    session.receive(encode(WELCOME), 0.1)
    session.outbox.clear()
    return session


def reply(request_id: bytes, value: float = 1.0) -> list[bytes | memoryview]:
    writer = TensorWriter()
    result = Embeddings(embeddings=writer.add(np.full((1, 4), value, np.float32)))
    return encode(Reply(request_id, "blake2b:0", 1.0, 2.0, result), writer.frames)


def pong(incarnation: str = "one") -> list[bytes | memoryview]:
    return encode(Pong(1, incarnation, "busy", 3, 0.5, 10.0, 12.0, 99))


def sent(session: Session) -> list[object]:
    return [decode(frames)[0] for frames in session.outbox]


def test_greeting() -> None:
    session = Session("ipc:///s", "clip", "test")
    session.start(0.0)
    (hello,) = sent(session)
    assert isinstance(hello, Hello)
    assert hello.role == "clip"
    session.receive(encode(WELCOME), 0.1)
    assert session.info == INFO


def test_nobody_answers() -> None:
    session = Session("ipc:///s", "clip", "test")
    session.start(0.0)
    pending = session.submit(TEXT, (), 0.0, 5.0)
    session.give_up(3.0)
    with pytest.raises(UnreachableError, match="nobody answered in 3 s"):
        pending.answer()


def test_a_peer_that_is_no_service_ends_the_greeting() -> None:
    session = Session("ipc:///s", "clip", "test")
    session.start(0.0)
    session.receive([b"HTTP/1.1 400 Bad Request"], 0.1)
    assert isinstance(session.error, ProtocolError)


def test_answers_go_to_their_requests() -> None:
    session = greeted()
    first, second = (session.submit(TEXT, (), 1.0, 5.0) for _ in range(2))
    session.receive(reply(second.request.id, 2.0), 1.1)
    assert not first.done
    answer = second.answer()
    assert answer.tensor(answer.reply.result.embeddings)[0, 0] == 2.0  # type: ignore[union-attr] # checked by the session
    session.receive(reply(second.request.id, 3.0), 1.2)
    session.receive(reply(b"?" * 16), 1.2)
    assert session.strays == 2
    assert not first.done


def test_an_answer_of_the_wrong_kind_is_an_error() -> None:
    session = greeted()
    pending = session.submit(TEXT, (), 1.0, 5.0)
    writer = TensorWriter()
    scores = Scores(logits=writer.add(np.zeros(1, np.float32)))
    session.receive(encode(Reply(pending.request.id, "d", 0, 0, scores), writer.frames), 1.1)
    with pytest.raises(ProtocolError, match="wanted Embeddings"):
        pending.answer()


def test_errors_keep_their_class() -> None:
    session = greeted()
    pending = session.submit(TEXT, (), 1.0, 5.0)
    message = ErrorMessage(pending.request.id, "bad_request", False, "too long")
    session.receive(encode(message), 1.1)
    with pytest.raises(BadRequestError, match="too long"):
        pending.answer()


def test_busy_is_asked_again_until_the_deadline() -> None:
    session = greeted()
    pending = session.submit(TEXT, (), 1.0, 5.0)
    session.outbox.clear()
    busy = ErrorMessage(pending.request.id, "busy", True, "full", 0.1)
    session.receive(encode(busy), 1.1)
    session.tick(1.11)
    assert not [m for m in sent(session) if isinstance(m, Request)]
    session.tick(1.5)
    assert [m for m in sent(session) if isinstance(m, Request)] == [pending.request]
    session.receive(encode(busy), 1.6)
    session.tick(6.1)
    with pytest.raises(DeadlineError, match="within 5 s"):
        pending.answer()


def test_a_deadline_cancels() -> None:
    session = greeted()
    pending = session.submit(TEXT, (), 1.0, 5.0)
    session.tick(5.9)
    assert not pending.done
    session.outbox.clear()
    session.tick(6.0)
    assert isinstance(pending.error, DeadlineError)
    assert Cancel(id=pending.request.id) in sent(session)


def test_silence_is_loss_and_busy_is_not() -> None:
    session = greeted()
    pending = session.submit(TEXT, (), 1.0, 1000.0)
    session.tick(PING_EVERY_S + 1)
    assert any(isinstance(message, Ping) for message in sent(session))
    for second in range(2, 42):
        if second == SILENCE_S:
            session.receive(pong(), second)
        assert not pending.done
        session.tick(second)
    with pytest.raises(ServiceLostError, match="silent"):
        pending.answer()


def test_who_was_away_does_not_call_the_other_side_silent() -> None:
    """Loading models, a long replay, a suspended laptop: nobody asked, so nobody answered."""
    session = greeted()
    pending = session.submit(TEXT, (), 1.0, 9000.0)
    session.tick(2.0)
    session.tick(600.0)
    assert session.error is None
    assert any(isinstance(message, Ping) for message in sent(session))
    for second in range(601, 600 + int(SILENCE_S)):
        session.tick(second)
    assert not pending.done
    session.tick(600.0 + SILENCE_S + 1)
    assert isinstance(pending.error, ServiceLostError)


def test_another_incarnation_is_loss() -> None:
    session = greeted()
    session.receive(pong("two"), 1.0)
    assert isinstance(session.error, ServiceLostError)


def test_bye_ends_what_is_under_way_and_what_comes_after() -> None:
    session = greeted()
    before = session.submit(TEXT, (), 1.0, 5.0)
    session.receive(encode(Bye(reason="told to stop")), 1.1)
    after = session.submit(TEXT, (), 1.2, 5.0)
    for pending in (before, after):
        with pytest.raises(ServiceLostError, match="told to stop"):
            pending.answer()


class SessionMachine(RuleBasedStateMachine):
    """Any order of events: every request ends exactly once, and nothing comes back to life."""

    def __init__(self) -> None:
        super().__init__()
        self.session = greeted()
        self.now = 1.0
        self.pendings: list[Pending] = []
        self.ended: dict[bytes, object] = {}

    @rule(ttl=st.floats(0.5, 50))
    def submit(self, ttl: float) -> None:
        self.pendings.append(self.session.submit(TEXT, (), self.now, ttl))

    @rule(step=st.floats(0, 8))
    def pass_time(self, step: float) -> None:
        self.now += step
        self.session.tick(self.now)

    @precondition(lambda self: self.pendings)
    @rule(data=st.data(), code=st.sampled_from(["reply", "busy", "bad_request", "model_failed"]))
    def answer(self, data: st.DataObject, code: str) -> None:
        pending = data.draw(st.sampled_from(self.pendings))
        message = reply(pending.request.id)
        if code != "reply":
            message = encode(ErrorMessage(pending.request.id, code, True, "no", 0.1))
        self.session.receive(message, self.now)

    @rule(frames=st.lists(st.binary(max_size=40), max_size=3))
    def noise(self, frames: list[bytes]) -> None:
        self.session.receive(frames, self.now)

    @rule()
    def sign_of_life(self) -> None:
        self.session.receive(pong(), self.now)

    @rule()
    def lose(self) -> None:
        self.session.fail(ServiceLostError("gone"))

    @invariant()
    def an_end_is_an_end(self) -> None:
        for pending in self.pendings:
            assert pending.result is None or pending.error is None
            if pending.done:
                end = pending.result or pending.error
                assert self.ended.setdefault(pending.request.id, end) is end
        under_way = [pending for pending in self.pendings if not pending.done]
        assert self.session.outstanding == len(under_way)

    def teardown(self) -> None:
        self.session.tick(self.now + 60)
        assert all(pending.done for pending in self.pendings)


TestSession = SessionMachine.TestCase
