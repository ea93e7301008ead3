"""One client's conversation with one life of one service, without a socket.

Events go in (`submit`, `receive`, `tick`, `fail`), frames to send come out of `outbox`. Time is an
argument, so every transition is tested without a clock, a thread or a network. It promises that
every request ends: with a reply, with the service's error, with its deadline, or with the loss of
the service. A request is answered only by a message with its id, of the kind its method announces;
whatever else a peer sends is counted and ignored.

No more rows are outstanding than WELCOME granted; further requests wait here. What a cut connection
swallowed is found out by PONG, which says how many requests the service holds: if it holds fewer
than were sent before that PING, the session says HELLO and sends them again, with the same ids.
"""

import math
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.errors import (
    BusyError,
    DeadlineError,
    DrainingError,
    GlasshouseError,
    ProtocolError,
    ServiceLostError,
    UnreachableError,
    from_wire,
)
from protocol.frames import Buffer, decode, encode
from protocol.messages import (
    PROTOCOL_VERSION,
    Bye,
    Cancel,
    Classes,
    Classify,
    ClientNames,
    Clients,
    Describe,
    Description,
    Embeddings,
    EmbedImages,
    EmbedTexts,
    ErrorMessage,
    Fetch,
    Fetched,
    Generate,
    Gradients,
    Hello,
    Labels,
    LatentGradient,
    Message,
    Method,
    Pictures,
    Ping,
    Pong,
    Probe,
    Probed,
    Release,
    Reply,
    Request,
    Result,
    Role,
    Score,
    Scores,
    ServiceInfo,
    SimilarityGradient,
    State,
    Texts,
    Welcome,
    Write,
    rows_of,
)
from protocol.patience import HUNG_BATCHES, PATIENCE, Patience
from protocol.slots import SlotReader
from protocol.tensors import Array, Slot, TensorRef, read_tensor

MEMORY = 0.7  # of the measured time of a row, at each new answer

ANSWER: dict[type[Method], type[Result]] = {
    Describe: Description,
    Clients: ClientNames,
    Probe: Probed,
    Fetch: Fetched,
    Generate: Pictures,
    Write: Texts,
    EmbedTexts: Embeddings,
    EmbedImages: Embeddings,
    Score: Scores,
    Classify: Classes,
    Labels: Texts,
    SimilarityGradient: Gradients,
    LatentGradient: Gradients,
}


@dataclass(frozen=True)
class Answer:
    """A reply and where its tensors are: the frames that came with it, or slots."""

    reply: Reply
    frames: list[memoryview]
    slots: SlotReader

    def tensor(self, ref: TensorRef) -> Array:
        """The array that one of the result's references names; it stays valid.

        Raises:
            SlotLostError: it was in a slot that has been used again.
        """
        if isinstance(ref, Slot):
            return self.slots.copy(ref)
        return read_tensor(ref, self.frames)


@dataclass(eq=False)
class Pending:
    """A request under way. `done` turns true exactly once; then `answer()` returns or raises.

    Attributes:
        request: as it was asked.
        message: its frames.
        deadline: when it ends without an answer.
        before_ping: nonce of the first PING that follows it; None until it is sent.
        busy: how often the service had no room for it.
        retry_at: when it is sent again after that; None unless it waits so.
    """

    request: Request
    message: list[Buffer]
    deadline: float
    before_ping: int | None = None
    busy: int = 0
    retry_at: float | None = None
    result: Answer | None = None
    error: GlasshouseError | None = None

    @property
    def done(self) -> bool:
        """Whether the answer or the error is there."""
        return self.result is not None or self.error is not None

    @property
    def rows(self) -> int:
        """How many rows it asks for."""
        return rows_of(self.request.call)

    def answer(self) -> Answer:
        """The answer.

        Raises:
            GlasshouseError: why there is none; RuntimeError if it is still under way.
        """
        if self.error is not None:
            raise self.error
        if self.result is None:
            raise RuntimeError("this request is still under way; wait for it first")
        return self.result


