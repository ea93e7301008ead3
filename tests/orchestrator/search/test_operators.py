import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.search.operators import Strength, mutate
from orchestrator.search.space import Genomes, repair, sample
from protocol.latent import Draw, LatentSpace, Segment, SegmentKind

MIXED = LatentSpace(
    "mixed",
    (
        Segment("z", "real", 5, -2, 2, "truncated_normal"),
        Segment("count", "integer", 3, -4, 9, "uniform"),
        Segment("tokens", "categorical", 4, 0, 50255, "uniform"),
        Segment("bits", "binary", 6, 0, 1, "uniform", 0.2),
    ),
)


def one(
    kind: SegmentKind, low: float, high: float, draw: Draw = "uniform", size: int = 200
) -> LatentSpace:
    return LatentSpace("one", (Segment("s", kind, size, low, high, draw),))


def mutated(space: LatentSpace, strength: Strength, n: int = 50) -> tuple[Genomes, Genomes]:
    rng = np.random.default_rng(3)
    parents = sample(space, n, rng)
    return parents, mutate(space, parents, strength, rng)


@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1), st.floats(1e-6, 10))
def test_mutants_are_valid_and_the_parents_untouched(
    seed: int, rate: float, flip: float, sigma: float
) -> None:
    rng = np.random.default_rng(seed)
    parents = sample(MIXED, 6, rng)
    before = parents.tobytes()
    mutants = mutate(MIXED, parents, Strength(rate, flip, sigma), rng)
    assert parents.tobytes() == before
    assert mutants.dtype == np.float32
    assert mutants.shape == parents.shape
    assert repair(MIXED, mutants).tobytes() == mutants.tobytes()


def test_at_least_one_gene_changes() -> None:
    parents, mutants = mutated(one("binary", 0, 1), Strength(0, 0, 0.3))
    assert ((parents != mutants).sum(axis=1) == 1).all()


def test_real_steps_are_gaussian_on_a_tenth_of_the_genes() -> None:
    parents, mutants = mutated(one("real", -10, 10, "normal", 512), Strength(0.1, 0, 0.3))
    steps = (mutants - parents)[mutants != parents]
    assert len(steps) / parents.size == pytest.approx(0.1, abs=0.01)
    assert steps.std() == pytest.approx(0.3, abs=0.02)


def test_a_real_step_is_in_units_of_the_spread() -> None:
    parents, mutants = mutated(one("real", 0, 0.01), Strength(1, 0, 0.1))
    assert 1e-4 < np.abs(mutants - parents).mean() < 4e-4


def test_every_chosen_integer_takes_a_step_of_bounded_length() -> None:
    parents, mutants = mutated(one("integer", 0, 100), Strength(1, 0, 0.1))
    steps = np.abs(mutants - parents)
    assert steps.min() >= 1
    assert steps.mean() < 5  # 0.1 of a spread of 29 is 3


def test_integers_turn_back_at_their_bounds() -> None:
    parents, mutants = mutated(one("integer", 0, 1), Strength(1, 0, 0.01))
    assert (mutants == 1 - parents).all()


def test_every_chosen_category_becomes_another_and_all_are_reached() -> None:
    parents, mutants = mutated(one("categorical", 7, 11), Strength(1, 0, 0.3))
    assert (mutants != parents).all()
    counts = np.unique(mutants[parents == 7], return_counts=True)
    assert counts[0].tolist() == [8, 9, 10, 11]
    assert counts[1].min() > 0.8 * counts[1].max()


def test_bits_flip_at_their_own_rate() -> None:
    parents, mutants = mutated(one("binary", 0, 1, size=1000), Strength(1, 0.01, 0.3))
    assert (parents != mutants).mean() == pytest.approx(0.01, abs=0.002)
