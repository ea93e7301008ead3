"""A bad connection costs time, and no row: messages dropped, doubled, torn, late; all cut for long.

Between the run and one of its services lies a proxy of the test. The journal is in the end the one
of the run in which nothing happened, bit for bit.
"""

import pytest

from tests.faults.harness import PATIENT, Ground, battlefield, ground
from tests.faults.proxy import Proxy, drop, duplicate, swallow, truncate

__all__ = ["battlefield", "ground"]

HARMS = {"dropped": drop, "doubled": duplicate, "torn": truncate}
ROLES = ("generator", "clip", "discriminator")


def pairs(names: list[str], quick: str) -> list[object]:
    """Everything with each role; the first role of `quick` now, the rest among the slow ones."""
    return [
        pytest.param(name, role, marks=() if role == quick else pytest.mark.slow)
        for name in names
        for role in ROLES
    ]


@pytest.mark.parametrize(("harm", "role"), pairs([*HARMS], "generator"))
def test_messages_that_are_harmed(ground: Ground, harm: str, role: str) -> None:
    with Proxy(f"ipc://{ground.folder}/proxy.sock", ground.fleet[role]) as proxy:

        def begin() -> None:
            proxy.harm = HARMS[harm]

        ground.check(ground.settings(**{role: proxy.endpoint}), begin)
        assert proxy.harmed


@pytest.mark.parametrize(("kind", "role"), pairs(["late", "cut"], "clip"))
def test_connections_that_are_slow_or_cut(ground: Ground, kind: str, role: str) -> None:
    with Proxy(f"ipc://{ground.folder}/proxy.sock", ground.fleet[role]) as proxy:

        def begin() -> None:
            if kind == "late":
                proxy.delay_s = 0.05
            else:
                proxy.cut_s = 0.7

        assert ground.check(ground.settings(**{role: proxy.endpoint}), begin, PATIENT) == []


def test_a_connection_that_stays_cut_is_the_loss_of_the_service(ground: Ground) -> None:
    """The other replica does its work; the run goes on without the lost one."""
    with Proxy(f"ipc://{ground.folder}/proxy.sock", ground.fleet["clip"]) as proxy:

        def begin() -> None:
            proxy.harm = swallow

        both = f"{proxy.endpoint},{ground.fleet['clip']}"
        ground.check(ground.settings(clip=both), begin)
        assert proxy.harmed
