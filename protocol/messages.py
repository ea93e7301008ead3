"""Every message of the protocol: who sends it, when, and what may come back.

Conversation::

    client                         service
    HELLO  ----------------------> checks version and role
           <---------------------- WELCOME (who it is, limits, latent spaces or sizes)  or ERROR
    REQUEST (one method) --------> queues the rows
           <---------------------- REPLY  or ERROR (same request id)
    PING   ----------------------> answered at once, also while the model computes
           <---------------------- PONG (state, queue, progress)
    CANCEL ----------------------> drops what is still queued of that request
    RELEASE ---------------------> frees the slots that the reply to that request leased
           <---------------------- BYE, when the service leaves; nothing follows

Messages are maps on the wire; unknown fields, wrong types and numbers out of range are refused
before anything acts on them. No message holds code, paths or untyped values.
"""

from typing import Annotated, ClassVar, Literal, get_args

import msgspec

from protocol.latent import LatentSpace
from protocol.tensors import Pool, Slot, TensorRef

PROTOCOL_VERSION = 1

Role = Literal["generator", "clip", "discriminator", "scorer", "classifier"]
State = Literal["starting", "ready", "busy", "draining", "hung", "lost"]
RequestId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4_000)]
Side = Annotated[int, msgspec.Meta(ge=0, le=4_096)]
Preprocessing = Literal["legacy"] | msgspec.UnsetType
Resizing = Literal["shortest-bilinear", "squash-bicubic", "squash-bilinear"] | msgspec.UnsetType


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all parts of messages share."""


# What a service says of itself.


class GeneratorInfo(_Wire, frozen=True, tag="generator", tag_field="role"):
    """A generator: genomes of one of `spaces` in, pictures of `height` x `width` out.

    Attributes:
        writes: it writes texts instead (`Write`); height and width are then 0.
    """

    spaces: tuple[LatentSpace, ...]
    height: Side
    width: Side
    writes: bool = False


class ClipInfo(_Wire, frozen=True, tag="clip", tag_field="role"):
    """A CLIP: texts or pictures of `image_size` squared in, vectors of `embedding_size` out.

    Attributes:
        image_size: side of the squares that it takes.
        embedding_size: length of a vector.
        context_tokens: most tokens of a text; the rest of longer ones is not seen.
        resizing: how it wants pictures of other sizes made ready, always antialiased. Left out:
            the shortest side to `image_size`, bicubic, and a centre crop; `squash` is both sides.
    """

    image_size: Side
    embedding_size: Count
    context_tokens: Count
    resizing: Resizing = msgspec.UNSET


class DiscriminatorInfo(_Wire, frozen=True, tag="discriminator", tag_field="role"):
    """A discriminator: pictures of `height` x `width` in, one logit each out (real is high)."""

    height: Side
    width: Side


class ScorerInfo(_Wire, frozen=True, tag="scorer", tag_field="role"):
    """A user's own judge: pictures of `height` x `width` in, one number each out.

    Attributes:
        lower_is_better: whether its number is to be made small; otherwise large.
    """

    height: Side
    width: Side
    lower_is_better: bool = False


class Head(_Wire, frozen=True):
    """One question that a classifier answers: which of so many classes; `Labels` names them."""

    name: Name
    classes: Annotated[int, msgspec.Meta(ge=1)]


class ClassifierInfo(_Wire, frozen=True, tag="classifier", tag_field="role"):
    """A classifier: pictures of any size in, for each head logits of its classes out.

    Attributes:
        image_size: side of the squares that its own preprocessing makes of them.
        heads: its questions; a row of logits holds those of all heads, one after the other.
        feature_size: length of the vector that it describes a picture by.
    """

    image_size: Side
    heads: Annotated[tuple[Head, ...], msgspec.Meta(min_length=1, max_length=64)]
    feature_size: Count


RoleInfo = GeneratorInfo | ClipInfo | DiscriminatorInfo | ScorerInfo | ClassifierInfo


class ServiceInfo(_Wire, frozen=True):
    """Who answers: the model, the limits, and what its role needs to be known.

    Attributes:
        model: catalogue name.
        digest: `blake2b:` and 32 hex digits of the weights file.
        device: `cpu`, `cuda:0`, ...
        batch_rows: the fixed number of rows in which the model computes.
        queue_rows: a client's credit: rows that it may have outstanding. A client keeps to it;
            what is too much all the same is answered with `busy`.
        about: what only this role says.
    """

    model: Name
    digest: Name
    device: Name
    batch_rows: Count
    queue_rows: Count
    about: RoleInfo

    @property
    def role(self) -> str:
        """`generator`, `clip`, `discriminator`, `scorer` or `classifier`."""
        return str(self.about.__struct_config__.tag)


# Methods: what a client asks, and what it gets.


class Describe(_Wire, frozen=True, tag="describe", tag_field="method"):
    """Any role: say again what WELCOME said. Answer: `Description`."""


class Clients(_Wire, frozen=True, tag="clients", tag_field="method"):
    """Any role: who speaks to you? Answer: `ClientNames`, at once."""


class Probe(_Wire, frozen=True, tag="probe", tag_field="method"):
    """Any role: can you read the slots of this pool, or fetch them? Answer: `Probed`.

    Attributes:
        pool: as its owner announced it in WELCOME.
        endpoint: where its owner listens, if slots may be fetched from there; else empty.
    """

    pool: Pool
    endpoint: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Fetch(_Wire, frozen=True, tag="fetch", tag_field="method"):
    """Any role with a pool: send me what this slot of yours holds. Answer: `Fetched`, at once."""

    slot: Slot


class Generate(_Wire, frozen=True, tag="generate", tag_field="method"):
    """Generator: draw one picture a genome. Answer: `Pictures`.

    Attributes:
        space: name of the latent space that the genomes are of.
        genomes: (rows, size of the space) float32.
        truncation_psi: 1 draws as trained, towards 0 everything becomes the average picture.
        clip_size: also return the pictures resized to this square for CLIP; 0 for none.
        resizing: how, as `ClipInfo` says.
    """

    space: Name
    genomes: TensorRef
    truncation_psi: Annotated[float, msgspec.Meta(ge=0, le=2)] = 1.0
    clip_size: Side = 0
    resizing: Resizing = msgspec.UNSET


class Write(_Wire, frozen=True, tag="write", tag_field="method"):
    """Generator that writes: one text a genome. Answer: `Texts`.

    Attributes:
        space: name of the latent space that the genomes are of.
        genomes: (rows, size of the space) float32.
        temperature: 0 takes the likeliest token each time; above, tokens are drawn from the logits
            divided by it.
        seed: of that draw, which depends on it and on the row's own genome alone.
    """

    space: Name
    genomes: TensorRef
    temperature: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0
    seed: Count = 0


class EmbedTexts(_Wire, frozen=True, tag="embed_texts", tag_field="method"):
    """CLIP: embed texts. Answer: `Embeddings`, one row a text."""

    texts: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=256)]


class EmbedImages(_Wire, frozen=True, tag="embed_images", tag_field="method"):
    """CLIP: embed pictures (rows, image_size, image_size, 3) uint8. Answer: `Embeddings`.

    Attributes:
        images: the pictures, as CLIP's own preprocessing resized them.
        preprocessing: left out, CLIP's mean and deviation are applied. `legacy` takes pictures of
            any size and sees them as CLIP-GLaSS showed them to it: squashed to a square, bilinear
            without antialiasing, values from 0 to 1 without mean and deviation.
    """

    images: TensorRef
    preprocessing: Preprocessing = msgspec.UNSET


class Score(_Wire, frozen=True, tag="score", tag_field="method"):
    """Discriminator or scorer: judge pictures (rows, height, width, 3) uint8. Answer: `Scores`."""

    images: TensorRef


class Classify(_Wire, frozen=True, tag="classify", tag_field="method"):
    """Classifier: what pictures show, (rows, height, width, 3) uint8. Answer: `Classes`."""

    images: TensorRef


class Labels(_Wire, frozen=True, tag="labels", tag_field="method"):
    """Classifier: what its classes are called. Answer: `Texts`, one row a class.

    Those of all heads, one after the other; of several names of a class, ", " lies between. They
    are asked for because a thousand of them do not fit into WELCOME.
    """


class SimilarityGradient(_Wire, frozen=True, tag="similarity_gradient", tag_field="method"):
    """CLIP: how the similarity to a target changes with each pixel. Answer: `Gradients`.

    Similarity is the dot product of a picture's embedding and the target.

    Attributes:
        images: (rows, image_size, image_size, 3) uint8; the gradient is taken at these levels.
        target: (embedding_size,) float32, an embedding or a weighted sum of several.
        preprocessing: as in `EmbedImages`; with `legacy`, pictures of any size.
    """

    images: TensorRef
    target: TensorRef
    preprocessing: Preprocessing = msgspec.UNSET


class LatentGradient(_Wire, frozen=True, tag="latent_gradient", tag_field="method"):
    """Generator: turn a gradient by pixels into one by genes. Answer: `Gradients`.

    The generator draws the genomes again in float and takes its gradient there: rounding to
    levels counts as the identity (straight-through), a level out of range as a constant.

    Attributes:
        space: as in `Generate`.
        genomes: as in `Generate`.
        gradients: (rows, height, width, 3) float32, of any number by the level, 0 to 255, of each
            pixel; or (rows, clip_size, clip_size, 3), by those of the view for CLIP.
        truncation_psi: as in `Generate`.
        clip_size: as in `Generate`.
        resizing: as in `Generate`.
    """

    space: Name
    genomes: TensorRef
    gradients: TensorRef
    truncation_psi: Annotated[float, msgspec.Meta(ge=0, le=2)] = 1.0
    clip_size: Side = 0
    resizing: Resizing = msgspec.UNSET


Method = (
    Describe
    | Clients
    | Probe
    | Fetch
    | Generate
    | Write
    | EmbedTexts
    | EmbedImages
    | Score
    | Classify
    | Labels
    | SimilarityGradient
    | LatentGradient
)


class Description(_Wire, frozen=True, tag="description", tag_field="result"):
    """Answer to `Describe`."""

    info: ServiceInfo


class ClientNames(_Wire, frozen=True, tag="client_names", tag_field="result"):
    """Answer to `Clients`.

    Attributes:
        names: what those call themselves that were heard of in the last seconds, at most 20, none
            longer than 100 characters.
        clients: how many they are in all, the one that asked among them.
    """

    names: Annotated[tuple[Name, ...], msgspec.Meta(max_length=20)]
    clients: Count


class Probed(_Wire, frozen=True, tag="probed", tag_field="result"):
    """Answer to `Probe`: whether references to slots of that pool may be sent here.

    Attributes:
        readable: the pool lies in memory that this service can map.
        reachable: it has greeted the pool's owner and can fetch from it.
    """

    readable: bool
    reachable: bool = False


class Fetched(_Wire, frozen=True, tag="fetched", tag_field="result"):
    """Answer to `Fetch`: the same tensor, as a frame."""

    tensor: TensorRef


class Pictures(_Wire, frozen=True, tag="pictures", tag_field="result"):
    """Answer to `Generate`.

    Attributes:
        images: (rows, height, width, 3) uint8, sRGB.
        clip_images: (rows, clip_size, clip_size, 3) uint8, if they were asked for.
    """

    images: TensorRef
    clip_images: TensorRef | None = None


class Texts(_Wire, frozen=True, tag="texts", tag_field="result"):
    """Answer to `Write` and `Labels`: (rows, 1024) uint8, UTF-8 and zeros (`protocol.texts`)."""

    texts: TensorRef


class Embeddings(_Wire, frozen=True, tag="embeddings", tag_field="result"):
    """Answer of CLIP.

    Attributes:
        embeddings: (rows, embedding_size) float32, each of length 1.
        cut: rows whose text had more tokens than CLIP sees, so that its end was cut off; left out
            where there are none.
    """

    embeddings: TensorRef
    cut: tuple[Count, ...] | msgspec.UnsetType = msgspec.UNSET


class Scores(_Wire, frozen=True, tag="scores", tag_field="result"):
    """Answer to `Score`: (rows,) float32, each row judged alone.

    A discriminator's logits, real is high; or a scorer's numbers.
    """

    logits: TensorRef


class Classes(_Wire, frozen=True, tag="classes", tag_field="result"):
    """Answer to `Classify`.

    Attributes:
        logits: (rows, classes of all heads) float32; a head's softmax is over its own columns.
        features: (rows, feature_size) float32, what the heads decide by.
    """

    logits: TensorRef
    features: TensorRef


class Gradients(_Wire, frozen=True, tag="gradients", tag_field="result"):
    """Answer to `SimilarityGradient` and `LatentGradient`, float32.

    By levels of pixels, shaped as the images; by genes, shaped as the genomes.
    """

    gradients: TensorRef


Result = (
    Description
    | ClientNames
    | Probed
    | Fetched
    | Pictures
    | Texts
    | Embeddings
    | Scores
    | Classes
    | Gradients
)


# Messages.


class Hello(_Wire, frozen=True):
    """Client to service, first of all. Answer: `Welcome` or `ErrorMessage`."""

    kind: ClassVar[int] = 1
    lowest_version: Count
    highest_version: Count
    role: Role
    client: Name


class Welcome(_Wire, frozen=True):
    """Service to client: the version chosen, this life's identity, and who it is.

    Attributes:
        pool: where it leases slots to those on its host that ask for them; None if it has none.
    """

    kind: ClassVar[int] = 2
    version: Count
    incarnation: Name
    info: ServiceInfo
    pool: Pool | None = None


class Request(_Wire, frozen=True):
    """Client to service after WELCOME. Answer: `Reply` or `ErrorMessage` with the same id.

    Attributes:
        id: 16 random bytes, new for every request.
        ttl_s: seconds after which nobody waits for the answer; rows still queued then are dropped.
        slots: large tensors of the answer may stay in the service's pool; RELEASE them when they
            are no longer needed. Without a free slot they come as frames all the same.
        interactive: a person waits for it; such requests may lead every second batch.
    """

    kind: ClassVar[int] = 3
    id: RequestId
    ttl_s: Seconds
    call: Method
    slots: bool = False
    interactive: bool = False


class Reply(_Wire, frozen=True):
    """Service to client: all rows of one request, in their order.

    Attributes:
        digest: of the model that computed them.
        wait_ms: from arrival to the start of the first batch that held a row of it.
        compute_ms: time of the batches that held its rows.
    """

    kind: ClassVar[int] = 4
    id: RequestId
    digest: Name
    wait_ms: Annotated[float, msgspec.Meta(ge=0)]
    compute_ms: Annotated[float, msgspec.Meta(ge=0)]
    result: Result


class ErrorMessage(_Wire, frozen=True):
    """Service to client: why there is no answer. An empty id answers no request in particular."""

    kind: ClassVar[int] = 5
    id: Annotated[bytes, msgspec.Meta(max_length=16)]
    code: Name
    retryable: bool
    message: str
    retry_after_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0


class Ping(_Wire, frozen=True):
    """Client to service at any time. Answer: `Pong` at once, by the I/O thread."""

    kind: ClassVar[int] = 6
    nonce: Count


class Pong(_Wire, frozen=True):
    """Service to client: alive, and how the model is getting on.

    Attributes:
        batch_age_s: how long the running batch has been computing; 0 when idle.
        batch_ms: median time of the last batches.
        batch_p95_ms: 95th percentile of the same.
        rows: rows answered in this life.
        held: requests of this client that are queued or being computed. A client that waits for
            more than that knows that some were lost on the way, and sends them again.
    """

    kind: ClassVar[int] = 7
    nonce: Count
    incarnation: Name
    state: State
    queue_rows: Count
    batch_age_s: float
    batch_ms: float
    batch_p95_ms: float
    rows: Count
    held: Count


class Cancel(_Wire, frozen=True):
    """Client to service: nobody waits for this request any more. No answer."""

    kind: ClassVar[int] = 8
    id: RequestId


class Bye(_Wire, frozen=True):
    """Service to its clients when it leaves; requests it still held are answered before."""

    kind: ClassVar[int] = 9
    reason: str


class Release(_Wire, frozen=True):
    """Client to service: the slots that the reply to this request leased may be used again.

    No answer. Leases also end by themselves, 120 seconds after the reply.
    """

    kind: ClassVar[int] = 10
    id: RequestId


Message = Hello | Welcome | Request | Reply | ErrorMessage | Ping | Pong | Cancel | Bye | Release
BY_KIND: dict[int, type[Message]] = {cls.kind: cls for cls in get_args(Message)}


def tensor_refs(message: Message) -> list[TensorRef]:
    """Every tensor reference in a message, in field order."""
    part: Method | Result | None = None
    if isinstance(message, Request):
        part = message.call
    elif isinstance(message, Reply):
        part = message.result
    if part is None:
        return []
    fields = (getattr(part, name) for name in part.__struct_fields__)
    return [value for value in fields if isinstance(value, TensorRef)]


def rows_of(call: Method) -> int:
    """How many rows a request wants computed: those of its first tensor, or its texts; else 0."""
    if isinstance(call, Fetch):
        return 0
    for name in call.__struct_fields__:
        value = getattr(call, name)
        if isinstance(value, TensorRef):
            return value.shape[0] if value.shape else 0
        if isinstance(value, tuple):
            return len(value)
    return 0
