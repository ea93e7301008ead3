"""What can happen to a service in the middle of a generation costs time, and no row.

Each fault strikes one process of one role while it computes. The journal is in the end the one of
the run in which nothing happened, bit for bit.
"""

import signal
import threading
import time
from dataclasses import replace

import psutil
import pytest

from orchestrator.fleet.launcher import ServiceSpec
from protocol.errors import ServiceLostError
from tests.faults.harness import PATIENT, QUICK, Ground, Ordering, battlefield, ground
from tests.orchestrator.ensemble import grow

__all__ = ["battlefield", "ground"]

ROLES = ("generator", "clip", "discriminator")
FATAL = ("kill", "stop", "lock", "hang", "drain")  # the process cannot be used any more
HARMLESS = ("memory", "slow", "shm")
QUICKLY = {("kill", "generator"), ("lock", "clip"), ("drain", "discriminator"), ("kill", "clip")}


def cases(faults: tuple[str, ...], quick: set[tuple[str, str]]) -> list[object]:
    """Every fault with every role; those that are not quick are slow."""
    return [
        pytest.param(fault, role, marks=() if (fault, role) in quick else pytest.mark.slow)
        for fault in faults
        for role in ROLES
    ]


@pytest.mark.parametrize(("fault", "role"), cases(FATAL, QUICKLY))
def test_a_service_of_the_run_is_started_again(ground: Ground, fault: str, role: str) -> None:
    said = ground.check(ground.settings(**{role: role}), lambda: ground.order(role, fault))
    assert not (ground.folder / "orders" / f"{role}.{fault}").exists()
    assert any("it is started again" in line for line in said)
    assert f"{role} was started again" in said


@pytest.mark.parametrize(("fault", "role"), cases(FATAL, {("stop", "generator"), ("hang", "clip")}))
def test_its_replicas_do_its_work(ground: Ground, fault: str, role: str) -> None:
    with ground.serving(role, 3) as endpoints:
        settings = ground.settings(**{role: ",".join(endpoints)})
        ground.check(settings, lambda: ground.order(role, fault))
        assert not (ground.folder / "orders" / f"{role}.{fault}").exists()


@pytest.mark.parametrize(("fault", "role"), cases(HARMLESS, {(f, "generator") for f in HARMLESS}))
def test_nobody_notices(ground: Ground, fault: str, role: str) -> None:
    settings = ground.settings(**{role: role})
    assert ground.check(settings, lambda: ground.order(role, fault), PATIENT) == []


@pytest.mark.parametrize(
    "role", ["clip", *(pytest.param(r, marks=pytest.mark.slow) for r in ROLES)]
)
def test_a_service_that_sleeps_for_a_while_is_waited_for(ground: Ground, role: str) -> None:
    """SIGSTOP for 5 s: longer than it takes to be called hung, and less than to be lost."""

    def stop() -> None:
        ground.order(role, "stop")
        threading.Thread(target=wake, daemon=True).start()

    def wake() -> None:
        mine = psutil.Process()
        until = time.monotonic() + 240
        while time.monotonic() < until:
            for child in mine.children():
                if child.status() == psutil.STATUS_STOPPED:
                    time.sleep(5)
                    child.send_signal(signal.SIGCONT)
                    return
            time.sleep(0.02)

    assert ground.check(ground.settings(**{role: role}), stop, PATIENT) == []


@pytest.mark.parametrize("role", ROLES)
def test_a_result_does_not_depend_on_how_many_computed_it(ground: Ground, role: str) -> None:
    with ground.serving(role, 3) as endpoints:
        settings = ground.settings(**{role: ",".join(endpoints)})
        assert ground.check(settings, patience=PATIENT) == []


def test_rows_that_kill_every_service_end_the_run(ground: Ground) -> None:
    order, ended = ground.folder / "orders" / "clip.kill", threading.Event()

    def kill_always() -> None:
        while not ended.wait(0.01):
            order.touch()

    killer = threading.Thread(target=kill_always)
    try:
        with pytest.raises(ServiceLostError, match=r"lost over the same \d+ rows"):
            ground.check(ground.settings(clip="clip"), killer.start)
    finally:
        ended.set()
        killer.join()


def test_an_endpoint_that_does_not_come_back_ends_the_run(ground: Ground) -> None:
    with ground.serving("clip") as (endpoint,):
        display = Ordering(lambda: ground.order("clip", "kill"))
        with pytest.raises(ServiceLostError, match=r"did not come back within 1 s.*resume RUN"):
            grow(ground.settings(clip=endpoint), display, replace(QUICK, away_s=1.0))


def test_an_endpoint_that_comes_back_is_used_again(ground: Ground) -> None:
    with ground.serving("clip") as (endpoint,):
        again = []

        def kill_and_start() -> None:
            ground.order("clip", "kill")
            again.append(threading.Timer(1.0, start))
            again[0].start()

        def start() -> None:
            again.append(ground.start(ServiceSpec("clip", "clip"), endpoint))

        try:
            said = ground.check(ground.settings(clip=endpoint), kill_and_start)
        finally:
            again[0].join()
            again[1].kill()
            again[1].communicate()
        assert any("is back after" in line for line in said)
