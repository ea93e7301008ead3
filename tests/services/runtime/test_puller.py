"""Clip fetches pixels from the generator where it cannot map them; a failure costs one request."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from protocol import keys
from protocol.client import Client, Service
from protocol.errors import ConfigError, SlotLostError
from protocol.messages import Embeddings, EmbedImages, Fetch, Pictures, Probe, Probed, Request
from protocol.session import Pending
from protocol.tensors import Array, Pool, Slot, TensorWriter
from services.runtime import puller
from services.runtime.puller import check_owner
from services.runtime.role import Role
from services.runtime.server import Server
from tests.services.runtime.roles import DrawRole, SeeRole
from tests.services.runtime.test_handoff import check, connect, draw, evaluate, genomes, leased
from tests.services.runtime.waiting import PATIENT, until

Serve = Callable[..., Server]


@pytest.fixture(autouse=True)
def no_shared_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pools of this test have no file, as if their owner were on another host."""
    monkeypatch.setenv("GLASSHOUSE_SHM", str(tmp_path / "none"))
    monkeypatch.setattr(puller, "PULL_S", 120.0)


def embed(client: Client, clip: Service, ref: Slot | None, ttl_s: float = 120.0) -> Pending:
    assert ref is not None
    return client.submit(clip, EmbedImages(images=ref), ttl_s=ttl_s)


def embeddings(client: Client, pending: Pending) -> Array:
    client.wait([pending])
    answer = pending.answer()
    assert isinstance(answer.reply.result, Embeddings)
    return answer.tensor(answer.reply.result.embeddings)


def clip_slot(pictures: Pictures) -> Slot:
    assert isinstance(pictures.clip_images, Slot)
    return pictures.clip_images


def introduce(client: Client, clip: Service, pool: Pool, endpoint: str) -> Probed:
    result = client.call(clip, Probe(pool=pool, endpoint=endpoint)).answer().reply.result
    assert isinstance(result, Probed)
    return result


def pool_of(generator: Service) -> Pool:
    assert generator.session.welcome is not None
    assert generator.session.welcome.pool is not None
    return generator.session.welcome.pool


def met(client: Client, generator: Service, clip: Service) -> bool:
    """Whether clip has greeted the generator."""
    return introduce(client, clip, pool_of(generator), generator.session.endpoint).reachable


def test_clip_fetches_what_it_cannot_map(serve: Serve, client: Client) -> None:
    draws, sees = serve(DrawRole()), serve(SeeRole())
    generator, clip = connect(client, draws, sees)
    assert not client.can_read(pool_of(generator))
    assert met(client, generator, clip)
    drawn, result = draw(client, generator)
    assert not clip_slot(result).shared
    found = embeddings(client, embed(client, clip, clip_slot(result)))
    np.testing.assert_array_equal(found, genomes(4))
    client.release(generator, drawn)
    until(client, lambda: leased(draws) == 0)
    lost = embed(client, clip, clip_slot(result))
    with pytest.raises(SlotLostError, match="not leased"):
        embeddings(client, lost)


def test_a_client_fetches_for_itself(serve: Serve, client: Client) -> None:
    generator = client.connect(serve(DrawRole()).endpoint, "generator")
    _, result = draw(client, generator)
    answer = client.call(generator, Fetch(slot=clip_slot(result))).answer()
    found = answer.tensor(answer.reply.result.tensor)  # type: ignore[union-attr] # the session has checked
    np.testing.assert_array_equal(found[:, 0, 0], genomes(4))


def test_only_who_introduced_an_owner_makes_clip_fetch(serve: Serve, client: Client) -> None:
    draws, sees = serve(DrawRole()), serve(SeeRole())
    generator, clip = connect(client, draws, sees)
    _, result = draw(client, generator)
    assert met(client, generator, clip)
    with Client("other", PATIENT) as other:
        stranger = other.connect(sees.endpoint, "clip")
        pending = embed(other, stranger, clip_slot(result))
        with pytest.raises(SlotLostError):
            embeddings(other, pending)


def test_an_impostor_is_not_reachable(serve: Serve, client: Client) -> None:
    draws, other, sees = serve(DrawRole()), serve(DrawRole()), serve(SeeRole())
    generator, clip = connect(client, draws, sees)
    pool, _ = pool_of(generator), draw(client, generator)
    forged = Pool(pool.name, secrets.token_bytes(16))
    assert introduce(client, clip, forged, draws.endpoint) == Probed(readable=False)
    assert introduce(client, clip, pool, other.endpoint) == Probed(readable=False)
    _, result = draw(client, generator)
    with pytest.raises(SlotLostError):
        embeddings(client, embed(client, clip, clip_slot(result)))
    assert introduce(client, clip, pool, draws.endpoint).reachable
    np.testing.assert_array_equal(
        embeddings(client, embed(client, clip, clip_slot(result))), genomes(4)
    )


class Silent(Server):
    """Says WELCOME and PONG, and never hands anything over."""

    def _accept(self, peer: bytes, request: Request, tensors: list[memoryview]) -> None:
        if not isinstance(request.call, Fetch):
            super()._accept(peer, request, tensors)


class Liar(Server):
    """Hands over something else."""

    def __init__(self, role: Role, endpoint: str) -> None:
        super().__init__(role, endpoint)
        self.shelf.read = lambda _: np.zeros((4, 3), np.float32)  # type: ignore[method-assign] # it lies


