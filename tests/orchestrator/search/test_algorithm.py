"""What every algorithm promises, whichever it is."""

import warnings

import numpy as np
import pytest

from orchestrator.search import (
    Algorithm,
    Genomes,
    Objectives,
    Settings,
    describe_algorithms,
    make_algorithm,
)
from orchestrator.search.space import repair
from protocol.errors import BadRequestError
from protocol.latent import LatentSpace

NAMES = [info.name for info in describe_algorithms()]
INFO = {info.name: info for info in describe_algorithms()}


BEST_OF = {
    info.name: {"best_of": 16}  # two batches of 8: most tests are to see more than random genomes
    for info in describe_algorithms()
    if "best_of" in {parameter.name for parameter in info.parameters}
}
KEEP_NO_ELITE = ("sep-cma-es", "cma-es")


def objectives_of(name: str) -> int:
    return 2 if INFO[name].objectives == "several" else 1


def make(
    name: str, space: LatentSpace, seed: int = 1, population: int = 8, **parameters: float | str
) -> Algorithm:
    return make_algorithm(
        name,
        space,
        population=population,
        objectives=objectives_of(name),
        seed=seed,
        parameters=BEST_OF.get(name, {}) | parameters,
        measures=2 if INFO[name].measures else 0,
    )


def score(genomes: Genomes, settings: Settings) -> Objectives:
    """Distances to as many points as there are objectives, then the first genes as measures."""
    centres = np.linspace(0.3, -0.3, settings.objectives)
    columns = [((genomes.astype(float) - c) ** 2).sum(axis=1) for c in centres]
    return np.stack([*columns, *genomes.T[: settings.measures].astype(float)], axis=1)


def grow(algorithm: Algorithm, generations: int) -> tuple[Genomes, Objectives]:
    """The batches asked for and the objectives told."""
    batches, told = [], []
    for _ in range(generations):
        batches.append(algorithm.ask())
        told.append(score(batches[-1], algorithm.settings))
        algorithm.tell(told[-1])
    return np.array(batches), np.array(told)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("population", [4, 7, 16])
def test_every_batch_is_full_valid_and_float32(
    name: str, population: int, real_space: LatentSpace, mixed_space: LatentSpace
) -> None:
    for space in (real_space, mixed_space):
        if any(segment.kind not in INFO[name].kinds for segment in space.segments):
            continue
        algorithm = make(name, space, population=population)
        batches, _ = grow(algorithm, 6)
        assert batches.shape == (6, population, space.size)
        assert batches.dtype == np.float32
        for batch in batches:
            assert repair(space, batch).tobytes() == batch.tobytes()
        assert algorithm.generation == 6
        assert algorithm.evaluations == 6 * population
        assert algorithm.failed == 0
        if not INFO[name].measures:  # an archive holds as many as it has cells filled
            assert algorithm.population.genomes.shape == (population, space.size)
        assert algorithm.population.genomes.dtype == np.float32
        assert algorithm.population.objectives.dtype == np.float64


@pytest.mark.parametrize("name", ["ga", "nsga2", "random"])
def test_batches_stay_full_where_a_space_has_fewer_points_than_rows(
    name: str, tiny_space: LatentSpace
) -> None:
    batches, _ = grow(make(name, tiny_space, population=16), 5)
    assert batches.shape == (5, 16, 2)


def test_same_seed_same_batches_and_another_seed_others(name: str, real_space: LatentSpace) -> None:
    first, _ = grow(make(name, real_space, seed=3), 12)
    np.random.seed(0)  # noqa: NPY002 - the global generator must not matter
    again, _ = grow(make(name, real_space, seed=3), 12)
    other, _ = grow(make(name, real_space, seed=4), 12)
    assert first.tobytes() == again.tobytes()
    assert not (first == other).any()


def test_two_searches_at_once_do_not_disturb_each_other(name: str, real_space: LatentSpace) -> None:
    alone, _ = grow(make(name, real_space, seed=3), 6)
    left, right = make(name, real_space, seed=3), make(name, real_space, seed=9)
    together = []
    for _ in range(6):
        together.append(left.ask())
        batch = right.ask()
        left.tell(score(together[-1], left.settings))
        right.tell(score(batch, right.settings))
    assert np.array(together).tobytes() == alone.tobytes()


