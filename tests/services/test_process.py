"""Real `service` processes: they say READY, answer, drain, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.evaluation.evaluator import Evaluator
from orchestrator.fleet.ensemble import Ensemble
from orchestrator.fleet.launcher import LocalLauncher, LocalService, ServiceSpec
from orchestrator.fleet.replicas import Replicas
from protocol import slots
from protocol.client import Client, Service
from protocol.errors import (
    BadRequestError,
    ConfigError,
    ServiceError,
    ServiceLostError,
    SlotLostError,
    WeightsError,
)
from protocol.messages import (
    Embeddings,
    EmbedImages,
    EmbedTexts,
    Generate,
    GeneratorInfo,
    Method,
    Pictures,
    Score,
    Scores,
)
from protocol.session import Answer, Pending
from protocol.tensors import Array, Slot, TensorWriter
from services.conformance.bench import Bench
from services.conformance.checks import run
from tests.services.runtime.waiting import PATIENT, held
from tests.tiny import RESOLUTION, Z_DIM

Models = dict[str, Path]
ROLES = ("generator", "clip", "discriminator")

TIMES = [pytest.param(20, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.soak)]


@pytest.fixture
def launcher(runtime_folder: Path, tmp_path: Path) -> Iterator[LocalLauncher]:
    del runtime_folder  # its checks run after this
    with LocalLauncher(tmp_path) as launcher:
        yield launcher


def start(launcher: LocalLauncher, models: Models, *roles: str) -> list[LocalService]:
    services = [
        launcher.start(ServiceSpec(role, str(models[role]), threads=1))  # type: ignore[arg-type] # a role
        for role in roles
    ]
    launcher.wait_ready(services, lambda: None, 240.0)
    return services


def connect(client: Client, local: LocalService) -> Service:
    return client.connect(local.endpoint, local.spec.role, watch=local.gone)


def generate(client: Client, service: Service, genomes: Array, **options: int) -> Answer:
    writer = TensorWriter()
    call = Generate(space="z", genomes=writer.add(genomes), **options)  # type: ignore[arg-type] # sizes
    return client.call(service, call, writer.frames).answer()


def images_of(answer: Answer) -> Array:
    assert isinstance(answer.reply.result, Pictures)
    return answer.tensor(answer.reply.result.images)


def genomes(rows: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((rows, Z_DIM), dtype=np.float32)


def test_the_three_roles_from_genome_to_score(launcher: LocalLauncher, tiny_models: Models) -> None:
    locals_ = start(launcher, tiny_models, *ROLES)
    with Client("test", PATIENT) as client:
        generator, clip, discriminator = (connect(client, local) for local in locals_)
        assert isinstance(generator.info.about, GeneratorInfo)
        assert [space.name for space in generator.info.about.spaces] == ["z", "w"]
        assert generator.info.digest == locals_[0].digest
        answer = generate(client, generator, genomes(5), clip_size=32)
        assert isinstance(answer.reply.result, Pictures)
        assert answer.reply.result.clip_images is not None
        views = answer.tensor(answer.reply.result.clip_images)
        assert images_of(answer).shape == (5, RESOLUTION, RESOLUTION, 3)
        assert views.shape == (5, 32, 32, 3)

        def ask(service: Service, method: type[Method], array: Array) -> Answer:
            writer = TensorWriter()
            call = method(images=writer.add(array))  # type: ignore[call-arg] # Score or EmbedImages
            return client.call(service, call, writer.frames).answer()

        seen = ask(clip, EmbedImages, views)
        assert isinstance(seen.reply.result, Embeddings)
        np.testing.assert_allclose(
            np.linalg.norm(seen.tensor(seen.reply.result.embeddings), axis=1), 1, atol=1e-5
        )
        said = client.call(clip, EmbedTexts(texts=("a yellow car", "???", "x" * 900))).answer()
        assert isinstance(said.reply.result, Embeddings)
        assert said.tensor(said.reply.result.embeddings).shape == (3, 8)
        judged = ask(discriminator, Score, images_of(answer))
        assert isinstance(judged.reply.result, Scores)
        assert judged.tensor(judged.reply.result.logits).shape == (5,)
        check_mistakes(client, generator, discriminator)
        check_batches_do_not_matter(client, generator)
    for local in locals_:
        check_conformance(local.endpoint)


def check_conformance(endpoint: str) -> None:
    with Bench(endpoint, 120.0) as bench:
        bench.find_role()
        assert {name: violated for name, violated in run(bench) if violated} == {}


def check_mistakes(client: Client, generator: Service, discriminator: Service) -> None:
    broken = genomes(2)
    broken[1, 3] = np.nan
    for bad, why in (
        (genomes(2)[:, :5], "wanted genomes of shape"),
        (broken, "NaN"),
        (genomes(2).astype(np.int64), "float32"),
    ):
        with pytest.raises(BadRequestError, match=why):
            generate(client, generator, bad)
    writer = TensorWriter()
    call = Generate(space="w+", genomes=writer.add(genomes(1)))
    with pytest.raises(BadRequestError, match="no latent space 'w\\+'; it has z, w"):
        client.call(generator, call, writer.frames).answer()
    with pytest.raises(BadRequestError, match="cannot embed_texts"):
        client.call(discriminator, EmbedTexts(texts=("a",))).answer()


def check_batches_do_not_matter(client: Client, generator: Service) -> None:
    """A genome gives the same picture, bit for bit, alone, among others and in any place."""
    population = genomes(37, seed=5)
    together = images_of(generate(client, generator, population))
    shuffled = np.random.default_rng(1).permutation(37)
    moved = images_of(generate(client, generator, np.ascontiguousarray(population[shuffled])))
    np.testing.assert_array_equal(moved, together[shuffled])
    for row in (0, 15, 36):
        alone = images_of(generate(client, generator, population[row : row + 1]))
        np.testing.assert_array_equal(alone[0], together[row])


def test_sigterm_drains_and_says_bye(launcher: LocalLauncher, tiny_models: Models) -> None:
    (local,) = start(launcher, tiny_models, "generator")
    with Client("test", PATIENT) as client:
        service = connect(client, local)
        writer = TensorWriter()
        call = Generate(space="z", genomes=writer.add(genomes(400)))
        pending = client.submit(service, call, writer.frames)
        held(client, service)  # it has taken the request, which came before this PING
        local.process.terminate()
        client.wait([pending])
        assert images_of(pending.answer()).shape[0] == 400
        assert local.process.wait(120) == 0
        assert not Path(local.endpoint.removeprefix("ipc://")).exists()


def test_a_killed_service_ends_its_requests(launcher: LocalLauncher, tiny_models: Models) -> None:
    (local,) = start(launcher, tiny_models, "generator")
    with Client("test", PATIENT) as client:
        service = connect(client, local)
        local.process.kill()
        with pytest.raises(ServiceLostError, match="killed by signal 9"):
            generate(client, service, genomes(400))


def test_a_stopped_service_is_killed_in_the_end(
    launcher: LocalLauncher, tiny_models: Models
) -> None:
    (local,) = start(launcher, tiny_models, "generator")
    local.process.send_signal(signal.SIGSTOP)
    launcher.stop()
    assert local.process.returncode == -signal.SIGKILL


def test_a_service_killed_while_starting(launcher: LocalLauncher, tiny_models: Models) -> None:
    service = launcher.start(ServiceSpec("generator", str(tiny_models["generator"])))
    time.sleep(0.5)
    service.process.kill()
    with pytest.raises(ServiceError, match=r"killed by signal 9.*still starting"):
        launcher.wait_ready([service], lambda: None)


def test_models_that_cannot_be_had(
    launcher: LocalLauncher, tiny_models: Models, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(tiny_models["generator"].read_bytes()[:-100])
    cases: list[tuple[str, type[Exception], str]] = [
        ("mini-cat", BadRequestError, "no generator model 'mini-cat'; generator models: mini-car"),
        ("mini-clip", BadRequestError, "is a clip, but a generator was wanted"),
        (str(tmp_path / "none.safetensors"), WeightsError, "no file is there"),
        (str(damaged), WeightsError, "damaged"),
        (str(tiny_models["clip"]), WeightsError, "holds the architecture 'open-clip'"),
    ]
    services = [launcher.start(ServiceSpec("generator", model)) for model, _, _ in cases]
    for service, (_, error, why) in zip(services, cases, strict=True):
        with pytest.raises(error, match=why):
            launcher.wait_ready([service], lambda: None)


def test_an_endpoint_in_use_is_not_stolen(launcher: LocalLauncher, tiny_models: Models) -> None:
    (local,) = start(launcher, tiny_models, "generator")
    command = [sys.executable, "-P", "-m", "services", "generator", "--bind", local.endpoint]
    second = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert second.returncode == ConfigError.exit_code
    assert "something listens at" in second.stderr
    with Client("test", PATIENT) as client:
        assert images_of(generate(client, connect(client, local), genomes(1))).shape[0] == 1


ORCHESTRATOR = """
import sys, time
from pathlib import Path
import numpy as np
from orchestrator.fleet.launcher import LocalLauncher, ServiceSpec
from protocol.client import Client
from protocol.messages import Generate
from protocol.tensors import TensorWriter
launcher = LocalLauncher(Path(sys.argv[1]))
roles = ("generator", sys.argv[2]), ("clip", sys.argv[3])
specs = [ServiceSpec(*role, threads=1) for role in roles]
first, second = (launcher.start(spec) for spec in specs)
print(first.process.pid, second.process.pid, flush=True)
launcher.wait_ready([first], lambda: None)
genomes = np.zeros((256, 8), np.float32)
with Client() as client:
    service = client.connect(first.endpoint, "generator")
    print("under load", flush=True)
    while True:
        asked = []
        for _ in range(4):
            writer = TensorWriter()
            call = Generate(space="z", genomes=writer.add(genomes))
            asked.append(client.submit(service, call, writer.frames, slots=True))
        for pending in asked:
            client.wait([pending])
            client.release(service, pending)
