"""All services of one role that a run uses, as if they were one that cannot be lost.

They hold the same model, by its digest, so it does not matter which of them computes a row. A call
goes to the one with the least outstanding cost: rows times the measured time of a row. If its
service is lost, drained or too late, the call goes to another; if it hangs, to another that does
not. When none is left, the call waits until one is brought back or found. So a call ends once:
with its answer, with an error that asking again would not mend, or because there is no hope.

A call over which several services were lost is given up: its rows may be what kills them.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from orchestrator.fleet.replica import Connected, Replica
from orchestrator.terminal import ServiceStatus
from protocol.client import Client, Service
from protocol.errors import (
    DeadlineError,
    DrainingError,
    GlasshouseError,
    ProtocolError,
    ServiceLostError,
    SlotLostError,
    UnreachableError,
    WeightsError,
)
from protocol.messages import Method, Role, ServiceInfo, rows_of
from protocol.session import Answer, Pending

ELSEWHERE = (ServiceLostError, DrainingError, DeadlineError, UnreachableError)  # others may answer
Others = Callable[[Sequence[Replica]], list[Replica]]
InSlots = Callable[[Service], bool]


@dataclass(eq=False)
class Call:
    """One request, whichever replica answers it. `done` turns true exactly once.

    Attributes:
        client: asks.
        method: what is asked.
        frames: of its tensors.
        in_slots: whether a service's answer may stay in its slots.
        interactive: whether a person waits for it.
        only: who alone can answer; None for any.
        service: who is asked now; None while there is nobody to ask.
        pending: the request to it.
        lost: how many services were lost over it.
    """

    client: Client
    method: Method
    frames: Sequence[memoryview]
    in_slots: InSlots | None = None
    interactive: bool = False
    only: Service | None = None
    service: Service | None = None
    pending: Pending | None = None
    lost: int = 0
    done: bool = False
    _error: GlasshouseError | None = None

    @property
    def rows(self) -> int:
        """How many rows it asks for."""
        return rows_of(self.method)

    @property
    def slots(self) -> bool:
        """Whether the answer may be in slots."""
        return self.pending is not None and self.pending.request.slots

    def end(self, error: GlasshouseError | None) -> None:
        """It is over."""
        self.done, self._error = True, error

    def answer(self) -> Answer:
        """The answer.

        Raises:
            GlasshouseError: why there is none; RuntimeError if it is still under way.
        """
        if self._error is not None:
            raise self._error
        if not self.done or self.pending is None:
            raise RuntimeError("this call is still under way; wait for it first")
        return self.pending.answer()

    def release(self) -> None:
        """Give back the slots of the answer; after that nobody may read them."""
        if self.service is not None and self.pending is not None:
            self.client.release(self.service, self.pending)


def no_others(lost: Sequence[Replica]) -> list[Replica]:
    """There is nobody else."""
    del lost
    return []


@dataclass
class Replicas:
    """The services of one role.

    Attributes:
        client: speaks to them.
        role: what they are.
        replicas: those that are used, or are being brought back.
        others: finds or starts others when those given are lost for good.
        on_wait: called again and again while calls wait and nobody can take them.
    """

    client: Client
    role: Role
    replicas: list[Replica]
    others: Others = no_others
    on_wait: Callable[[], None] = lambda: None
    _info: ServiceInfo | None = None
    _settled: bool = False
    _open: list[Call] = field(default_factory=list)
    _news: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, client: Client, *services: Service) -> "Replicas":
        """Conversations that exist already, as replicas."""
        role = services[0].session.role
        return cls(client, role, [Connected(client, one) for one in services]).settled()

    def settled(self) -> "Replicas":
        """The same; from now on the loss of one is no reason to give up.

        Raises:
            GlasshouseError: one is lost already.
        """
        self.tend()
        self._settled = True
        return self

    @property
    def info(self) -> ServiceInfo:
        """Of the model that they hold.

        Raises:
            RuntimeError: none has said WELCOME yet.
        """
        if self._info is None:
            raise RuntimeError(f"no {self.role} has said WELCOME yet")
        return self._info

    @property
    def usable(self) -> list[Replica]:
        """Those that can take rows now."""
        return [replica for replica in self.replicas if replica.usable]

    @property
    def services(self) -> list[Service]:
        """Conversations with those that can take rows now."""
        return [replica.service for replica in self.usable if replica.service is not None]

    @property
    def ready(self) -> bool:
        """Whether all of them can take rows."""
        return len(self.usable) == len(self.replicas)

    @property
    def greeting(self) -> bool:
        """Whether some were greeted and have not answered yet."""
        services = [one.service for one in self.replicas if one.service is not None]
        return any(one.pong is None and one.session.error is None for one in services)

    def statuses(self) -> list[ServiceStatus]:
        """For the display."""
        return [replica.status() for replica in self.replicas]

    def news(self) -> list[str]:
        """What happened since this was last asked, for people."""
        self._gather_news(self.replicas)
        news, self._news = self._news, []
        return news

    def tell(self, line: str) -> None:
        """Add to the news."""
        self._news.append(line)

    def submit(
        self,
        method: Method,
        frames: Sequence[memoryview] = (),
        *,
        in_slots: InSlots | None = None,
        interactive: bool = False,
        only: Service | None = None,
    ) -> Call:
        """Ask one of them and return at once; `frames` are what its `TensorWriter` collected."""
        call = Call(self.client, method, frames, in_slots, interactive, only)
        self._open.append(call)
        self._ask(call)
        return call

    def call(
        self, method: Method, frames: Sequence[memoryview] = (), *, interactive: bool = False
    ) -> Answer:
        """Ask one of them and wait; `frames` are what the method's `TensorWriter` collected.

        Raises:
            GlasshouseError: there is no answer.
        """
        call = self.submit(method, frames, interactive=interactive)
        wait(self.client, [self], [call])
        return call.answer()

    def tend(self) -> None:
        """Take note of what happened to services and calls, and do something about it.

        Raises:
            GlasshouseError: there is no service left, and no hope for one.
        """
        now = time.monotonic()
        for replica in self.replicas:
            replica.tend(now)
            if replica.service is not None and replica.service.session.welcome is not None:
                self._check_digest(replica, replica.service)
        for replica in self.replicas:
            if replica.error is not None and not self._settled and not replica.shared:
                raise replica.error
        if all(replica.error is not None for replica in self.replicas):
            self._find_others()
        self._drop([replica for replica in self.replicas if replica.over])
        for call in self._open:
            self._look_after(call)
        self._open = [call for call in self._open if not call.done]
        if self._open and not self.usable:
            self.on_wait()

    def let_go(self) -> None:
        """None of them is needed any more."""
        for replica in self.replicas:
            replica.let_go()

    def _find_others(self) -> None:
        found = self.others(self.replicas)
        error = self.replicas[-1].error
        if not found and error is not None:
            raise error
        self._drop(self.replicas)
        self.replicas = found

    def _drop(self, lost: list[Replica]) -> None:
        self._gather_news(lost)
        for replica in lost:
            replica.disconnect()
        self.replicas = [replica for replica in self.replicas if replica not in lost]

    def _gather_news(self, replicas: Iterable[Replica]) -> None:
        for replica in replicas:
            self._news += replica.news
            replica.news.clear()

    def _check_digest(self, replica: Replica, service: Service) -> None:
        if self._info is None:
            self._info = service.info
        elif service.info.digest != self._info.digest:
            replica.refuse(
                WeightsError(
                    f"the {self.role} at {replica.endpoint} holds {service.info.model} "
                    f"({service.info.digest}), but this run uses {self._info.model} "
                    f"({self._info.digest}); start one with the same weights there"
                )
            )

    def _look_after(self, call: Call) -> None:
        if call.service is None or call.pending is None:
            self._ask(call)
        elif call.pending.done:
            self._ended(call, call.pending)
        elif call.service.state == "hung" and self.usable:
            self.client.cancel(call.service, call.pending)
            self._ask(call)

    def _ended(self, call: Call, pending: Pending) -> None:
        error = pending.error
        if error is None and pending.answer().reply.digest != self.info.digest:
            error = ProtocolError(f"a {self.role} answered with another model than it announced")
        if not isinstance(error, ELSEWHERE):
            call.end(error)
            return
        call.lost += not isinstance(error, DrainingError)
        if call.lost >= self.client.patience.attempts:
            call.end(
                type(error)(
                    f"{call.lost} services in a row were lost over the same {call.rows} rows, "
                    f"the last one so: {error.message}"
                )
            )
            return
        self._ask(call)

    def _ask(self, call: Call) -> None:
        """Ask the one that will have answered first, as far as can be told."""
        services = [one for one in self.services if call.only in {None, one}]
        if call.only is not None and not services:
            call.end(SlotLostError(f"the {self.role} that held these pictures is gone"))
            return
        usual = max((service.session.row_ms for service in services), default=0.0) or 1.0

        def cost_ms(service: Service) -> float:
            return (service.session.rows + call.rows) * (service.session.row_ms or usual)

        call.service = min(services, key=cost_ms, default=None)
        if call.service is None:
            call.pending = None
            return
        slots = call.in_slots is not None and call.in_slots(call.service)
        call.pending = self.client.submit(
            call.service, call.method, call.frames, slots=slots, interactive=call.interactive
        )


def wait(client: Client, groups: Sequence[Replicas], calls: Iterable[Call]) -> list[Call]:
    """Wait until at least one of these calls is done; returns all that are.

    Raises:
        GlasshouseError: a role has no service left, and no hope for one.
    """
    waiting = list(calls)
    while waiting:
        for group in groups:
            group.tend()
        done = [call for call in waiting if call.done]
        if done:
            return done
        client.step()
    return []