def test_global_randomness_is_neither_read_nor_moved(name: str, real_space: LatentSpace) -> None:
    np.random.seed(5)  # noqa: NPY002 - watched, not used
    before = np.random.get_state()  # noqa: NPY002
    grow(make(name, real_space), 10)
    after = np.random.get_state()  # noqa: NPY002
    assert before[2:] == after[2:]
    assert (before[1] == after[1]).all()


def test_warnings_of_the_process_are_not_silenced(name: str, real_space: LatentSpace) -> None:
    algorithm = make(name, real_space)
    before = list(warnings.filters)
    grow(algorithm, 10)
    algorithm.rescore(score(algorithm.population.genomes, algorithm.settings))
    assert list(warnings.filters) == before


@pytest.mark.parametrize("cut", range(1, 10))
def test_replaying_recorded_objectives_gives_the_recorded_genomes(
    name: str, cut: int, real_space: LatentSpace
) -> None:
    batches, told = grow(make(name, real_space, seed=6), 10)
    resumed = make(name, real_space, seed=6)
    for batch, objectives in zip(batches[:cut], told[:cut], strict=True):
        assert resumed.ask().tobytes() == batch.tobytes()
        resumed.tell(objectives)
    rest, _ = grow(resumed, 10 - cut)
    assert rest.tobytes() == batches[cut:].tobytes()


def test_the_batch_belongs_to_the_caller(name: str, real_space: LatentSpace) -> None:
    careless, careful = make(name, real_space), make(name, real_space)
    for _ in range(4):
        batch = careless.ask()
        objectives = score(batch, careless.settings)
        batch[:] = 99
        careless.tell(objectives)
        objectives[:] = -99
    grow(careful, 4)
    assert careless.population.genomes.tobytes() == careful.population.genomes.tobytes()
    assert careless.population.objectives.tobytes() == careful.population.objectives.tobytes()


def test_survivors_carry_the_objectives_of_their_own_genomes(
    name: str, real_space: LatentSpace
) -> None:
    algorithm = make(name, real_space)
    grow(algorithm, 8)
    found = algorithm.population
    told = score(found.genomes, algorithm.settings)
    assert np.allclose(found.objectives, told[:, : algorithm.settings.objectives])
    if found.measures is not None:
        assert np.allclose(found.measures, told[:, algorithm.settings.objectives :])


def test_ask_and_tell_take_turns(name: str, real_space: LatentSpace) -> None:
    algorithm = make(name, real_space)
    values = np.zeros((8, algorithm.settings.columns))
    with pytest.raises(BadRequestError, match="without an ask"):
        algorithm.tell(values)
    first = algorithm.ask()
    with pytest.raises(BadRequestError, match="asked twice"):
        algorithm.ask()
    algorithm.tell(score(first, algorithm.settings))
    with pytest.raises(BadRequestError, match="without an ask"):
        algorithm.tell(values)
    assert algorithm.generation == 1


def test_a_wrong_shape_is_refused_and_changes_nothing(name: str, real_space: LatentSpace) -> None:
    algorithm = make(name, real_space)
    m = algorithm.settings.columns
    batch = algorithm.ask()
    for wrong in (np.zeros(8), np.zeros((7, m)), np.zeros((8, m + 1)), np.zeros((0, m))):
        with pytest.raises(BadRequestError, match=rf"expected objectives with shape \(8, {m}\)"):
            algorithm.tell(wrong)
    with pytest.raises(BadRequestError, match="must be numbers"):
        algorithm.tell([["x"] * m] * 8)
    assert algorithm.evaluations == 0
    algorithm.tell(score(batch, algorithm.settings))
    assert algorithm.evaluations == 8


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_failed_rows_rank_last_and_are_counted(
    name: str, broken: float, real_space: LatentSpace
) -> None:
    algorithm = make(name, real_space)
    for generation in range(6):
        values = score(algorithm.ask(), algorithm.settings)
        values[generation % 2 :: 2, 0] = broken
        algorithm.tell(values)
        assert algorithm.failed == 4 * (generation + 1)
    kept = algorithm.population.objectives
    assert not np.isnan(kept).any()
    failed = np.isinf(kept)
    assert (failed.all(axis=1) == failed.any(axis=1)).all()
    if name not in KEEP_NO_ELITE:
        assert not failed.any()


