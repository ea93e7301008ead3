"""Who is asked, and who next when one is lost: the conversations are real, there is no socket."""

from collections.abc import Sequence

import numpy as np
import pytest

from orchestrator.fleet.replicas import Call, Replicas
from protocol.client import Client, Service
from protocol.errors import (
    BadRequestError,
    ProtocolError,
    ServiceLostError,
    WeightsError,
)
from protocol.frames import encode
from protocol.messages import (
    ClipInfo,
    Embeddings,
    EmbedTexts,
    ErrorMessage,
    Method,
    Pong,
    Reply,
    ServiceInfo,
    Welcome,
)
from protocol.patience import PATIENCE
from protocol.session import Pending, Session
from protocol.tensors import TensorWriter

ROWS = 4


class Wireless(Client):
    """A client whose conversations go nowhere."""

    def __init__(self) -> None:
        self.patience = PATIENCE

    def submit(
        self,
        service: Service,
        call: Method,
        frames: Sequence[memoryview] = (),
        ttl_s: float | None = None,
        *,
        slots: bool = False,
        interactive: bool = False,
    ) -> Pending:
        del ttl_s
        return service.session.submit(call, frames, 0.0, 99.0, slots=slots, interactive=interactive)

    def cancel(self, service: Service, pending: Pending) -> None:
        service.session.cancel(pending)

    def disconnect(self, service: Service) -> None:
        service.session.fail(ServiceLostError("disconnected"))


def service(name: str, digest: str = "blake2b:0") -> Service:
    session = Session(f"ipc:///{name}", "clip", "test")
    session.start(0.0)
    info = ServiceInfo("see", digest, "cpu", ROWS, 64, ClipInfo(16, 4, 8))
    session.receive(encode(Welcome(1, name, info)), 0.0)
    found = Service(session, None)  # type: ignore[arg-type] # there is no socket
    says(found, "ready")
    return found


def says(one: Service, state: str) -> None:
    incarnation = one.session.welcome.incarnation if one.session.welcome else ""
    pong = Pong(0, incarnation, state, 0, 0.0, 0.0, 0.0, 0, 99)  # type: ignore[arg-type] # a state
    one.session.receive(encode(pong), 0.0)


def answers(one: Service, call: Call, ms: float = 1.0, digest: str = "blake2b:0") -> None:
    assert call.service is one
    assert call.pending is not None
    writer = TensorWriter()
    result = Embeddings(embeddings=writer.add(np.zeros((ROWS, 4), np.float32)))
    reply = Reply(call.pending.request.id, digest, 0.0, ms, result)
    one.session.receive(encode(reply, writer.frames), 0.0)


def refuses(one: Service, call: Call, code: str) -> None:
    assert call.pending is not None
    one.session.receive(encode(ErrorMessage(call.pending.request.id, code, True, "no")), 0.0)


def texts() -> EmbedTexts:
    return EmbedTexts(texts=("a car",) * ROWS)


@pytest.fixture
def three() -> tuple[Replicas, list[Service]]:
    services = [service(name) for name in ("one", "two", "three")]
    return Replicas.of(Wireless(), *services), services


def test_calls_go_where_they_are_answered_first(three: tuple[Replicas, list[Service]]) -> None:
    replicas, (one, two, slow) = three
    calls = [replicas.submit(texts()) for _ in range(3)]
    assert [call.service for call in calls] == [one, two, slow]
    for call, ms in zip(calls, (4.0, 4.0, 40.0), strict=True):
        assert call.service is not None
        answers(call.service, call, ms)
    replicas.tend()
    assert all(call.done for call in calls)
    asked = [replicas.submit(texts()).service for _ in range(21)]
    assert asked.count(slow) == 1  # it takes ten times as long


def test_what_a_lost_service_held_goes_to_others(three: tuple[Replicas, list[Service]]) -> None:
    replicas, (one, two, other) = three
    calls = [replicas.submit(texts()) for _ in range(3)]
    one.session.fail(ServiceLostError("killed"))
    refuses(two, calls[1], "draining")
    replicas.tend()
    assert [call.service for call in calls] == [other, other, other]
    assert [call.lost for call in calls] == [1, 0, 0]
    assert replicas.usable == [replicas.replicas[-1]]
    for call in calls:
        answers(other, call)
    replicas.tend()
    for call in calls:
        assert call.answer().reply.digest == "blake2b:0"
    assert replicas.news() == ["killed"]


def test_a_hung_service_keeps_nothing_if_others_can_do_it(
    three: tuple[Replicas, list[Service]],
) -> None:
    replicas, (one, two, other) = three
    call = replicas.submit(texts())
    late = call.pending
    says(one, "hung")
    replicas.tend()
    assert call.service is two
    for service in (two, other):
        says(service, "hung")
    replicas.tend()
    assert call.service is two  # nobody could do it sooner
    says(one, "ready")
    assert late is not None
    assert late.done
    replicas.tend()
    assert call.service is one
    assert not call.done


def test_errors_that_asking_again_would_not_mend(three: tuple[Replicas, list[Service]]) -> None:
    replicas, (one, two, _) = three
    first, second = replicas.submit(texts()), replicas.submit(texts())
    refuses(one, first, "bad_request")
    answers(two, second, digest="blake2b:1")
    replicas.tend()
    with pytest.raises(BadRequestError):
        first.answer()
    with pytest.raises(ProtocolError, match="another model than it announced"):
        second.answer()


def test_rows_over_which_many_are_lost_are_given_up() -> None:
    services = [service(str(number)) for number in range(PATIENCE.attempts + 1)]
    replicas = Replicas.of(Wireless(), *services)
    call = replicas.submit(texts())
    while not call.done:
        assert call.service is not None
        call.service.session.fail(ServiceLostError("killed"))
        replicas.tend()
    with pytest.raises(ServiceLostError, match="4 services in a row were lost over the same 4 row"):
        call.answer()
    assert len(replicas.usable) == 1


def test_without_hope_it_ends(three: tuple[Replicas, list[Service]]) -> None:
    replicas, services = three
    replicas.submit(texts())
    for one in services:
        one.session.fail(ServiceLostError("killed"))
    with pytest.raises(ServiceLostError, match="killed"):
        replicas.tend()


def test_while_there_is_nobody_a_call_waits(three: tuple[Replicas, list[Service]]) -> None:
    replicas, services = three
    waited: list[bool] = []
    replicas.on_wait = lambda: waited.append(True)
    for one in services:
        says(one, "draining")
    call = replicas.submit(texts())
    replicas.tend()
    assert (call.service, call.done, waited) == (None, False, [True])
    says(services[1], "ready")
    replicas.tend()
    assert call.service is services[1]


def test_another_model_is_refused() -> None:
    same, other = service("same"), service("other", "blake2b:1")
    with pytest.raises(WeightsError, match=r"holds see \(blake2b:1\), but this run uses see"):
        Replicas.of(Wireless(), same, other)
