"""A search that moves by steps: repeating is living again."""

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.runs import versions
from orchestrator.runs.history import BANNED, History, Plan, check_versions
from orchestrator.runs.journal import About, Conditions, Step
from protocol.errors import ConfigError
from protocol.latent import LatentSpace, Segment

SPACE = LatentSpace("z", (Segment("z", "real", 6, -10, 10, "normal"),))
CONDITIONS = Conditions("a car", SPACE, 1.0, ())
PLANS = [
    Plan(name, 8, 2 if name == "nsga2" else 1, 3, {})
    for name in ("ga", "de", "nsga2", "sep-cma-es", "random")
]


def scored(history: History, kind: str, genomes: np.ndarray, shift: float = 0.0) -> Step:
    similarity = 0.3 - ((genomes.astype(np.float64) - 1 - shift) ** 2).mean(axis=1) / 50
    realism = genomes[:, 0].astype(np.float64)
    columns = [1 - similarity, np.logaddexp(0, -realism)][: history.plan.objectives]
    generation = history.generation + (kind == "generation")
    objectives = np.stack(columns, axis=1)
    return Step(
        kind,
        generation,
        CONDITIONS,
        genomes,
        objectives,
        similarity,
        realism,
        0.5,  # type: ignore[arg-type] # a kind
    )


def live(plan: Plan, generations: int, *, swap_after: int = 0) -> tuple[History, list[Step]]:
    history, steps = History(plan), []
    history.begin(CONDITIONS)
    for generation in range(1, generations + 1):
        steps.append(scored(history, "generation", history.algorithm.ask()))
        history.take(steps[-1])
        if generation == swap_after:
            steps.append(scored(history, "rescore", history.survivors.copy(), shift=2.0))
            history.take(steps[-1])
    return history, steps


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.algorithm)
@pytest.mark.parametrize("swap_after", [0, 5])
def test_a_repeated_search_goes_on_like_the_living_one(plan: Plan, swap_after: int) -> None:
    living, steps = live(plan, 8, swap_after=swap_after)
    again = History(plan)
    again.repeat(steps)
    assert again.generation == 8
    assert (again.best, again.mean, again.second) == (living.best, living.mean, living.second)
    np.testing.assert_array_equal(again.champion, living.champion)
    np.testing.assert_array_equal(again.survivors, living.survivors)
    assert again.score(again.champion) == living.score(living.champion)
    for _ in range(3):
        batch = living.algorithm.ask()
        np.testing.assert_array_equal(again.algorithm.ask(), batch)
        step = scored(living, "generation", batch)
        living.take(step)
        again.take(step)


def test_a_swap_forgets_the_champion_of_before() -> None:
    before, steps = live(PLANS[0], 5)
    after, _ = live(PLANS[0], 5, swap_after=5)
    assert before.score(before.champion).similarity == max(before.best)
    best = max(after.score(genome).similarity for genome in after.survivors)
    assert after.score(after.champion).similarity == best < max(before.best)
    assert len(after.best) == len(before.best) == len(steps)


@pytest.mark.parametrize("place", [0, 3, 5])
def test_another_genome_in_the_journal_is_refused(place: int) -> None:
    _, steps = live(PLANS[0], 6, swap_after=5)
    genomes = steps[place].genomes.copy()
    genomes[2, 1] = np.nextafter(genomes[2, 1], np.float32(9))
    steps[place] = replace(steps[place], genomes=genomes)
    with pytest.raises(ConfigError, match=r"does not repeat.*fork"):
        History(PLANS[0]).repeat(steps)


def test_a_reseed_begins_afresh_and_keeps_the_curves() -> None:
    _, steps = live(PLANS[0], 3)
    wide = Conditions("a car", LatentSpace("w", (replace_size(9),)), 1.0, ())
    history = History(PLANS[0])
    history.repeat([*steps, Step.reseed(3, wide, 1)])
    assert not history.scored
    assert history.algorithm.ask().shape == (8, 9)
    assert (history.generation, len(history.best)) == (3, 3)


def test_a_front_without_a_number_shows_its_most_similar_and_goes_on() -> None:
    history = History(PLANS[2])
    history.begin(CONDITIONS)
    step = scored(history, "generation", history.algorithm.ask())
    history.take(replace(step, objectives=np.full_like(step.objectives, np.nan)))
    assert history.champion.tobytes() == step.genomes[step.similarity.argmax()].tobytes()
    history.take(scored(history, "generation", history.algorithm.ask()))
    assert np.isfinite(history.algorithm.population.objectives).any()


def replace_size(size: int) -> Segment:
    return Segment("w", "real", size, -10, 10, "normal")


def test_other_versions_are_refused_with_the_way_out() -> None:
    here = versions()
    check_versions(About({}, 1, here))
    with pytest.raises(ConfigError, match=r"numpy 1\.0.*pip install numpy==1\.0"):
        check_versions(About({}, 1, here | {"numpy": "1.0"}))
    check_versions(About({}, 1, here | {"python": "3.99"}))


@pytest.mark.parametrize("out", ["banned", "unscored"])
def test_refinement_begins_with_no_picture_that_is_banned_or_has_no_similarity(out: str) -> None:
    history, _ = live(PLANS[0], 4)
    best = history.champion.tobytes()
    step = scored(history, "choice" if out == "banned" else "rescore", history.survivors.copy())
    hit = np.array([genome.tobytes() == best for genome in step.genomes])
    objectives, similarity = step.objectives.copy(), step.similarity.copy()
    objectives[hit] = BANNED if out == "banned" else np.nan
    similarity[hit] = step.similarity[hit] if out == "banned" else np.nan
    history.take(replace(step, objectives=objectives, similarity=similarity))
    history.refine()
    start = history.survivors
    assert best not in {genome.tobytes() for genome in start}
    assert len(start) == 7
    assert np.isfinite(history.algorithm.population.objectives).all()
    told = scored(history, "refinement", history.algorithm.ask())
    gradient = np.zeros((7, SPACE.size))
    history.take(replace(told, objectives=np.hstack([told.objectives, gradient])))
    assert history.champion.tobytes() != best


def test_a_sum_that_is_no_number_is_not_the_best() -> None:
    """A scorer may say inf; the search counts that row as failed."""
    history = History(replace(PLANS[0], weighted=True))
    history.begin(CONDITIONS)
    step = scored(history, "generation", history.algorithm.ask())
    objectives = step.objectives.copy()
    objectives[3] = -np.inf
    history.take(replace(step, objectives=objectives))
    assert history.algorithm.failed == 1
    best = step.genomes[np.where(np.isfinite(objectives), objectives, np.inf).argmin()]
    assert history.champion.tobytes() == best.tobytes()


def test_a_genome_that_is_asked_for_again_keeps_the_generation_in_which_it_was_found() -> None:
    history, _ = live(PLANS[0], 4)
    found = {genome.tobytes(): history.score(genome) for genome in history.survivors}
    history.refine()
    told = scored(history, "refinement", history.algorithm.ask())
    gradient = np.zeros((len(told.genomes), SPACE.size))
    history.take(replace(told, generation=5, objectives=np.hstack([told.objectives, gradient])))
    assert {one.generation for one in found.values()} != {5}
    for genome in history.survivors:
        assert history.score(genome) == found[genome.tobytes()]
