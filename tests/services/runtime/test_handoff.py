"""Pictures pass from generator to clip without the orchestrator, and losing them costs a retry."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orchestrator.evaluation.evaluator import Evaluation, Evaluator
from orchestrator.fleet.ensemble import Ensemble
from orchestrator.fleet.replicas import Replicas
from protocol.client import Client, Service
from protocol.errors import SlotLostError
from protocol.messages import EmbedImages, Generate, Pictures
from protocol.session import Pending
from protocol.tensors import Array, Frame, Slot, TensorWriter
from services.runtime.role import Options, Role
from services.runtime.server import Server
from tests.services.runtime.roles import DrawRole, SeeRole
from tests.services.runtime.waiting import PATIENT, until

Serve = Callable[[Role], Server]
pytestmark = pytest.mark.usefixtures("shm_folder")


def genomes(rows: int = 10) -> Array:
    return np.random.default_rng(rows).integers(0, 256, (rows, 3)).astype(np.float32)


def draw(client: Client, generator: Service, rows: int = 4) -> tuple[Pending, Pictures]:
    writer = TensorWriter()
    call = Generate(space="z", genomes=writer.add(genomes(rows)), clip_size=16)
    pending = client.submit(generator, call, writer.frames, slots=True)
    client.wait([pending])
    result = pending.answer().reply.result
    assert isinstance(result, Pictures)
    return pending, result


def leased(server: Server) -> int:
    assert server.shelf.slots is not None
    return len(server.shelf.slots._leased)


def connect(client: Client, draws: Server, sees: Server) -> tuple[Service, Service]:
    return client.connect(draws.endpoint, "generator"), client.connect(sees.endpoint, "clip")


def evaluate(client: Client, generator: Service, clip: Service) -> Evaluation:
    target = np.array([1, 0, 0], np.float32)
    ensemble = Ensemble(Replicas.of(client, generator), Replicas.of(client, clip))
    return Evaluator(client, ensemble, target, "z").evaluate(genomes())


def check(evaluation: Evaluation) -> None:
    np.testing.assert_allclose(evaluation.embeddings, genomes(), atol=1e-3)
    np.testing.assert_array_equal(evaluation.images[:, 5, 5], genomes())


def test_clip_reads_the_generators_slots(serve: Serve, client: Client, shm_folder: Path) -> None:
    role = SeeRole()
    draws, sees = serve(DrawRole()), serve(role)
    generator, clip = connect(client, draws, sees)
    assert [path.name.rsplit("-", 1)[1] for path in shm_folder.iterdir()] == [draws.incarnation]
    check(evaluate(client, generator, clip))
    assert role.shared == [True, True, False]  # two whole batches, and 2 rows that were filled up
    until(client, lambda: leased(draws) == 0)


class Noting(DrawRole):
    """Notes how many slots are taken while it computes, and whether it wrote into one."""

    def __init__(self) -> None:
        super().__init__()
        self.lent: list[bool] = []

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        outputs = super().compute(options, values)
        self.lent.append(not outputs[0].flags.owndata)
        return outputs


def test_pictures_are_drawn_where_clip_reads_them(serve: Serve, client: Client) -> None:
    role = Noting()
    draws = serve(role)
    generator = client.connect(draws.endpoint, "generator")
    pending, result = draw(client, generator)
    assert isinstance(result.images, Slot)
    np.testing.assert_array_equal(pending.answer().tensor(result.images)[:, 3, 3], genomes(4))
    assert role.lent == [True]


def test_a_request_of_many_batches_keeps_no_slots_from_others(serve: Serve, client: Client) -> None:
    role = Noting()
    generator = client.connect(serve(role).endpoint, "generator")
    _, result = draw(client, generator, rows=40)
    assert role.lent == [False] * 10
    assert isinstance(result.images, Frame)  # larger than a slot


def test_what_is_remembered_stays_when_its_slot_is_used_again(serve: Serve, client: Client) -> None:
    role = Noting()
    draws = serve(role)
    generator = client.connect(draws.endpoint, "generator")
    for rows in (4, 3, 2, 4):
        pending, result = draw(client, generator, rows)
        found = pending.answer().tensor(result.images)
        np.testing.assert_array_equal(found[:, 3, 3], genomes(rows))
        client.release(generator, pending)
        until(client, lambda: leased(draws) == 0)
    assert len(role.lent) == 3  # the last one was known


def test_pools_go_with_their_services(serve: Serve, client: Client, shm_folder: Path) -> None:
    server = serve(DrawRole())
    service = client.connect(server.endpoint, "generator")
    server.drain("test")
    until(client, lambda: service.state == "lost")
    until(client, lambda: list(shm_folder.iterdir()) == [])


def test_a_slot_lost_while_clip_waits_rejects_that_request_only(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLASSHOUSE_REMEMBER_MB", "0")  # the same pictures are asked about twice
    role = SeeRole(batch_rows=8)
    draws, sees = serve(DrawRole()), serve(role)
    generator, clip = connect(client, draws, sees)
    lost, kept = draw(client, generator), draw(client, generator)
    role.gate.clear()
    blocker = client.submit(clip, EmbedImages(images=kept[1].clip_images))  # type: ignore[arg-type] # there is one
    until(client, lambda: not sees.batcher.idle)
    asked = [client.submit(clip, EmbedImages(images=one[1].clip_images)) for one in (lost, kept)]  # type: ignore[arg-type] # the same
    until(client, lambda: sees.batcher.rows == 8)
    client.release(generator, lost[0])
    until(client, lambda: leased(draws) == 2)
    role.gate.set()
    client.wait([asked[0]])
    with pytest.raises(SlotLostError, match="released"):
        asked[0].answer()
    for pending in (blocker, asked[1]):
        client.wait([pending])
        pending.answer()
    with pytest.raises(SlotLostError):
        client.call(clip, EmbedImages(images=lost[1].clip_images)).answer()  # type: ignore[arg-type] # the same
    with pytest.raises(SlotLostError):
        lost[0].answer().tensor(lost[1].images)


def test_a_generation_whose_slots_go_is_the_same_as_one_whose_stay(
    serve: Serve, client: Client
) -> None:
    draws, role = serve(DrawRole()), SeeRole()
    generator, clip = connect(client, draws, serve(role))
    real, released = client.submit, []

    def submit(service: Service, *args: object, **options: object) -> Pending:
        pool = draws.shelf.slots
        if service is clip and pool is not None and pool._leased and len(released) < 2:
            released.append(len(pool._leased))
            for holder in list(pool._leases):
                pool.release(holder)
        return real(service, *args, **options)  # type: ignore[arg-type] # passed through

    client.submit = submit  # type: ignore[method-assign] # slots go at the worst moment
    check(evaluate(client, generator, clip))
    assert released


def test_a_full_shared_memory_costs_no_request(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, clip = connect(client, serve(DrawRole()), serve(SeeRole()))
    monkeypatch.setattr(os, "posix_fallocate", full)
    _, result = draw(client, generator)
    assert isinstance(result.images, Slot)
    assert not result.images.shared
    check(evaluate(client, generator, clip))


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_more_leases_than_slots_go_as_frames(serve: Serve, client: Client) -> None:
    draws = serve(DrawRole())
    generator = client.connect(draws.endpoint, "generator")
    kinds = {type(draw(client, generator)[1].images) for _ in range(12)}
    assert kinds == {Slot, Frame}
    with Client("second", PATIENT) as second:
        other = second.connect(draws.endpoint, "generator")
        assert draw(second, other)[1].clip_images is not None


def test_a_consumer_on_another_host_gets_frames(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, clip = connect(client, serve(DrawRole()), serve(SeeRole()))
    monkeypatch.setattr("services.runtime.intake.SlotReader.can_read", lambda *_: False)
    check(evaluate(client, generator, clip))
