"""The checks, one function each: they raise `Violation` where a service breaks docs/wire.md.

Every check uses peers of its own, so one that fails does not disturb the next. A message over
256 MiB is not sent: it would cost that much memory on both sides.
"""

import secrets
import time
from collections.abc import Callable, Iterator

import msgpack
import numpy as np
from msgspec.structs import replace

from protocol.errors import GlasshouseError
from protocol.frames import MAX_FRAMES, MAX_HEADER_BYTES
from protocol.messages import (
    Cancel,
    ClassifierInfo,
    ClientNames,
    Clients,
    Describe,
    Description,
    EmbedTexts,
    Fetch,
    Fetched,
    Generate,
    GeneratorInfo,
    Labels,
    Method,
    Ping,
    Pong,
    Probe,
    Probed,
    Release,
    Reply,
    Role,
    Texts,
    Welcome,
)
from protocol.slots import SlotReader
from protocol.tensors import Array, Pool, Slot, TensorWriter, read_tensor
from protocol.texts import unpack_texts
from services.conformance.bench import ROLES, Bench, Peer, Violation, looking

Check = Callable[[Bench], None]
CHECKS: dict[str, Check] = {}
PONG_S = 2.0


def check(function: Check) -> Check:
    """Add a check under its name."""
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


def run(bench: Bench) -> Iterator[tuple[str, str]]:
    """Each check's name and how the service violates it; empty if it does not."""
    for name, function in CHECKS.items():
        violated = ""
        try:
            function(bench)
            alive(bench)
        except Violation as violation:
            violated = str(violation)
        yield name, violated


def require(condition: object, otherwise: str) -> None:
    """Raise `Violation` unless the condition holds."""
    if not condition:
        raise Violation(otherwise)


def ping_s(peer: Peer, nonce: int) -> float:
    """How long a PONG takes, the next message of this peer."""
    started = time.monotonic()
    peer.send(Ping(nonce=nonce))
    require(peer.receive(Pong).nonce == nonce, "PONG has another nonce than its PING")
    return time.monotonic() - started


def alive(bench: Bench) -> None:
    """It still answers a PING from somebody new."""
    ping_s(bench.stranger(), 77)


@check
def greets_with_who_it_is(bench: Bench) -> None:
    """WELCOME is complete and consistent."""
    peer = bench.stranger()
    peer.send(bench.hello(bench.role))
    welcome = peer.receive(Welcome)
    require(welcome.version == 1, f"WELCOME chose version {welcome.version} of 1 to 1")
    require(welcome == bench.welcome, "a second WELCOME differs from the first")
    require(welcome.info.role == bench.role, "WELCOME is of another role than HELLO asked for")
    require(welcome.info.batch_rows >= 1, "batch_rows is 0")
    require(welcome.info.queue_rows >= welcome.info.batch_rows, "queue_rows is below batch_rows")
    about = welcome.info.about
    if isinstance(about, GeneratorInfo):
        require(about.spaces, "a generator has no latent space")
        require(about.writes or about.height * about.width, "its pictures have no pixels")
        for space in about.spaces:
            try:
                space.check()
            except GlasshouseError as error:
                raise Violation(str(error)) from error


@check
def describes_itself_as_in_welcome(bench: Bench) -> None:
    """`describe` repeats WELCOME's info."""
    peer = bench.peer()
    result = bench.take(peer, peer.ask(Describe())).result
    require(isinstance(result, Description), "describe was not answered with a description")
    require(result == Description(bench.welcome.info), "the description differs from WELCOME")


@check
def names_its_clients(bench: Bench) -> None:
    """`clients` names whoever said HELLO just now."""
    peer = bench.peer()
    result = bench.take(peer, peer.ask(Clients())).result
    named = isinstance(result, ClientNames) and "service check" in result.names
    require(named, "a client that said HELLO just now is not named")


