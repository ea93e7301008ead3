"""The kit passes a service that keeps the specification, and names what others break."""

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from protocol.errors import ProtocolError
from protocol.messages import (
    Cancel,
    ErrorMessage,
    Message,
    Ping,
    Release,
    Reply,
    ScorerInfo,
    Welcome,
)
from protocol.tensors import Array
from services.cli import app
from services.conformance.bench import Bench, Violation
from services.conformance.checks import CHECKS, run
from services.runtime.role import Role
from services.runtime.server import Server
from services.scorer.role import ScorerRole, load_scorer
from tests.services.runtime.roles import DrawRole

Serve = Callable[..., str]
PATIENT_S = 120.0  # no verdict waits for it; a loaded machine must not change one
PATIENTLY = ["--timeout", str(PATIENT_S)]
pytestmark = pytest.mark.usefixtures("shm_folder")


def mean(images: Array) -> Array:
    return images.mean(axis=(1, 2, 3))


def scorer(score: Callable[[Array], Array] = mean) -> ScorerRole:
    info = load_scorer(f"{__file__}:mean", ScorerInfo(4, 4), batch_rows=4).info
    return ScorerRole(score, info)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    running: list[tuple[Server, threading.Thread]] = []

    def start(role: Role, server_class: type[Server] = Server) -> str:
        server = server_class(role, f"ipc://{tmp_path}/{len(running)}.sock")
        thread = threading.Thread(target=server.run)
        thread.start()
        running.append((server, thread))
        return server.endpoint

    yield start
    for server, thread in running:
        server.drain("the test is over", within_s=1.0)
        thread.join(120)


def violated(endpoint: str) -> set[str]:
    with Bench(endpoint, PATIENT_S) as bench:
        bench.find_role()
        return {name for name, violation in run(bench) if violation}


def test_our_own_services_keep_it(serve: Serve) -> None:
    assert violated(serve(scorer())) == set()
    assert len(CHECKS) >= 15