"""


def orchestrate(tmp_path: Path, models: Models) -> "subprocess.Popen[bytes]":
    """A process that starts a generator and a clip, and keeps the generator busy."""
    arguments = [str(tmp_path), str(models["generator"]), str(models["clip"])]
    command = [sys.executable, "-c", ORCHESTRATOR, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def orphans(pids: list[int]) -> list[int]:
    """Those that still live after a time that is enough for any of them."""
    until = time.monotonic() + 120
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    return [pid for pid in pids if alive(pid)]


def test_services_die_with_a_killed_parent(
    runtime_folder: Path, tmp_path: Path, tiny_models: Models
) -> None:
    """While one computes, and the other is still loading or has just finished."""
    with orchestrate(tmp_path, tiny_models) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert parent.stdout.readline() == b"under load\n"
        parent.kill()
    assert orphans(pids) == []
    assert list(runtime_folder.iterdir()) == []


@pytest.mark.usefixtures("runtime_folder")
def test_a_service_whose_interpreter_is_held_dies_with_its_parent() -> None:
    """C code that keeps the interpreter lock keeps the death pipe from being read."""
    held = """
import ctypes
from services.runtime.process import Parent
Parent("ipc:///nowhere.sock", "0" * 16)
print("held", flush=True)
ctypes.PyDLL(None).sleep(1000)
"""
    starter = f"""