@check
def names_its_classes(bench: Bench) -> None:
    """Of a classifier: `labels` gives one text for each class of each head, none of them empty."""
    about = bench.welcome.info.about
    if not isinstance(about, ClassifierInfo):
        return
    peer = bench.peer()
    result = bench.take(peer, peer.ask(Labels())).result
    if not isinstance(result, Texts) or isinstance(result.texts, Slot):
        raise Violation("labels were not answered with texts")
    texts = unpack_texts(read_tensor(result.texts, peer.tensors))
    classes = sum(head.classes for head in about.heads)
    require(len(texts) == classes, f"{classes} classes have {len(texts)} labels")
    require(all(texts), "a class has no name")
    logits = bench.answer(peer, bench.sample(1))
    require(logits.shape == (1, classes), f"{classes} classes got logits of shape {logits.shape}")


@check
def refuses_other_versions(bench: Bench) -> None:
    """HELLO for versions 7 to 9, and bytes of version 9."""
    peer = bench.stranger()
    peer.send(bench.hello(bench.role, 7, 9))
    peer.refused("version")
    peer.send_raw([header(6, {"nonce": 1}, version=9)])
    peer.refused("version")


@check
def refuses_other_roles(bench: Bench) -> None:
    """HELLO for each role that it does not have."""
    peer = bench.stranger()
    for role in ROLES:
        if role != bench.role:
            peer.send(bench.hello(role))
            peer.refused("bad_request")


@check
def refuses_requests_before_hello(bench: Bench) -> None:
    """A request from a stranger gets `lost` with its id; PING is answered."""
    peer = bench.stranger()
    peer.refused("lost", peer.ask(Describe()))
    peer.send(Ping(nonce=3))
    require(
        peer.receive(Pong).incarnation == bench.welcome.incarnation,
        "PONG and WELCOME name different incarnations",
    )


@check
def refuses_garbage(bench: Bench) -> None:
    """Bytes that are no message, in every place."""
    peer = bench.peer()
    for frames in garbage():
        peer.send_raw(frames)
        peer.refused("protocol")


@check
def refuses_frames_that_lie(bench: Bench) -> None:
    """Tensors that are not what their references say."""
    peer = bench.peer()
    for frames in lies():
        peer.send_raw(frames)
        peer.refused("protocol")


@check
def refuses_what_its_role_cannot_do(bench: Bench) -> None:
    """A method of another role."""
    peer = bench.peer()
    peer.refused("bad_request", peer.ask(foreign_method(bench.role)))


@check
def refuses_wrong_shapes_and_values(bench: Bench) -> None:
    """No rows, a missing column, another dtype, and NaN where there are floats."""
    peer, rows = bench.peer(), bench.sample(2)
    other = np.float32 if rows.dtype == np.uint8 else np.uint8
    wrong = [rows[:0], rows[..., :-1], rows.astype(other), rows[0]]
    if rows.dtype == np.float32:
        wrong.append(np.full_like(rows, np.nan))
    for array in wrong:
        peer.refused("bad_request", bench.submit(peer, np.ascontiguousarray(array)))


@check
def answers_each_request_once(bench: Bench) -> None:
    """Three requests, three replies with their ids, and nothing more."""
    peer, rows = bench.peer(), bench.sample(3)
    asked = {bench.submit(peer, rows[: count + 1]): count + 1 for count in range(3)}
    for _ in range(3):
        reply = peer.receive(Reply)
        require(asked.pop(reply.id, 0), "a REPLY has an unknown id, or came twice")
    message = peer.receive_any(0.3)
    require(message is None, f"something came that nobody asked for: {message!r:.200}")


@check
def answers_pings_while_it_computes(bench: Bench) -> None:
    """PONGs do not wait for the REPLY."""
    peer, other = bench.peer(), bench.stranger()
    for attempt in range(5):  # once it may be the machine that is slow
        rows = bench.sample(bench.welcome.info.batch_rows * 4, seed=attempt)
        request_id = bench.submit(peer, rows)
        slowest_s = max(ping_s(other, nonce) for nonce in range(5))
        bench.output(peer, request_id, len(rows))
        if slowest_s < PONG_S:
            return
    raise Violation(f"while it computes, PONG comes {slowest_s:.0f} s after its PING")