@pytest.mark.parametrize("owner", [Silent, Liar])
def test_an_owner_that_does_not_keep_its_word_costs_one_request(
    serve: Serve, client: Client, owner: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    draws, sees = serve(DrawRole(), owner), serve(SeeRole())
    generator, clip = connect(client, draws, sees)
    assert met(client, generator, clip)
    monkeypatch.setattr(puller, "PULL_S", 0.2)
    _, result = draw(client, generator)
    with pytest.raises(SlotLostError, match="could not be fetched"):
        embeddings(client, embed(client, clip, clip_slot(result)))
    writer = TensorWriter()
    call = EmbedImages(images=writer.add(np.full((2, 16, 16, 3), 9, np.uint8)))
    np.testing.assert_array_equal(
        embeddings(client, client.submit(clip, call, writer.frames)), np.full((2, 3), 9)
    )


def test_an_owner_that_leaves_in_mid_pull_costs_one_request(serve: Serve, client: Client) -> None:
    draws, sees = serve(DrawRole(), Silent), serve(SeeRole())
    generator, clip = connect(client, draws, sees)
    assert met(client, generator, clip)
    _, result = draw(client, generator)
    pending = embed(client, clip, clip_slot(result))
    until(client, lambda: not sees._intake.puller.idle)
    draws.drain("it leaves")
    with pytest.raises(SlotLostError) as caught:
        embeddings(client, pending)
    assert caught.value.retryable
    again = serve(DrawRole())
    generator = client.connect(again.endpoint, "generator")
    assert met(client, generator, clip)
    _, result = draw(client, generator)
    np.testing.assert_array_equal(
        embeddings(client, embed(client, clip, clip_slot(result))), genomes(4)
    )


def test_a_cancelled_pull_is_forgotten(serve: Serve, client: Client) -> None:
    draws, sees = serve(DrawRole(), Silent), serve(SeeRole())
    generator, clip = connect(client, draws, sees)
    assert met(client, generator, clip)
    _, result = draw(client, generator)
    pending = embed(client, clip, clip_slot(result))
    until(client, lambda: not sees._intake.puller.idle)
    client.cancel(clip, pending)
    until(client, lambda: sees._intake.puller.idle)
    assert clip.session.strays == 0


def test_bytes_on_their_way_are_bounded(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws, sees = serve(DrawRole(), Silent), serve(SeeRole())
    generator, clip = connect(client, draws, sees)
    assert met(client, generator, clip)
    _, result = draw(client, generator)
    monkeypatch.setattr(puller, "MAX_PULLED_BYTES", 1.5 * 4 * 16 * 16 * 3)
    first, second = (embed(client, clip, clip_slot(result)) for _ in range(2))
    until(client, lambda: second.busy)
    assert not first.done
    huge = Slot("uint8", (2**40, 2**20), pool_of(generator).name, 0, 1)
    with Client("other", PATIENT) as other:
        its_clip = other.connect(sees.endpoint, "clip")
        introduce(other, its_clip, pool_of(generator), draws.endpoint)
        refused = embed(other, its_clip, huge)
        until(other, lambda: refused.busy)


def test_many_owners_are_refused(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(puller, "MAX_OWNERS", 2)
    draws, sees = serve(DrawRole()), serve(SeeRole())
    generator, clip = connect(client, draws, sees)
    for digit in "ab":
        introduce(client, clip, Pool(digit * 16, bytes(16)), draws.endpoint)
    call = Probe(pool=pool_of(generator), endpoint=draws.endpoint)
    pending = client.submit(clip, call)
    until(client, lambda: pending.busy)


@pytest.mark.usefixtures("keys_folder")
def test_a_service_speaks_only_to_endpoints_that_it_may(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = serve(DrawRole()).endpoint
    check_owner(here, local=True)
    check_owner("tcp://127.0.0.1:7000", local=True)
    (tmp_path / "file").touch()
    bad = ["", "ipc://relative", f"ipc://{tmp_path}/file", f"ipc://{tmp_path}/none",
           "tcp://10.0.0.5:7000", "tcp://example.org:80"]  # fmt: skip
    for endpoint in bad:
        with pytest.raises(ConfigError):
            check_owner(endpoint, local=True)
    for endpoint in (here, "tcp://127.0.0.1:7000", "tcp://localhost:1"):
        with pytest.raises(ConfigError, match="only clients on it may name"):
            check_owner(endpoint, local=False)
    keys.trust("tcp://10.0.0.5:7000", "0" * 64)
    check_owner("tcp://10.0.0.5:7000", local=False)
    somebody = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    with pytest.raises(ConfigError, match="not a socket of this user"):
        check_owner(here, local=True)


def test_what_may_not_be_spoken_to_is_not_reachable(serve: Serve, client: Client) -> None:
    draws, sees = serve(DrawRole()), serve(SeeRole())
    generator, clip = connect(client, draws, sees)
    found = introduce(client, clip, pool_of(generator), "tcp://10.255.255.1:7000")
    assert found == Probed(readable=False)


def test_a_generation_is_the_same_when_its_pictures_are_fetched(
    serve: Serve, client: Client
) -> None:
    draws, sees = serve(DrawRole()), serve(SeeRole())
    generator, clip = connect(client, draws, sees)
    drawn: list[bool] = []
    put = draws.shelf.slots.put  # type: ignore[union-attr] # a generator has a pool

    def noted(*args: object) -> Slot | None:
        ref = put(*args)  # type: ignore[arg-type] # passed through
        drawn.append(ref is not None and not ref.shared)
        return ref

    draws.shelf.slots.put = noted  # type: ignore[union-attr, method-assign] # the same
    check(evaluate(client, generator, clip))
    assert drawn == [True] * 6  # pictures and views of three micro-batches
    until(client, lambda: leased(draws) == 0)