import subprocess, sys
pipe = subprocess.PIPE
child = subprocess.Popen([sys.executable, "-c", {held!r}], stdin=pipe, stdout=pipe)
child.stdout.readline()
print(child.pid, flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", starter], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    assert orphans([pid]) == []


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.timeout(3600)
def test_killed_orchestrators_leave_no_orphan_and_no_file(
    times: int, runtime_folder: Path, shm_folder: Path, tmp_path: Path, tiny_models: Models
) -> None:
    """Under load, and at any moment from the first start on."""
    rng = np.random.default_rng(0)
    loaded = 0
    for _ in range(times):
        with orchestrate(tmp_path, tiny_models) as parent:
            assert parent.stdout is not None
            pids = [int(word) for word in parent.stdout.readline().split()]
            if rng.uniform() < 0.75:
                loaded += parent.stdout.readline() == b"under load\n"
            time.sleep(rng.uniform(0, 0.5))
            parent.kill()
        assert orphans(pids) == []
        assert list(runtime_folder.glob("*")) == []
        assert list(shm_folder.iterdir()) == []
    assert loaded > times / 2


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.timeout(3600)
def test_starts_and_kills_leave_nothing(
    times: int, runtime_folder: Path, tmp_path: Path, tiny_models: Models
) -> None:
    """Killed at any moment of its life, from the first instruction to serving."""
    rng = np.random.default_rng(0)
    with LocalLauncher(tmp_path) as launcher:
        for _ in range(times):
            service = launcher.start(
                ServiceSpec("generator", str(tiny_models["generator"]), threads=1)
            )
            time.sleep(rng.uniform(0, 3))
            service.process.kill()
            launcher.kill()
            assert list(runtime_folder.iterdir()) == []
    assert list(Path(os.environ["GLASSHOUSE_SHM"]).iterdir()) == []


def shared_memory_of(pid: int) -> str:
    """The folder for pools that a process was started with."""
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(word.split(b"=", 1) for word in words if word)[b"GLASSHOUSE_SHM"].decode()


def start_apart(
    launcher: LocalLauncher, models: Models, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[LocalService]:
    """The three roles, each with shared memory that the others and this process cannot see."""
    found = []
    for role in ROLES:
        (folder / role).mkdir()
        monkeypatch.setenv("GLASSHOUSE_SHM", str(folder / role))
        found.append(launcher.start(ServiceSpec(role, str(models[role]))))  # type: ignore[arg-type] # a role
    launcher.wait_ready(found, lambda: None)
    monkeypatch.setenv("GLASSHOUSE_SHM", str(folder))
    return found


def check_death_in_mid_pull(
    client: Client, process: "subprocess.Popen[bytes]", services: list[Service]
) -> None:
    generator, clip, _ = services
    writer = TensorWriter()
    call = Generate(space="z", genomes=writer.add(genomes(16)), clip_size=32)
    drawn = client.submit(generator, call, writer.frames, slots=True)
    client.wait([drawn])
    result = drawn.answer().reply.result
    assert isinstance(result, Pictures)
    assert isinstance(result.clip_images, Slot)
    process.send_signal(signal.SIGSTOP)
    pending = client.submit(clip, EmbedImages(images=result.clip_images))
    client.pump(0.5)
    assert not pending.done
    process.kill()
    client.wait([pending])
    assert isinstance(pending.error, SlotLostError)
    assert client.call(clip, EmbedTexts(texts=("still there",))).error is None


def test_services_that_share_no_memory_fetch_from_each_other(
    launcher: LocalLauncher,
    tiny_models: Models,
    shm_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on other hosts; when the generator dies in mid-pull, only that request is lost."""
    locals_ = start_apart(launcher, tiny_models, shm_folder, monkeypatch)
    assert len({shared_memory_of(local.process.pid) for local in locals_}) == 3
    with Client("test", PATIENT) as client:
        services = [connect(client, local) for local in locals_]
        roles = [Replicas.of(client, service) for service in services]
        evaluator = Evaluator(client, Ensemble(*roles), np.ones(8, np.float32), "z")
        asked: list[Method] = []
        submit = client.submit

        def noted(service: Service, call: Method, *args: Any, **options: Any) -> Pending:
            asked.append(call)
            return submit(service, call, *args, **options)

        monkeypatch.setattr(client, "submit", noted)
        fetched = evaluator.evaluate(genomes(20))
        viewers = [call for call in asked if isinstance(call, EmbedImages | Score)]
        assert len(viewers) == 4
        assert all(isinstance(call.images, Slot) for call in viewers)
        relayed = generate(client, services[0], genomes(20))
        np.testing.assert_array_equal(fetched.images, images_of(relayed))
        check_death_in_mid_pull(client, locals_[0].process, services)
    launcher.stop()
    for role in ROLES:
        monkeypatch.setenv("GLASSHOUSE_SHM", str(shm_folder / role))
        slots.sweep()  # the launcher does it where it can see
        (shm_folder / role).rmdir()