@check
def cancels(bench: Bench) -> None:
    """A cancelled request is answered once at most, others all the same; strangers cannot."""
    peer, stranger = bench.peer(), bench.peer()
    rows = bench.sample(bench.welcome.info.batch_rows * 2)
    kept, gone = bench.submit(peer, rows), bench.submit(peer, rows)
    peer.send(Ping(nonce=5))  # its PONG says that both requests were taken before the cancels
    answered: list[bytes] = []
    while isinstance(message := peer.receive_any(), Reply):
        answered.append(message.id)
    require(isinstance(message, Pong), f"wanted PONG, got {message!r:.300}")
    stranger.send(Cancel(id=kept))
    peer.send(Cancel(id=gone))
    peer.send(Cancel(id=secrets.token_bytes(16)))
    last = bench.submit(peer, rows[:1])
    answered += bench.answered(peer, {kept, last} - set(answered))
    require(answered.count(gone) <= 1, "a cancelled request was answered twice")


@check
def gives_a_row_the_same_answer_wherever_it_stands(bench: Bench) -> None:
    """Alone, among others, in any place, and with rows of another client: bit for bit."""
    peer, other = bench.peer(), bench.peer()
    rows = bench.sample(2 * bench.welcome.info.batch_rows + 3)
    together = bench.answer(peer, rows)
    order = np.random.default_rng(1).permutation(len(rows))
    require(
        same(bench.answer(peer, rows[order]), together[order]),
        "a row's answer depends on its place in the batch",
    )
    for row in (0, len(rows) // 2, len(rows) - 1):
        alone = bench.answer(peer, rows[row : row + 1])
        require(same(alone[0], together[row]), "a row's answer depends on the rows beside it")
    strange = bench.submit(other, bench.sample(5, seed=9))
    mine = bench.submit(peer, rows[:5])
    require(
        same(bench.output(peer, mine, 5), together[:5]),
        "a row's answer depends on the rows of other clients",
    )
    bench.output(other, strange, 5)


@check
def refuses_slots_it_cannot_read(bench: Bench) -> None:
    """`probe` of a pool that does not exist, and a reference into it."""
    peer = bench.peer()
    pool = Pool(secrets.token_hex(8), bytes(16))
    for endpoint in ("", "nonsense", "ipc:///dev/null", "tcp://203.0.113.1:9"):
        result = bench.take(peer, peer.ask(Probe(pool=pool, endpoint=endpoint))).result
        require(result == Probed(readable=False), "it claims to read a pool that does not exist")
    if bench.role != "generator":
        sample = bench.sample(2)
        slot = Slot("uint8", sample.shape, pool.name, 0, 1)
        peer.refused("slot_lost", peer.ask(looking(bench.role, slot)))


@check
def leases_slots(bench: Bench) -> None:
    """Where it has a pool that this host can read: the same answer in a slot, until RELEASE."""
    pool, reader = bench.welcome.pool, SlotReader()
    if pool is None or not reader.can_read(pool):
        return
    peer, rows = bench.peer(), bench.sample(2)
    wanted = bench.answer(peer, rows)
    reply = bench.take(peer, bench.submit(peer, rows, slots=True))
    ref = getattr(reply.result, "images", None)
    if not isinstance(ref, Slot):
        return  # no slot was free
    try:
        require(same(reader.copy(ref), wanted), "a slot holds something else than the frames")
    except GlasshouseError as error:
        raise Violation(f"a leased slot cannot be read: {error}") from error
    view = reader.view(ref)
    peer.send(Release(id=reply.id))
    ping_s(peer, 1)  # its PONG says that RELEASE was taken before
    require(not view.intact(), "RELEASE did not raise the slot's reuse count")


@check
def hands_over_slots(bench: Bench) -> None:
    """Where it has a pool: `fetch` gives what a leased slot holds, and nothing else."""
    if bench.welcome.pool is None:
        return
    peer, other, rows = bench.peer(), bench.peer(), bench.sample(2)
    wanted = bench.answer(peer, rows)
    reply = bench.take(peer, bench.submit(peer, rows, slots=True))
    ref = getattr(reply.result, "images", None)
    if not isinstance(ref, Slot):
        return  # no slot was free
    result = bench.take(other, other.ask(Fetch(slot=ref))).result
    if not isinstance(result, Fetched) or isinstance(result.tensor, Slot):
        raise Violation("fetch was not answered with what the slot holds")
    require(same(read_tensor(result.tensor, other.tensors), wanted), "a slot holds something else")
    other.refused("slot_lost", other.ask(Fetch(slot=replace(ref, count=ref.count + 1))))
    peer.send(Release(id=reply.id))
    ping_s(peer, 1)
    other.refused("slot_lost", other.ask(Fetch(slot=ref)))


def foreign_method(role: Role) -> Method:
    """What a service of this role cannot do."""
    if role == "clip":
        return Generate(space="z", genomes=TensorWriter().add(np.zeros((1, 2), np.float32)))
    return EmbedTexts(texts=("a",))


def same(left: Array, right: Array) -> bool:
    """Bit for bit."""
    return left.shape == right.shape and left.tobytes() == right.tobytes()


def header(kind: int, fields: object, *, version: int = 1) -> bytes:
    """A first frame of any content."""
    packed = fields if isinstance(fields, bytes) else msgpack.packb(fields)
    return b"GH" + bytes((version, kind)) + packed


def garbage() -> Iterator[list[bytes]]:
    """Frames that are no message."""
    good = header(6, {"nonce": 1})
    yield [b""]
    yield [b"GET / HTTP/1.1\r\n\r\n"]
    yield [secrets.token_bytes(200)]
    yield [b"XX" + good[2:]]
    yield [header(99, {"nonce": 1})]
    yield [good[:-1]]
    yield [good + b"\0"]
    yield [header(6, [1])]
    yield [header(6, {"nonce": 1, "extra": 2})]
    yield [header(6, {"nonce": "1"})]
    yield [header(6, {"nonce": -1})]
    yield [header(6, {"nonce": msgpack.ExtType(5, b"x")})]
    yield [header(6, {"nonce": msgpack.Timestamp(1)})]
    yield [header(6, b"\x91" * 15_000)]
    yield [header(6, b"\xdd\xff\xff\xff\xff")]
    yield [header(9, {"reason": "x" * MAX_HEADER_BYTES})]
    yield [good, *[b"x"] * (MAX_FRAMES + 1)]
    yield [header(9, {"reason": "a client does not say BYE"})]


def lies() -> Iterator[list[bytes]]:
    """Requests whose tensors are not what they say."""
    frame = {"at": "frame", "dtype": "uint8", "shape": [4], "index": 0}
    slot = {"at": "slot", "dtype": "uint8", "shape": [4], "slot": 0, "count": 1}
    tensors: list[tuple[dict[str, object], list[bytes]]] = [
        (frame, []),
        (frame, [b"12345"]),
        (frame, [b"1234", b"5678"]),
        ({**frame, "index": -1}, [b"1234"]),
        ({**frame, "shape": [-2, -2]}, [b"1234"]),
        ({**frame, "shape": [1] * 9}, [b"1"]),
        ({**frame, "shape": [2**40, 2**40]}, [b"1234"]),
        ({**frame, "dtype": "float64"}, [b"1234"]),
        ({"at": "inline", "dtype": "uint8", "shape": [3], "data": b"1234"}, []),
        ({**slot, "pool": "../../../etc/passwd"}, []),
        ({**slot, "pool": "0" * 16, "count": 0}, []),
    ]
    for ref, frames in tensors:
        call = {"method": "score", "images": ref}
        yield [header(3, {"id": bytes(16), "ttl_s": 1.0, "call": call}), *frames]
