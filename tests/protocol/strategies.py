"""Random well-formed messages."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from protocol import messages as m
from protocol.latent import LatentSpace, Segment
from protocol.tensors import Pool, Slot, TensorWriter

names = st.text(min_size=1, max_size=40)
ids = st.binary(min_size=16, max_size=16)
counts = st.integers(0, 2**40)
durations = st.floats(0, 1e6)

tensors = st.sampled_from([np.uint8, np.int64, np.float32]).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(max_dims=4, max_side=12))
)
segments = st.builds(
    Segment,
    names,
    st.sampled_from(["real", "integer", "categorical", "binary"]),
    st.integers(1, 999),
    st.floats(-9, 0),
    st.floats(1, 9),
    st.sampled_from(["normal", "truncated_normal", "uniform"]),
)
spaces = st.lists(segments, min_size=1, max_size=3).map(lambda s: LatentSpace("z", tuple(s)))
pool_names = st.text("0123456789abcdef", min_size=16, max_size=16)
pools = st.builds(Pool, pool_names, ids)
slots = st.builds(
    Slot,
    st.sampled_from(["uint8", "int64", "float32"]),
    st.lists(st.integers(0, 999), max_size=4).map(tuple),
    pool_names,
    st.integers(0, 255),
    st.integers(1, 2**62),
    st.booleans(),
)
sides = st.integers(0, 4096)
abouts = st.one_of(
    st.builds(
        m.GeneratorInfo, st.lists(spaces, max_size=2).map(tuple), sides, sides, st.booleans()
    ),
    st.builds(m.ClipInfo, sides, counts, counts),
    st.builds(m.DiscriminatorInfo, sides, sides),
    st.builds(
        m.ClassifierInfo,
        sides,
        st.lists(st.builds(m.Head, names, st.integers(1, 9)), min_size=1, max_size=3).map(tuple),
        counts,
    ),
)
infos = st.builds(m.ServiceInfo, names, names, names, counts, counts, abouts)


@st.composite
def messages_with_frames(draw: st.DrawFn) -> tuple[m.Message, list[memoryview]]:
    """Any message, and the frames its tensors are in."""
    writer = TensorWriter()
    call = st.one_of(
        st.just(m.Describe()),
        st.just(m.Clients()),
        st.builds(
            lambda a, space, psi, size: m.Generate(space, writer.add(a), psi, size),
            tensors,
            names,
            st.floats(0, 2),
            sides,
        ),
        st.builds(
            lambda a, space, temperature: m.Write(space, writer.add(a), temperature),
            tensors,
            names,
            st.floats(0, 10),
        ),
        st.builds(m.EmbedTexts, st.lists(names, min_size=1, max_size=5).map(tuple)),
        st.builds(lambda a: m.EmbedImages(writer.add(a)), tensors),
        st.builds(lambda a: m.Score(writer.add(a)), tensors),
        st.builds(m.Score, slots),
        st.builds(lambda a: m.Classify(writer.add(a)), tensors),
        st.just(m.Labels()),
        st.builds(m.EmbedImages, slots, st.sampled_from(["legacy"])),
        st.builds(
            lambda a, b: m.SimilarityGradient(writer.add(a), writer.add(b)), tensors, tensors
        ),
        st.builds(
            lambda a, b, space: m.LatentGradient(space, writer.add(a), writer.add(b)),
            tensors,
            tensors,
            names,
        ),
        st.builds(m.Probe, pools, names),
        st.builds(m.Fetch, slots),
    )
    result = st.one_of(
        st.builds(m.Description, infos),
        st.builds(m.ClientNames, st.lists(names, max_size=20).map(tuple), counts),
        st.builds(lambda a, b: m.Pictures(writer.add(a), writer.add(b)), tensors, tensors),
        st.builds(lambda a: m.Texts(writer.add(a)), tensors),
        st.builds(lambda a: m.Embeddings(writer.add(a)), tensors),
        st.builds(lambda a: m.Scores(writer.add(a)), tensors),
        st.builds(lambda a, b: m.Classes(writer.add(a), writer.add(b)), tensors, tensors),
        st.builds(m.Pictures, slots, slots | st.none()),
        st.builds(lambda a: m.Gradients(writer.add(a)), tensors),
        st.builds(m.Probed, st.booleans(), st.booleans()),
        st.builds(lambda a: m.Fetched(writer.add(a)), tensors),
    )
    message = draw(
        st.one_of(
            st.builds(m.Hello, counts, counts, st.sampled_from(["generator", "clip"]), names),
            st.builds(m.Welcome, counts, names, infos, st.none() | pools),
            st.builds(m.Request, ids, st.floats(0.1, 100), call, st.booleans()),
            st.builds(m.Reply, ids, names, durations, durations, result),
            st.builds(
                m.ErrorMessage, st.sampled_from([b"", b"i" * 16]), names, st.booleans(), names
            ),
            st.builds(m.Ping, counts),
            st.builds(
                m.Pong,
                counts,
                names,
                st.sampled_from(["ready", "busy", "hung"]),
                counts,
                durations,
                durations,
                durations,
                counts,
                counts,
            ),
            st.builds(m.Cancel, ids),
            st.builds(m.Bye, names),
            st.builds(m.Release, ids),
        )
    )
    return message, writer.frames
