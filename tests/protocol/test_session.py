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
    Generate,
    Hello,
    Method,
    Ping,
    Pong,
    Reply,
    Request,
    Scores,
    ServiceInfo,
    Welcome,
)
from protocol.patience import PATIENCE
from protocol.session import Pending, Session
from protocol.tensors import Inline, TensorWriter

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


def pong(
    incarnation: str = "one", nonce: int = 1, held: int = 9, age_s: float = 0.5
) -> list[bytes | memoryview]:
    return encode(Pong(nonce, incarnation, "busy", 3, age_s, 10.0, 12.0, 99, held))


def requests(session: Session) -> list[bytes]:
    """Ids of the requests that were sent since; the outbox is then empty."""
    found = [message.id for message in sent(session) if isinstance(message, Request)]
    session.outbox.clear()
    return found


def busy(request_id: bytes, after_s: float = 0.1) -> list[bytes | memoryview]:
    return encode(ErrorMessage(request_id, "busy", True, "full", after_s))


def texts(rows: int) -> EmbedTexts:
    return EmbedTexts(texts=("a car",) * rows)


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


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (EmbedTexts(texts=("a" * 5_000,)), "texts"),
        (Generate("z", Inline("float32", (1,), bytes(4)), truncation_psi=3.0), "truncation_psi"),
    ],
)
def test_a_request_over_a_limit_is_refused_before_it_is_sent(call: Method, where: str) -> None:
    session = greeted()
    with pytest.raises(ProtocolError, match=where):
        session.submit(call, (), 1.0, 120.0)
    assert not session.outbox
    assert session.rows == 0


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
    pending = session.submit(TEXT, (), 1.0, 50.0)
    assert requests(session) == [pending.request.id]
    for second in range(2, 12):
        session.receive(busy(pending.request.id), second)
        assert pending.retry_at is not None
        session.tick(pending.retry_at)
        assert requests(session) == [pending.request.id]
    session.receive(busy(pending.request.id, 60.0), 50.5)
    session.tick(51.0)
    with pytest.raises(DeadlineError, match="within 50 s"):
        pending.answer()


def test_pauses_have_full_jitter_and_grow_to_a_bound() -> None:
    for attempt in (1, 3, 99):
        longest = min(PATIENCE.most_retry_s, PATIENCE.retry_s * 2**attempt)
        pauses = [PATIENCE.pause_s(attempt) for _ in range(300)]
        assert min(pauses) < 0.1 * longest
        assert 0.9 * longest < max(pauses) <= longest
    assert max(PATIENCE.pause_s(9, 30.0) for _ in range(100)) > PATIENCE.most_retry_s


def test_no_more_rows_are_outstanding_than_the_credit() -> None:
    session = greeted()  # to 64 rows
    first, second, third = (session.submit(texts(30), (), 1.0, 50.0) for _ in range(3))
    assert requests(session) == [first.request.id, second.request.id]
    person = session.submit(texts(2), (), 1.0, 50.0, interactive=True)
    assert requests(session) == [person.request.id]  # whoever waits has a queue of its own
    session.receive(busy(first.request.id), 1.1)
    assert requests(session) == []
    session.receive(reply(second.request.id), 1.2)
    assert requests(session) == [third.request.id]
    large = session.submit(texts(200), (), 1.3, 50.0)
    session.receive(reply(first.request.id), 1.4)
    assert requests(session) == []
    session.cancel(third)
    assert requests(session) == [large.request.id]  # alone, since it can never be less
    assert session.rows == 202


def test_what_was_lost_on_the_way_is_sent_again_with_its_id() -> None:
    session = greeted()
    first, second = (session.submit(TEXT, (), 1.0, 50.0) for _ in range(2))
    session.ping(1.0)
    late = session.submit(TEXT, (), 1.1, 50.0)
    session.outbox.clear()
    session.receive(pong(nonce=2, held=2), 1.2)
    assert requests(session) == []  # the third was sent after that PING
    session.receive(reply(first.request.id), 1.3)
    session.receive(pong(nonce=2, held=1), 1.3)
    assert requests(session) == []
    session.receive(pong(nonce=2, held=0), 1.4)
    hello, *again = sent(session)
    assert isinstance(hello, Hello)
    assert again == [second.request, late.request]
    session.outbox.clear()
    session.receive(pong(nonce=2, held=0), 1.5)
    assert requests(session) == []  # those were sent after it


