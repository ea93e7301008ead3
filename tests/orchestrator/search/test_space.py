import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from orchestrator.search.space import (
    WHOLE_LIMIT,
    Genomes,
    duplicates,
    layout,
    repair,
    row_hashes,
    sample,
    sample_distinct,
)
from protocol.errors import BadRequestError
from protocol.latent import LatentSpace, Segment


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    kind = draw(st.sampled_from(["real", "integer", "categorical", "binary"]))
    size = draw(st.integers(1, 5))
    if kind == "binary":
        return Segment("s", kind, size, 0, 1, "uniform", draw(st.floats(0, 1)))
    low = draw(st.floats(-50, 49))
    high = low + draw(st.floats(2.5, 100))
    gaussian = low <= 0 <= high and min(-low, high) > 0.5
    chosen = draw(st.sampled_from(["normal", "truncated_normal"])) if gaussian else "uniform"
    return Segment("s", kind, size, low, high, chosen)


spaces = st.lists(segments(), min_size=1, max_size=4).map(lambda s: LatentSpace("p", tuple(s)))


def assert_valid(space: LatentSpace, genomes: Genomes) -> None:
    assert genomes.dtype == np.float32
    assert genomes.shape[1] == space.size
    for segment, columns in space.slices():
        genes = genomes[:, columns].astype(np.float64)
        assert (genes >= segment.low).all()
        assert (genes <= segment.high).all()
        if segment.kind != "real":
            assert (genes == np.rint(genes)).all()


@given(spaces, st.integers(0, 20), st.integers(0, 2**32))
def test_samples_are_valid_and_repair_leaves_them_alone(
    space: LatentSpace, n: int, seed: int
) -> None:
    genomes = sample(space, n, np.random.default_rng(seed))
    assert genomes.shape == (n, space.size)
    assert_valid(space, genomes)
    assert repair(space, genomes).tobytes() == genomes.tobytes()
    assert sample(space, n, np.random.default_rng(seed)).tobytes() == genomes.tobytes()


@given(spaces, st.data())
def test_repair_makes_anything_but_nan_valid_and_is_idempotent(
    space: LatentSpace, data: st.DataObject
) -> None:
    wild = data.draw(
        hnp.arrays(
            data.draw(st.sampled_from([np.float32, np.float64])),
            (3, space.size),
            elements=st.floats(allow_nan=False, width=32),
        )
    )
    fixed = repair(space, wild)
    assert_valid(space, fixed)
    assert repair(space, fixed).tobytes() == fixed.tobytes()
    assert not np.signbit(fixed[fixed == 0]).any()


def test_bounds_that_float32_cannot_hold_are_rounded_inward() -> None:
    space = LatentSpace("z", (Segment("z", "real", 1, 0.1, 0.7, "uniform"),))
    wild = np.array([[-1.0], [1.0]])
    low, high = repair(space, wild).astype(np.float64).ravel()
    assert float(np.float32(0.1)) > 0.1  # rounds inward by itself
    assert float(np.float32(0.7)) < 0.7
    assert 0.1 <= low < 0.1 + 1e-7
    assert 0.7 - 1e-7 < high <= 0.7
    flipped = LatentSpace("z", (Segment("z", "real", 1, -0.1, 0.3, "uniform"),))
    low, high = repair(flipped, wild).astype(np.float64).ravel()
    assert float(np.float32(0.3)) > 0.3  # would be outside
    assert low >= -0.1
    assert high <= 0.3


def test_draws_follow_their_segments() -> None:
    space = LatentSpace(
        "d",
        (
            Segment("n", "real", 1, -10, 10, "normal"),
            Segment("t", "real", 1, -1, 1, "truncated_normal"),
            Segment("u", "real", 1, 2, 4, "uniform"),
            Segment("i", "integer", 1, 3, 5, "uniform"),
            Segment("c", "categorical", 1, 0, 1, "uniform"),
            Segment("b", "binary", 1, 0, 1, "uniform", 0.005),
        ),
    )
    n, t, u, i, c, b = sample(space, 40_000, np.random.default_rng(0)).astype(np.float64).T
    assert abs(n.mean()) < 0.02
    assert abs(n.std() - 1) < 0.02
    assert abs(t.std() - 0.5396) < 0.01  # of a standard normal cut at +-1
    assert np.abs(t).max() <= 1
    assert (np.abs(t) == 1).sum() < 5  # redrawn, not piled up at the bounds
    assert abs(u.mean() - 3) < 0.02
    assert np.allclose(np.bincount(i.astype(int))[3:] / 40_000, 1 / 3, atol=0.02)
    assert abs(c.mean() - 0.5) < 0.02
    assert abs(b.mean() - 0.005) < 0.002