def test_a_search_survives_batches_in_which_everything_failed(
    name: str, real_space: LatentSpace
) -> None:
    algorithm = make(name, real_space)
    m = algorithm.settings.columns
    for _ in range(3):
        algorithm.ask()
        algorithm.tell(np.full((8, m), np.nan))
    assert np.isinf(algorithm.population.objectives).all()
    batches, _ = grow(algorithm, 3)
    assert np.isfinite(batches).all()
    assert np.isfinite(algorithm.population.objectives).all()


def test_a_search_survives_a_rescoring_in_which_everything_failed(
    name: str, real_space: LatentSpace
) -> None:
    algorithm = make(name, real_space)
    grow(algorithm, 4)
    algorithm.rescore(np.full((len(algorithm.population), algorithm.settings.columns), np.nan))
    assert not algorithm.population.any_scored
    grow(algorithm, 2)
    assert algorithm.population.any_scored


def test_flat_and_huge_objectives_never_stop_a_search(name: str, real_space: LatentSpace) -> None:
    algorithm = make(name, real_space)
    m = algorithm.settings.columns
    for value in [0.3] * 150 + [1e200, -1e200] * 5:
        batch = algorithm.ask()
        assert np.isfinite(batch).all()
        algorithm.tell(np.full((8, m), value))
    assert algorithm.generation == 160


def test_rescoring_replaces_the_survivors_objectives(name: str, real_space: LatentSpace) -> None:
    algorithm = make(name, real_space)
    with pytest.raises(BadRequestError, match="only after a tell"):
        algorithm.rescore(np.zeros((8, algorithm.settings.columns)))
    grow(algorithm, 4)
    before = algorithm.population.genomes
    other = score(before + 5, algorithm.settings)
    count = algorithm.settings.objectives
    rows = {genome.tobytes(): row[:count] for genome, row in zip(before, other, strict=True)}
    algorithm.rescore(other)
    found = algorithm.population
    assert algorithm.generation == 4
    assert algorithm.evaluations == 32 + len(before)
    if INFO[name].measures:  # those that fall into one cell now fight for it
        assert 1 <= len(found) <= len(before)
    else:
        assert len(found) == 8
    for genome, objectives in zip(found.genomes, found.objectives, strict=True):
        assert objectives.tolist() == rows[genome.tobytes()].tolist()
    algorithm.ask()
    with pytest.raises(BadRequestError, match="before the next ask"):
        algorithm.rescore(np.zeros((8, algorithm.settings.columns)))


@pytest.mark.parametrize("name", ["ga", "de"])
def test_after_rescoring_old_objectives_no_longer_protect_a_genome(
    name: str, real_space: LatentSpace
) -> None:
    algorithm = make(name, real_space)
    grow(algorithm, 4)
    algorithm.rescore(np.full((8, 1), 1e6))
    batch = algorithm.ask()
    algorithm.tell(score(batch, algorithm.settings))
    assert algorithm.population.objectives.max() < 1e6


@pytest.mark.parametrize("name", ["nsga2", "nsga3"])
def test_after_rescoring_a_front_is_spread_over_the_new_values_alone(
    name: str, real_space: LatentSpace
) -> None:
    """A new model's realism may lie anywhere: where, must not matter."""
    near, far = make(name, real_space), make(name, real_space)
    grow(near, 6)
    grow(far, 6)
    for algorithm, away in ((near, 0), (far, 1024)):
        offset = np.array([0, away])
        algorithm.rescore(
            np.round(score(algorithm.population.genomes, algorithm.settings)) + offset
        )
        for _ in range(8):
            told = np.round(score(algorithm.ask(), algorithm.settings)) + offset
            algorithm.tell(told)
    assert near.population.genomes.tobytes() == far.population.genomes.tobytes()