def test_a_service_that_does_not_know_us_is_greeted_again() -> None:
    session = greeted()
    pending = session.submit(TEXT, (), 1.0, 50.0)
    session.outbox.clear()
    session.receive(encode(ErrorMessage(pending.request.id, "lost", False, "HELLO first")), 1.1)
    hello, again = sent(session)
    assert isinstance(hello, Hello)
    assert again == pending.request
    session.receive(encode(Welcome(version=1, incarnation="two", info=INFO)), 1.2)
    with pytest.raises(ServiceLostError, match="replaced"):
        pending.answer()


def test_states() -> None:
    session = Session("ipc:///s", "clip", "test")
    session.start(0.0)
    assert session.state == "starting"
    session.tick(0.1)
    session.outbox.clear()
    session.tick(PATIENCE.ping_s)
    assert isinstance(sent(session)[0], Hello)  # the first may have been dropped
    session = greeted()
    assert session.state == "ready"
    session.receive(pong(), 1.0)
    session.tick(1.0)
    assert session.state == "busy"
    session.receive(pong(age_s=PATIENCE.hung_s + 1), 1.5)
    assert session.state == "hung"  # its batches take 10 ms
    session.receive(pong(), 2.0)
    assert session.state == "busy"
    for tenth in range(20, 21 + int(10 * PATIENCE.quiet_s)):
        session.outbox.clear()
        session.tick(tenth / 10)
    assert session.state == "busy"
    session.tick(6.5)
    assert session.state == "hung"
    session.receive(pong(), 6.6)
    assert session.state == "busy"
    pending = session.submit(TEXT, (), 6.6, 50.0)
    session.receive(encode(ErrorMessage(pending.request.id, "draining", True, "leaving")), 6.7)
    assert session.state == "draining"
    session.fail(ServiceLostError("gone"))
    assert session.state == "lost"


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
    session.outbox.clear()
    session.tick(PATIENCE.ping_s + 1)
    assert any(isinstance(message, Ping) for message in sent(session))
    for second in range(2, 42):
        if second == PATIENCE.silence_s:
            session.receive(pong(), second)
        assert not pending.done
        session.tick(second)
    with pytest.raises(ServiceLostError, match="silent"):
        pending.answer()


def test_who_was_away_does_not_call_the_other_side_silent() -> None:
    """Loading models, a long replay, a suspended laptop: nobody asked, so nobody answered."""
    session = greeted()
    pending = session.submit(TEXT, (), 1.0, 9000.0)
    session.outbox.clear()
    session.tick(2.0)
    session.outbox.clear()
    session.tick(600.0)
    assert session.error is None
    assert any(isinstance(message, Ping) for message in sent(session))
    for second in range(601, 600 + int(PATIENCE.silence_s)):
        session.tick(second)
    assert not pending.done
    session.tick(600.0 + PATIENCE.silence_s + 1)
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

    @rule(ttl=st.floats(0.5, 50), rows=st.integers(1, 40))
    def submit(self, ttl: float, rows: int) -> None:
        self.pendings.append(self.session.submit(texts(rows), (), self.now, ttl))

    @rule(step=st.floats(0, 8))
    def pass_time(self, step: float) -> None:
        self.now += step
        self.session.tick(self.now)

    @precondition(lambda self: self.pendings)
    @rule(data=st.data(), code=st.sampled_from(["reply", "busy", "bad_request", "lost"]))
    def answer(self, data: st.DataObject, code: str) -> None:
        pending = self.pendings[data.draw(st.integers(0, len(self.pendings) - 1))]
        message = reply(pending.request.id)
        if code != "reply":
            message = encode(ErrorMessage(pending.request.id, code, True, "no", 0.1))
        self.session.receive(message, self.now)

    @precondition(lambda self: self.pendings)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.session.cancel(self.pendings[data.draw(st.integers(0, len(self.pendings) - 1))])

    @rule(frames=st.lists(st.binary(max_size=40), max_size=3))
    def noise(self, frames: list[bytes]) -> None:
        self.session.receive(frames, self.now)

    @rule(held=st.integers(0, 9), nonce=st.integers(1, 20))
    def sign_of_life(self, held: int, nonce: int) -> None:
        self.session.receive(pong(held=held, nonce=nonce), self.now)

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
        assert len(self.session._pending) == len(under_way)

    @invariant()
    def credit_is_kept(self) -> None:
        rows = [p.rows for p in self.pendings if not p.done and p.before_ping is not None]
        assert sum(rows) <= INFO.queue_rows

    def teardown(self) -> None:
        self.session.tick(self.now + 60)
        assert all(pending.done for pending in self.pendings)


TestSession = SessionMachine.TestCase