def test_layout_describes_every_gene(mixed_space: LatentSpace) -> None:
    genes = layout(mixed_space)
    assert genes.low.shape == genes.high.shape == genes.spread.shape == (mixed_space.size,)
    assert genes.whole.tolist() == [False] * 8 + [True] * 13
    assert genes.spread[0] == 1
    assert genes.spread[5] == pytest.approx(0.6 / math.sqrt(12))
    with pytest.raises(ValueError, match="read-only"):
        genes.low[0] = 0


@pytest.mark.parametrize(
    ("segment", "words"),
    [
        (Segment("s", "real", 0, 0, 1, "uniform"), "size >= 1"),
        (Segment("s", "real", 1, 1, 1, "uniform"), "low < high"),
        (Segment("s", "real", 1, -math.inf, 1, "normal"), "bounds that float32 can hold"),
        (Segment("s", "real", 1, -1e39, 1, "normal"), "bounds that float32 can hold"),
        (Segment("s", "real", 1, 0.1, 0.1 + 1e-10, "uniform"), "float32 number between them"),
        (Segment("s", "binary", 1, 0, 2, "uniform"), "bounds 0 and 1"),
        (Segment("s", "binary", 1, 0, 1, "uniform", 1.5), "probability from 0 to 1"),
        (Segment("s", "categorical", 1, 0.5, 1.5, "uniform"), "two whole numbers"),
        (Segment("s", "integer", 1, 0, WHOLE_LIMIT + 1, "uniform"), "none beyond 16777216"),
        (Segment("s", "real", 1, 5, 6, "normal"), "draw uniform instead"),
    ],
)
def test_spaces_that_cannot_be_searched_are_refused(segment: Segment, words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        sample(LatentSpace("bad", (segment,)), 2, np.random.default_rng(0))


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(BadRequestError, match="no segments"):
        layout(LatentSpace("none", ()))


def test_nan_and_wrong_shapes_are_refused(real_space: LatentSpace) -> None:
    with pytest.raises(BadRequestError, match="NaN"):
        repair(real_space, np.full((1, 12), np.nan))
    with pytest.raises(BadRequestError, match=r"need shape \(n, 12\), but have shape \(2, 11\)"):
        repair(real_space, np.zeros((2, 11)))
    with pytest.raises(BadRequestError, match=r"but have shape \(12,\)"):
        repair(real_space, np.zeros(12))


@given(
    hnp.arrays(np.float32, (12, 2), elements=st.sampled_from([0.0, 1.0, 2.0])), st.integers(0, 8)
)
def test_duplicates_are_those_of_a_plain_search(genomes: Genomes, cut: int) -> None:
    among, rows = genomes[:cut], genomes[cut:]
    seen = [tuple(row) for row in among]
    expected = []
    for row in rows:
        expected.append(tuple(row) in seen)
        seen.append(tuple(row))
    assert duplicates(rows, among).tolist() == expected


def test_hashes_differ_where_genomes_do() -> None:
    genomes = np.array([[1, 2], [1, 2], [2, 1]], np.float32)
    first, second, third = row_hashes(genomes)
    assert first == second != third
    assert len(first) == 16
    assert row_hashes(np.asfortranarray(genomes)) == [first, second, third]


def test_distinct_samples_are_distinct_where_the_space_allows(tiny_space: LatentSpace) -> None:
    few = sample_distinct(tiny_space, 4, np.random.default_rng(0))
    assert not duplicates(few).any()
    many = sample_distinct(tiny_space, 9, np.random.default_rng(0))
    assert many.shape == (9, 2)
    assert (~duplicates(many)).sum() == 4
