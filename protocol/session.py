"""One client's conversation with one life of one service, without a socket.

Events go in (`submit`, `receive`, `tick`, `fail`), frames to send come out of `outbox`. Time is an
argument, so every transition is tested without a clock, a thread or a network. It promises that
every request ends: with a reply, with the service's error, with its deadline, or with the loss of
the service. A request is answered only by a message with its id, of the kind its method announces;
whatever else a peer sends is counted and ignored.
"""

import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.errors import (
    BusyError,
    DeadlineError,
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
    Describe,
    Description,
    Embeddings,
    EmbedImages,
    EmbedTexts,
    ErrorMessage,
    Generate,
    Hello,
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
    Welcome,
)
from protocol.slots import SlotReader
from protocol.tensors import Array, Slot, TensorRef, read_tensor

PING_EVERY_S = 0.5
SILENCE_S = 20.0  # a service answers PING while it computes, so silence this long is loss
AWAY_S = 5.0  # who did not listen for so long cannot call the other side silent
BUSY_RETRY_S = 0.05

ANSWER: dict[type[Method], type[Result]] = {
    Describe: Description,
    Probe: Probed,
    Generate: Pictures,
    EmbedTexts: Embeddings,
    EmbedImages: Embeddings,
    Score: Scores,
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
    """A request under way. `done` turns true exactly once; then `answer()` returns or raises."""

    request: Request
    frames: Sequence[memoryview]
    deadline: float
    retry_at: float | None = None
    result: Answer | None = None
    error: GlasshouseError | None = None

    @property
    def done(self) -> bool:
        """Whether the answer or the error is there."""
        return self.result is not None or self.error is not None

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
        outbox: frames to send, oldest first; the shell takes them.
        welcome: who answered, once it has.
        pong: the newest sign of progress.
        error: why the conversation is over; None while it lasts.
        slots: reads pools on this host.
        strays: messages that answered nothing.
    """

    endpoint: str
    role: Role
    client: str
    outbox: deque[list[Buffer]] = field(default_factory=deque)
    welcome: Welcome | None = None
    pong: Pong | None = None
    error: GlasshouseError | None = None
    slots: SlotReader = field(default_factory=SlotReader)
    strays: int = 0
    _pending: dict[bytes, Pending] = field(default_factory=dict)
    _heard_at: float = 0.0
    _ticked_at: float = 0.0
    _pinged_at: float = 0.0
    _nonce: int = 0

    def start(self, now: float) -> None:
        """Say HELLO."""
        self._heard_at = self._pinged_at = self._ticked_at = now
        self._send(
            Hello(
                lowest_version=PROTOCOL_VERSION,
                highest_version=PROTOCOL_VERSION,
                role=self.role,
                client=self.client,
            )
        )

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
    def outstanding(self) -> int:
        """Requests under way."""
        return len(self._pending)

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
            ProtocolError: the request is over a limit of the protocol.
        """
        request = Request(
            id=secrets.token_bytes(16),
            ttl_s=ttl_s,
            call=call,
            slots=slots,
            interactive=interactive,
        )
        pending = Pending(request, frames, deadline=now + ttl_s)
        if self.error is not None:
            pending.error = self.error
            return pending
        self.outbox.append(encode(request, frames))
        self._pending[request.id] = pending
        return pending

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
                self.welcome = message
            case Reply():
                self._replied(message, tensors)
            case ErrorMessage():
                self._refused(message, now)
            case Pong():
                self._progressed(message)
            case Bye():
                left = f"the {self.role} at {self.endpoint} left: {message.reason}"
                self.fail(ServiceLostError(left))
            case _:
                self.strays += 1

    def tick(self, now: float) -> None:
        """Let time pass: retries, deadlines, pings, silence."""
        for pending in list(self._pending.values()):
            if now >= pending.deadline:
                self._expire(pending)
            elif pending.retry_at is not None and now >= pending.retry_at:
                pending.retry_at = None
                self.outbox.append(encode(pending.request, pending.frames))
        if self.welcome is None or self.error is not None:
            return
        if now - self._ticked_at > AWAY_S:  # this side slept, computed or was suspended
            self._heard_at = now
        self._ticked_at = now
        if now - self._heard_at > SILENCE_S:
            self.fail(
                ServiceLostError(
                    f"the {self.role} at {self.endpoint} has been silent for {SILENCE_S:.0f} s; "
                    "look at its terminal or start it again"
                )
            )
        elif now - self._pinged_at >= PING_EVERY_S:
            self.ping(now)

    def ping(self, now: float) -> None:
        """Ask for a sign of progress."""
        self._pinged_at = now
        self._nonce += 1
        self._send(Ping(nonce=self._nonce))

    def give_up(self, waited_s: float) -> None:
        """End a greeting that nobody answered."""
        self.fail(
            UnreachableError(
                f"wanted a {self.role} at {self.endpoint}, but nobody answered in "
                f"{waited_s:.0f} s; start one with: "
                f"service {self.role} --model MODEL --bind {self.endpoint}"
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
        self.outbox.append(encode(message))

    def _replied(self, reply: Reply, tensors: list[memoryview]) -> None:
        pending = self._pending.pop(reply.id, None)
        if pending is None:
            self.strays += 1
        elif isinstance(reply.result, ANSWER[type(pending.request.call)]):
            pending.result = Answer(reply, tensors, self.slots)
        else:
            wanted = ANSWER[type(pending.request.call)].__name__
            pending.error = ProtocolError(
                f"wanted {wanted} from the {self.role} at {self.endpoint}, but it answered "
                f"{type(reply.result).__name__}"
            )

    def _refused(self, message: ErrorMessage, now: float) -> None:
        error = from_wire(message.code, message.message)
        if not message.id:
            if self.welcome is None:
                self.fail(error)
            else:
                self.strays += 1
            return
        pending = self._pending.get(message.id)
        if pending is None:
            self.strays += 1
        elif isinstance(error, BusyError):
            wait_s = max(message.retry_after_s, BUSY_RETRY_S)
            pending.retry_at = now + wait_s * (0.5 + secrets.randbelow(1000) / 1000)
        else:
            pending.error = error
            del self._pending[message.id]

    def _progressed(self, pong: Pong) -> None:
        if self.welcome is not None and pong.incarnation != self.welcome.incarnation:
            self.fail(
                ServiceLostError(
                    f"the {self.role} at {self.endpoint} was replaced by another process; "
                    "connect again"
                )
            )
        self.pong = pong

    def _expire(self, pending: Pending) -> None:
        del self._pending[pending.request.id]
        self._send(Cancel(id=pending.request.id))
        pending.error = DeadlineError(
            f"the {self.role} at {self.endpoint} did not answer within "
            f"{pending.request.ttl_s:.0f} s; it may be overloaded or hung"
        )