def test_the_command_says_so(serve: Serve) -> None:
    done = CliRunner().invoke(app, ["check", serve(scorer()), *PATIENTLY], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.count("\nok ") == len(CHECKS)


def test_the_command_fails_on_violations(serve: Serve) -> None:
    neighbours = scorer(lambda images: mean(images) + images.max())
    with pytest.raises(ProtocolError, match="1 checks are violated"):
        CliRunner().invoke(app, ["check", serve(neighbours), *PATIENTLY], catch_exceptions=False)


def test_a_place_in_the_batch_that_matters_is_found(serve: Serve) -> None:
    place = scorer(lambda images: mean(images) + np.arange(len(images)))
    assert violated(serve(place)) == {"gives a row the same answer wherever it stands"}


def test_a_role_that_checks_nothing_is_found(serve: Serve) -> None:
    assert violated(serve(DrawRole())) == {"refuses wrong shapes and values"}


class Wrong(Server):
    """Breaks what it says by changing messages on their way out."""

    def __init__(self, role: Role, endpoint: str) -> None:
        super().__init__(role, endpoint)
        self._say = self.peers.send
        self.peers.send = self.say  # type: ignore[method-assign] # a service that lies

    def change(self, message: Message) -> Message | None:
        return message

    def say(self, peer: bytes, message: Message, frames: Sequence[memoryview] = ()) -> None:
        changed = self.change(message)
        if changed is not None:
            self._say(peer, changed, frames)


class AnswersTwice(Wrong):
    def say(self, peer: bytes, message: Message, frames: Sequence[memoryview] = ()) -> None:
        for _ in range(2 if isinstance(message, Reply) else 1):
            self._say(peer, message, frames)


class NeverRefuses(Wrong):
    def change(self, message: Message) -> Message | None:
        return None if isinstance(message, ErrorMessage) else message


class OtherDigest(Wrong):
    def change(self, message: Message) -> Message | None:
        if isinstance(message, Reply):
            return Reply(message.id, "blake2b:other", 0.0, 0.0, message.result)
        return message


class AnybodyCancels(Wrong):
    def __init__(self, role: Role, endpoint: str) -> None:
        cancelled = self.cancelled = threading.Event()
        self.cancels = 0

        def when_cancelled(images: Array) -> Array:
            cancelled.wait(PATIENT_S)  # something is left to cancel
            return mean(images)

        super().__init__(scorer(when_cancelled), endpoint)

    def _handle(self, peer: bytes, message: Message, tensors: list[memoryview]) -> None:
        if isinstance(message, Cancel):
            for known in list(self.peers._names):
                self.batcher.forget(known, message.id)
            self.cancels += 1
            if self.cancels == 3:  # all that the check sends
                self.cancelled.set()
        super()._handle(peer, message, tensors)


class NewEachTime(Wrong):
    def change(self, message: Message) -> Message | None:
        if isinstance(message, Welcome):
            return Welcome(1, secrets.token_hex(8), message.info)
        return message


class KnowsEverybody(Wrong):
    def _handle(self, peer: bytes, message: Message, tensors: list[memoryview]) -> None:
        if not isinstance(message, Ping):
            self.peers.greet(peer, "somebody")
        super()._handle(peer, message, tensors)


class NeverReleases(Server):
    def _handle(self, peer: bytes, message: Message, tensors: list[memoryview]) -> None:
        if not isinstance(message, Release):
            super()._handle(peer, message, tensors)


class HandsOverAnything(Server):
    def __init__(self, role: Role, endpoint: str) -> None:
        super().__init__(role, endpoint)
        self.shelf.read = lambda ref: np.zeros(ref.shape, ref.dtype)  # type: ignore[method-assign] # it lies


@pytest.mark.parametrize(
    ("server", "broken"),
    [(NeverReleases, "hands over slots"), (HandsOverAnything, "hands over slots"),
     (NeverReleases, "leases slots")],
)  # fmt: skip
def test_broken_pools_are_found(serve: Serve, server: type[Server], broken: str) -> None:
    with Bench(serve(DrawRole(), server), PATIENT_S) as bench:
        bench.find_role()
        with pytest.raises(Violation):
            CHECKS[broken](bench)


@pytest.mark.parametrize(
    ("server", "broken"),
    [
        (AnswersTwice, "answers each request once"),
        (OtherDigest, "describes itself as in welcome"),
        (AnybodyCancels, "cancels"),
        (NewEachTime, "greets with who it is"),
        (KnowsEverybody, "refuses requests before hello"),
    ],
)
def test_broken_services_are_found(serve: Serve, server: type[Server], broken: str) -> None:
    with Bench(serve(scorer(), server), PATIENT_S) as bench:
        bench.find_role()
        with pytest.raises(Violation):
            CHECKS[broken](bench)


def test_a_service_that_never_refuses_is_found(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is that nothing comes, so only that is waited for, by a peer that is known."""
    with Bench(serve(scorer(), NeverRefuses), PATIENT_S, "scorer") as bench:
        peer = bench.peer()
        peer._timeout_s = 0.2
        monkeypatch.setattr(bench, "peer", lambda: peer)
        with pytest.raises(Violation, match="wanted ErrorMessage, but no answer came in time"):
            CHECKS["refuses garbage"](bench)


def test_one_that_computes_where_it_should_listen_is_found(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.conformance.checks.PONG_S", 0.0)  # as if each took too long
    with Bench(serve(scorer()), PATIENT_S) as bench:
        bench.find_role()
        with pytest.raises(Violation, match="while it computes, PONG comes"):
            CHECKS["answers pings while it computes"](bench)


def test_what_is_no_service_is_named(tmp_path: Path) -> None:
    with Bench(f"ipc://{tmp_path}/none.sock", 0.2) as bench, pytest.raises(Violation):
        bench.find_role()
