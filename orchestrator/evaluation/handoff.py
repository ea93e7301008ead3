"""Which generators' slots everybody who looks at the pictures can read, or fetch.

Each pair of processes is introduced once, and nobody is waited for while a generation is on its
way: until every viewer has said that it can map a generator's pool, or fetch from it over the
generator's own endpoint, pictures travel as frames through this process.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.fleet.replicas import Replicas
from protocol.client import Client, Service
from protocol.messages import Probe, Probed
from protocol.tensors import Pool

if TYPE_CHECKING:
    from protocol.session import Pending


class HandOff:
    """The pairs of generator and viewer.

    Args:
        client: asks.
        generator: whose slots.
        viewers: who looks at the pictures: clip and discriminator.
    """

    def __init__(self, client: Client, generator: Replicas, viewers: Sequence[Replicas]) -> None:
        self._client = client
        self._generator = generator
        self._viewers = viewers
        self._asked: dict[tuple[str, Service], Pending] = {}

    def ask(self) -> None:
        """Ask all pairs of now, and give them a moment to answer."""
        until = time.monotonic() + self._client.patience.greet_s
        while time.monotonic() < until:
            for producer in self._generator.services:
                self.possible(producer)
            if self._asked and all(pending.done for pending in self._asked.values()):
                return
            self._client.step()

    def possible(self, producer: Service) -> bool:
        """Whether all viewers are known to read the producer's slots, or to fetch them."""
        welcome = producer.session.welcome
        pool = welcome.pool if welcome else None
        if pool is None:
            return False
        endpoint = producer.session.endpoint
        can = [
            [self._reads(viewer, pool, endpoint) for viewer in replicas.services]  # all are asked
            for replicas in self._viewers
        ]
        return all(each and all(each) for each in can)

    def _reads(self, viewer: Service, pool: Pool, endpoint: str) -> bool:
        pending = self._asked.get((pool.name, viewer))
        if pending is None:
            pending = self._client.submit(viewer, Probe(pool=pool, endpoint=endpoint))
            self._asked[pool.name, viewer] = pending
        if pending.result is None:
            return False
        result = pending.result.reply.result
        return isinstance(result, Probed) and (result.readable or result.reachable)