@dataclass
class Session:
    """The state of one conversation.

    Attributes:
        endpoint: where the service listens, for messages to people.
        role: the role that the service must have.
        client: what this side calls itself.
        patience: how long it waits for what.
        outbox: frames to send, oldest first; the shell takes them.
        welcome: who answered, once it has.
        pong: the newest sign of progress.
        error: why the conversation is over; None while it lasts.
        slots: reads pools on this host.
        strays: messages that answered nothing.
        row_ms: measured time of a row; 0 before the first answer.
    """

    endpoint: str
    role: Role
    client: str
    patience: Patience = PATIENCE
    outbox: deque[list[Buffer]] = field(default_factory=deque)
    welcome: Welcome | None = None
    pong: Pong | None = None
    error: GlasshouseError | None = None
    slots: SlotReader = field(default_factory=SlotReader)
    strays: int = 0
    row_ms: float = 0.0
    _pending: dict[bytes, Pending] = field(default_factory=dict)
    _draining: bool = False
    _heard_at: float = 0.0
    _ticked_at: float = 0.0
    _pinged_at: float = 0.0
    _greeted_at: float = 0.0
    _nonce: int = 0

    def start(self, now: float) -> None:
        """Say HELLO."""
        self._heard_at = self._pinged_at = self._ticked_at = now
        self._greet(now)

    @property
    def info(self) -> ServiceInfo:
        """Who the service is.

        Raises:
            RuntimeError: before WELCOME.
        """
        if self.welcome is None:
            raise RuntimeError(f"{self.endpoint} has not said WELCOME yet")
        return self.welcome.info

    @property
    def state(self) -> State:
        """How the service is, judged by its own signs of progress."""
        if self.error is not None:
            return "lost"
        if self.welcome is None:
            return "starting"
        if self._ticked_at - self._heard_at > self.patience.quiet_s or self._stuck:
            return "hung"
        if self._draining:
            return "draining"
        return self.pong.state if self.pong else "ready"

    @property
    def rows(self) -> int:
        """Rows under way."""
        return sum(pending.rows for pending in self._pending.values())

    def submit(
        self,
        call: Method,
        frames: Sequence[memoryview],
        now: float,
        ttl_s: float,
        *,
        slots: bool = False,
        interactive: bool = False,
    ) -> Pending:
        """Send one request; `frames` are what its `TensorWriter` collected.

        With `slots`, large tensors of the answer may be slots; `release` them. `interactive` is for
        what a person waits for.

        Raises:
            ProtocolError: the request is over a limit of the protocol; names the field.
        """
        request = Request(
            id=secrets.token_bytes(16),
            ttl_s=ttl_s,
            call=call,
            slots=slots,
            interactive=interactive,
        )
        message = encode(request, frames)
        decode(message)  # what the service would refuse is said here, at once
        pending = Pending(request, message, deadline=now + ttl_s)
        if self.error is not None:
            pending.error = self.error
            return pending
        self._pending[request.id] = pending
        self._spend_credit()
        return pending

    def cancel(self, pending: Pending) -> None:
        """Nobody waits for this request any more; nothing happens if it has ended."""
        if self._pending.pop(pending.request.id, None) is not None:
            self._send(Cancel(id=pending.request.id))
            pending.error = DeadlineError(f"the {self.role} at {self.endpoint} was not waited for")
            self._spend_credit()

    def release(self, pending: Pending) -> None:
        """Give back the slots of an answer."""
        if self.error is None and pending.request.slots:
            self._send(Release(id=pending.request.id))

    def receive(self, frames: Sequence[Buffer], now: float) -> None:
        """Take one message from the service."""
        self._heard_at = now
        try:
            message, tensors = decode(frames)
        except ProtocolError as error:
            if self.welcome is None:
                self.fail(error)
            self.strays += 1
            return
        match message:
            case Welcome():
                self._welcomed(message, now)
            case Reply():
                self._replied(message, tensors)
            case ErrorMessage():
                self._refused(message, now)
            case Pong():
                self._progressed(message, now)
            case Bye():
                left = f"the {self.role} at {self.endpoint} left: {message.reason}"
                self.fail(ServiceLostError(left))
            case _:
                self.strays += 1

    def tick(self, now: float) -> None:
        """Let time pass: retries, deadlines, greetings, pings, silence."""
        for pending in list(self._pending.values()):
            if now >= pending.deadline:
                self._expire(pending)
            elif pending.retry_at is not None and now >= pending.retry_at:
                self._post(pending)
        if self.error is not None:
            return
        if now - self._ticked_at > self.patience.quiet_s / 2:  # this side slept or computed
            self._heard_at = now
        self._ticked_at = now
        if self.outbox:  # nobody takes what is there already
            self._check_silence(now)
        elif self.welcome is None:
            if now - self._greeted_at >= self.patience.ping_s:
                self._greet(now)
        else:
            self._check_silence(now)
            if now - self._pinged_at >= self.patience.ping_s:
                self.ping(now)

    def ping(self, now: float) -> None:
        """Ask for a sign of progress."""
        self._pinged_at = now
        self._nonce += 1
        self._send(Ping(nonce=self._nonce))

    def give_up(self, waited_s: float) -> None:
        """End a greeting that nobody answered."""
        sides = "FILE.py:FUNCTION --height 64 --width 64"
        model = sides if self.role == "scorer" else "--model MODEL"
        self.fail(
            UnreachableError(
                f"wanted a {self.role} at {self.endpoint}, but nobody answered in "
                f"{waited_s:.0f} s; start one with: "
                f"service {self.role} {model} --bind {self.endpoint}"
            )
        )

    def fail(self, error: GlasshouseError) -> None:
        """End the conversation: everything under way ends with `error`."""
        if self.error is None:
            self.error = error
            self.outbox.clear()
            for pending in self._pending.values():
                pending.error = error
            self._pending.clear()

    def _send(self, message: Message) -> None:
        if self.error is None:
            self.outbox.append(encode(message))

    def _sent(self, request_id: bytes) -> Pending | None:
        """The request of that id, if the service can know of it."""
        pending = self._pending.get(request_id)
        return pending if pending and pending.before_ping is not None else None

    def _greet(self, now: float) -> None:
        self._greeted_at = now
        self._send(
            Hello(
                lowest_version=PROTOCOL_VERSION,
                highest_version=PROTOCOL_VERSION,
                role=self.role,
                client=self.client,
            )
        )

    def _greet_again(self, now: float) -> None:
        """Make up for what was lost on the way; the service knows what it has by the ids."""
        if now - self._greeted_at < self.patience.ping_s:
            return
        self._greet(now)
        for pending in self._pending.values():
            if pending.before_ping is not None and pending.retry_at is None:
                self._post(pending)

    def _post(self, pending: Pending) -> None:
        pending.retry_at = None
        pending.before_ping = self._nonce + 1
        self.outbox.append(pending.message)

    def _spend_credit(self) -> None:
        """Send what waits, in its order, as far as the granted rows reach.

        A request that is larger than all credit goes when nothing else is outstanding. What a
        person waits for has a credit of its own, as it has a queue of its own in the service.
        """
        if self.welcome is None:
            return
        for interactive in (False, True):
            lane = [p for p in self._pending.values() if p.request.interactive == interactive]
            spent = sum(pending.rows for pending in lane if pending.before_ping is not None)
            for pending in lane:
                if pending.before_ping is not None:
                    continue
                if spent and spent + pending.rows > self.welcome.info.queue_rows:
                    break
                spent += pending.rows
                self._post(pending)

    def _welcomed(self, welcome: Welcome, now: float) -> None:
        if self.welcome is not None and welcome.incarnation != self.welcome.incarnation:
            self._replaced()
            return
        self.welcome = welcome
        self.ping(now)
        self._spend_credit()

    def _replied(self, reply: Reply, tensors: list[memoryview]) -> None:
        pending = self._sent(reply.id)
        if pending is None:
            self.strays += 1
            return
        del self._pending[reply.id]
        if isinstance(reply.result, ANSWER[type(pending.request.call)]):
            pending.result = Answer(reply, tensors, self.slots)
            self._measure(pending.rows, reply.compute_ms)
        else:
            wanted = ANSWER[type(pending.request.call)].__name__
            pending.error = ProtocolError(
                f"wanted {wanted} from the {self.role} at {self.endpoint}, but it answered "
                f"{type(reply.result).__name__}"
            )
        self._spend_credit()

    def _measure(self, rows: int, compute_ms: float) -> None:
        """What a row costs: batches have one fixed shape, however few rows they hold."""
        if rows:
            size = max(1, self.info.batch_rows)
            row_ms = compute_ms / (math.ceil(rows / size) * size)
            before = self.row_ms or row_ms
            self.row_ms = MEMORY * before + (1 - MEMORY) * row_ms

    def _refused(self, message: ErrorMessage, now: float) -> None:
        error = from_wire(message.code, message.message)
        if not message.id:
            if self.welcome is None:
                self.fail(error)
            else:
                self.strays += 1
            return
        pending = self._sent(message.id)
        if pending is None:
            self.strays += 1
        elif isinstance(error, BusyError):
            pending.busy += 1
            pause_s = self.patience.pause_s(pending.busy, message.retry_after_s)
            pending.retry_at = now + pause_s
        elif isinstance(error, ServiceLostError):  # it does not know us: the connection was cut
            self._greet_again(now)
        else:
            self._draining |= isinstance(error, DrainingError)
            pending.error = error
            del self._pending[message.id]
            self._spend_credit()

    def _progressed(self, pong: Pong, now: float) -> None:
        if self.welcome is not None and pong.incarnation != self.welcome.incarnation:
            self._replaced()
        self.pong = pong
        there = sum(
            pending.before_ping is not None
            and pending.before_ping <= pong.nonce
            and pending.retry_at is None
            for pending in self._pending.values()
        )
        if pong.held < there:
            self._greet_again(now)

    @property
    def _stuck(self) -> bool:
        """Whether the running batch takes far longer than this model's batches do."""
        if self.pong is None:
            return False
        usual_s = self.pong.batch_ms / 1000
        return self.pong.batch_age_s > max(self.patience.hung_s, HUNG_BATCHES * usual_s)

    def _check_silence(self, now: float) -> None:
        if self.welcome is not None and now - self._heard_at > self.patience.silence_s:
            self.fail(
                ServiceLostError(
                    f"the {self.role} at {self.endpoint} has been silent for "
                    f"{self.patience.silence_s:.0f} s; look at its terminal or start it again"
                )
            )

    def _replaced(self) -> None:
        self.fail(
            ServiceLostError(
                f"the {self.role} at {self.endpoint} was replaced by another process; connect again"
            )
        )

    def _expire(self, pending: Pending) -> None:
        self.cancel(pending)
        pending.error = DeadlineError(
            f"the {self.role} at {self.endpoint} did not answer within "
            f"{pending.request.ttl_s:.0f} s; it may be overloaded or hung"
        )
