"""The algorithms of the papers, against what was measured of their own code (pymoo 0.4.2)."""

import numpy as np
import pytest
from pymoo.core.problem import Problem

from orchestrator.search import make_algorithm, most_real, sample
from orchestrator.search.clip_glass import (
    GlassCrossover,
    GlassMutation,
    half_of_different,
)
from orchestrator.search.thesis_de import drawn_back, latin_hypercube, least_distance
from protocol.latent import LatentSpace, Segment

Z = LatentSpace("z", (Segment("z", "real", 512, -10, 10, "normal"),))
BITS = LatentSpace(
    "z+bits",
    (
        Segment("z", "real", 128, -2, 2, "truncated_normal"),
        Segment("bits", "binary", 1000, 0, 1, "uniform", 0.005),
    ),
)
TOKENS = LatentSpace("tokens", (Segment("tokens", "categorical", 20, 0, 50256, "uniform"),))


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def mated(space: LatentSpace, matings: int) -> tuple[np.ndarray, np.ndarray]:
    """Parents and children, (2, matings, size) each, of the crossover without its probability."""
    parents = np.stack([sample(space, matings, rng()), sample(space, matings, rng())[::-1]])
    children = GlassCrossover(space, 3.0)._do(Problem(), parents, random_state=rng())
    return parents, children


def test_mutation_of_reals_is_nearly_a_fresh_draw() -> None:
    parents = sample(Z, 400, rng())
    children = GlassMutation(Z, 3.0, 0.5, 0.01)._do(Problem(), parents, random_state=rng())
    changed = children != parents
    assert abs(changed.mean() - 0.5) < 0.01
    assert np.abs(children - parents)[changed].mean() == pytest.approx(3.45, abs=0.05)
    cosines = (children * parents).sum(1) / (
        np.linalg.norm(children, axis=1) * np.linalg.norm(parents, axis=1)
    )
    assert np.median(cosines) == pytest.approx(0.29, abs=0.02)
    lengths = np.linalg.norm(children, axis=1) / np.linalg.norm(parents, axis=1)
    assert np.median(lengths) == pytest.approx(3.2, abs=0.1)


def test_crossover_of_reals_keeps_the_middle_of_the_parents_and_half_the_genes() -> None:
    parents, children = mated(Z, 300)
    moved = (children != parents).any(axis=0)
    assert abs(moved.mean() - 0.5) < 0.01
    # The bounds are far for all but a few pairs, so both are equally far from the middle.
    assert (np.abs(children.sum(0) - parents.sum(0)) < 0.05).mean() > 0.999


def test_tokens_are_treated_as_numbers() -> None:
    parents, children = mated(TOKENS, 2000)
    strange = (children != parents[0]) & (children != parents[1])
    assert strange.mean() == pytest.approx(0.49, abs=0.02)
    fresh = sample(TOKENS, 4000, rng())
    mutated = GlassMutation(TOKENS, 3.0, 0.5, 0.0)._do(Problem(), fresh, random_state=rng())
    jumps = np.abs(mutated - fresh)[mutated != fresh]
    assert np.median(jumps) == pytest.approx(5612, rel=0.05)
    assert mutated.min() >= 0
    assert mutated.max() <= 50256
    assert (mutated == np.rint(mutated)).all()


def test_bits_are_exchanged_by_half_and_flipped_at_a_hundredth() -> None:
    parents, children = mated(BITS, 200)
    bits = slice(128, None)
    differing = (parents[0] != parents[1])[:, bits].sum(axis=1)
    exchanged = (children[0] != parents[0])[:, bits].sum(axis=1)
    np.testing.assert_array_equal(exchanged, (differing + 1) // 2)
    np.testing.assert_array_equal(children.sum(0)[:, bits], parents.sum(0)[:, bits])
    mutated = GlassMutation(BITS, 3.0, 0.5, 0.01)._do(Problem(), children[0], random_state=rng())
    assert (mutated != children[0])[:, bits].mean() == pytest.approx(0.01, abs=0.001)


def test_nothing_is_exchanged_between_equal_parents() -> None:
    same = np.zeros((2, 4, 9), np.float32)
    assert not half_of_different(same, rng()).any()


def test_mixed_spaces_mate_at_pymoos_default_whatever_was_set() -> None:
    assert float(GlassCrossover(Z, 3.0).prob.value) == 1.0
    assert float(GlassCrossover(BITS, 3.0).prob.value) == 0.9


def test_a_latin_hypercube_has_one_row_in_each_strip() -> None:
    cube = latin_hypercube(16, 512, rng())
    strips = np.sort(np.floor(cube * 16), axis=0)
    np.testing.assert_array_equal(strips, np.repeat(np.arange(16)[:, None], 512, axis=1))
    distances = [np.sum((a - b) ** 2) for i, a in enumerate(cube) for b in cube[:i]]
    assert least_distance(cube) == pytest.approx(min(distances))


def test_a_donor_out_of_bounds_is_drawn_back_along_the_line_to_its_base() -> None:
    random = rng()
    bases = random.uniform(-10, 10, (200, 6))
    donors = bases + random.normal(0, 8, bases.shape)
    low, high = np.full(6, -10.0), np.full(6, 10.0)
    outside = ((donors < low) | (donors > high)).any(axis=1)
    assert 20 < outside.sum() < 200
    moved = drawn_back(donors, bases, low, high, random)
    assert (moved[~outside] == donors[~outside]).all()
    assert (moved >= low).all()
    assert (moved <= high).all()
    way, whole = (moved - donors)[outside], (bases - donors)[outside]
    shares = (way * whole).sum(1) / (whole * whole).sum(1)
    np.testing.assert_allclose(way, shares[:, None] * whole, atol=1e-9)
    assert (shares > 0).all()


def test_thesis_de_begins_far_out_and_replaces_only_what_is_worse() -> None:
    algorithm = make_algorithm("thesis-de", Z, population=16, seed=1)
    first = algorithm.ask()
    assert first.std() == pytest.approx(5.77, abs=0.1)
    algorithm.tell(np.full((16, 1), 0.5))
    trials = algorithm.ask()
    same = (trials == first).all(axis=1)
    assert 0 <= same.sum() <= 6  # a tenth of the trials are their targets again
    algorithm.tell(np.full((16, 1), 0.5))
    assert algorithm.population.genomes.tobytes() == first.tobytes()


def test_the_published_choice_is_the_worst_match_of_the_front() -> None:
    similarity = np.linspace(0.20, 0.36, 9)
    hinge = np.linspace(0.0, 2.0, 9)
    front = np.stack([1 - similarity, hinge], axis=1)
    dominated = np.array([[0.9, 2.5]])
    assert most_real(np.concatenate([dominated, front])) == 1
    flat = np.stack([1 - similarity, np.zeros(9)], axis=1)
    assert most_real(flat) == 8
