"""What the checks stand on: raw clients of one service, and questions that fit its role.

A `Peer` sends any bytes and takes whatever comes; unlike the real client it repairs and hides
nothing. A `Bench` finds out the role by asking for each, and makes sample rows for it.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar, get_args

import numpy as np
import zmq

from protocol.client import encrypt
from protocol.endpoints import check_endpoint
from protocol.errors import ProtocolError
from protocol.frames import MAX_MESSAGE_BYTES, Buffer, decode, encode
from protocol.keys import server_key
from protocol.latent import LatentSpace
from protocol.messages import (
    Classes,
    ClassifierInfo,
    Classify,
    ClipInfo,
    Embeddings,
    EmbedImages,
    ErrorMessage,
    Generate,
    GeneratorInfo,
    Hello,
    Message,
    Method,
    Pictures,
    Ping,
    Pong,
    Reply,
    Request,
    Role,
    Score,
    Scores,
    Texts,
    Welcome,
    Write,
)
from protocol.tensors import Array, Slot, TensorRef, TensorWriter, read_tensor

ROLES: tuple[Role, ...] = get_args(Role)
MessageT = TypeVar("MessageT", bound=Message)


class Violation(Exception):  # noqa: N818 # a finding about another program, not an error of this one
    """The service does not keep the specification; the message says how."""


class Peer:
    """One DEALER to the service."""

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, timeout_s: float
    ) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        if (key := server_key(endpoint)) is not None:
            encrypt(self._socket, key)
        self._socket.connect(endpoint)
        self._timeout_s = timeout_s
        self.tensors: list[memoryview] = []

    def send(self, message: Message, frames: Sequence[memoryview] = ()) -> None:
        """Send a well-formed message."""
        self.send_raw(encode(message, frames))

    def send_raw(self, frames: Sequence[Buffer]) -> None:
        """Send any frames."""
        self._socket.send_multipart(list(frames))

    def ask(
        self,
        call: Method,
        frames: Sequence[memoryview] = (),
        *,
        request_id: bytes = b"",
        slots: bool = False,
    ) -> bytes:
        """Send a request; returns its id."""
        request_id = request_id or secrets.token_bytes(16)
        ttl_s = self._timeout_s
        self.send(Request(id=request_id, ttl_s=ttl_s, call=call, slots=slots), frames)
        return request_id

    def receive(self, wanted: type[MessageT], timeout_s: float | None = None) -> MessageT:
        """The next message, which must be of this kind; its frames are in `tensors`.

        Raises:
            Violation: nothing came, or something else.
        """
        message = self.receive_any(timeout_s)
        if message is None:
            raise Violation(f"wanted {wanted.__name__}, but no answer came in time")
        if not isinstance(message, wanted):
            raise Violation(f"wanted {wanted.__name__}, got {message!r:.300}")
        return message

    def receive_any(self, timeout_s: float | None = None) -> Message | None:
        """The next message, or None when none comes in time.

        Raises:
            Violation: it is not well-formed.
        """
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        if not self._socket.poll(int(wait_s * 1000)):
            return None
        frames = self._socket.recv_multipart()
        try:
            message, self.tensors = decode(frames)
        except ProtocolError as error:
            raise Violation(f"the service sent what is no message: {error}") from error
        return message

    def refused(self, code: str, request_id: bytes = b"") -> None:
        """Take an ERROR with this code and id.

        Raises:
            Violation: anything else came.
        """
        error = self.receive(ErrorMessage)
        if (error.code, error.id) != (code, request_id):
            raise Violation(
                f"wanted ERROR '{code}' with id '{request_id.hex()}', "
                f"got '{error.code}' with id '{error.id.hex()}': {error.message}"
            )

    def close(self) -> None:
        """Leave without a word."""
        self._socket.close()


@dataclass
class Bench:
    """The service under test.

    Attributes:
        endpoint: where it listens.
        timeout_s: how long an answer may take.
        welcome: what it said to the first HELLO with its role.
    """

    endpoint: str
    timeout_s: float
    role: Role = "generator"
    welcome: Welcome = field(init=False)
    _peers: list[Peer] = field(default_factory=list)

    def __enter__(self) -> Self:
        check_endpoint(self.endpoint)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for peer in self._peers:
            peer.close()
        self._context.term()

    def stranger(self) -> Peer:
        """A peer that has not said HELLO."""
        self._peers.append(Peer(self._context, self.endpoint, self.timeout_s))
        return self._peers[-1]

    def peer(self) -> Peer:
        """A peer that was welcomed."""
        peer = self.stranger()
        peer.send(self.hello(self.role))
        peer.receive(Welcome)
        return peer

    def hello(self, role: Role, lowest: int = 1, highest: int = 1) -> Hello:
        """A HELLO of the kit."""
        return Hello(lowest, highest, role, "service check")

    def find_role(self) -> None:
        """Ask for each role until one is welcome.

        Raises:
            Violation: none is, or the service does not answer.
        """
        peer = self.stranger()
        for role in ROLES:
            peer.send(self.hello(role))
            answer = peer.receive_any()
            if isinstance(answer, Welcome):
                self.role, self.welcome = role, answer
                return
            if not isinstance(answer, ErrorMessage):
                raise Violation(f"HELLO for a {role} was answered with {answer!r:.200}")
        raise Violation(f"HELLO was refused for every role: {', '.join(ROLES)}")

    def sample(self, rows: int, seed: int = 0) -> Array:
        """Rows that this service takes, different from each other."""
        rng = np.random.default_rng(seed)
        about = self.welcome.info.about
        if isinstance(about, GeneratorInfo):
            return draw(about.spaces[0], rows, rng)
        if isinstance(about, ClipInfo | ClassifierInfo):
            sides = (about.image_size, about.image_size)
        else:
            sides = (about.height, about.width)
        return rng.integers(0, 256, (rows, *sides, 3), np.uint8)

    def method(self, rows: Array, writer: TensorWriter) -> Method:
        """The question about these rows."""
        about, tensor = self.welcome.info.about, writer.add(rows)
        if isinstance(about, GeneratorInfo) and about.writes:
            return Write(space=about.spaces[0].name, genomes=tensor)
        if isinstance(about, GeneratorInfo):
            return Generate(space=about.spaces[0].name, genomes=tensor)
        return looking(self.role, tensor)

    def submit(self, peer: Peer, rows: Array, *, slots: bool = False) -> bytes:
        """Ask about rows; returns the request's id."""
        writer = TensorWriter()
        return peer.ask(self.method(rows, writer), writer.frames, slots=slots)

    def answer(self, peer: Peer, rows: Array) -> Array:
        """Ask about rows and take the answer, one output row each."""
        return self.output(peer, self.submit(peer, rows), len(rows))

    def output(self, peer: Peer, request_id: bytes, rows: int) -> Array:
        """Take the REPLY to a request.

        Raises:
            Violation: it does not come, or is not what the role answers.
        """
        reply = self.take(peer, request_id)
        result = reply.result
        match result:
            case Pictures():
                ref = result.images
            case Texts():
                ref = result.texts
            case Embeddings():
                ref = result.embeddings
            case Scores() | Classes():
                ref = result.logits
            case _:
                raise Violation(f"rows were answered with {type(result).__name__}")
        if isinstance(ref, Slot):
            raise Violation("a slot was sent to a client that did not ask for slots")
        output = read_tensor(ref, peer.tensors)
        if output.ndim == 0 or len(output) != rows:
            raise Violation(f"{rows} rows were answered with shape {output.shape}")
        return output

    def take(self, peer: Peer, request_id: bytes) -> Reply:
        """The REPLY to this request, of the announced model; PONGs are passed over."""
        reply = peer.receive(Reply)
        if reply.id != request_id:
            raise Violation("REPLY has the id of another request")
        if reply.digest != self.welcome.info.digest:
            raise Violation(f"REPLY says digest {reply.digest}, WELCOME said otherwise")
        return reply

    def answered(self, peer: Peer, wanted: set[bytes]) -> list[bytes]:
        """Ids of the replies that come until those to all wanted requests have.

        A service keeps the order of what it says to a peer: when a PONG says that it holds nothing
        more of this peer, all its answers have come.

        Raises:
            Violation: it holds nothing more, or nothing comes in time.
        """
        found: list[bytes] = []
        until = time.monotonic() + self.timeout_s
        while not wanted <= set(found):
            peer.send(Ping(nonce=1))
            while isinstance(message := peer.receive_any(), Reply):
                found.append(message.id)
                until = time.monotonic() + self.timeout_s
            if not isinstance(message, Pong):
                raise Violation(f"wanted REPLY or PONG, got {message!r:.300}")
            missing = wanted - set(found)
            if missing and (not message.held or time.monotonic() > until):
                raise Violation(
                    f"{len(missing)} requests that nobody cancelled were not answered, and "
                    f"{message.held} are held"
                )
            time.sleep(0.02)
        return found


def looking(role: Role, images: TensorRef) -> Method:
    """What a service of this role is asked about pictures."""
    if role == "clip":
        return EmbedImages(images=images)
    return Classify(images=images) if role == "classifier" else Score(images=images)


def draw(space: LatentSpace, rows: int, rng: np.random.Generator) -> Array:
    """(rows, size) float32 genomes inside the bounds."""
    genomes = rng.standard_normal((rows, space.size), np.float32)
    for segment, columns in space.slices():
        if segment.kind == "real":
            genomes[:, columns] = genomes[:, columns].clip(segment.low, segment.high)
        else:
            shape = (rows, segment.size)
            genomes[:, columns] = rng.integers(int(segment.low), int(segment.high) + 1, shape)
    return genomes
