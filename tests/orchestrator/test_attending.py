"""What a user asks of a living run by keys, over one fleet of tiny services."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.runs.history import BANNED
from orchestrator.runs.journal import Journal
from orchestrator.runs.pictures import read_recipe
from orchestrator.settings import RunSettings
from orchestrator.terminal import Snapshot
from orchestrator.terminal.controls import Request
from orchestrator.terminal.plain import QuietDisplay
from orchestrator.verify import verify_run
from tests.orchestrator.ensemble import (  # the fixtures among them
    Fleet,
    digest,
    events,
    fleet,
    grow,
    kinds,
    quiet,
    resume,
    settings,
)

__all__ = ["fleet", "settings"]

Asking = Callable[[Snapshot], Request]


class Typing(QuietDisplay):
    """Types keys when a generation is shown for the first time."""

    def __init__(self, asks: dict[int, Asking]) -> None:
        super().__init__(quiet()._stream)
        self._asks = asks
        self._asked: list[Request] = []
        self.shown: list[Snapshot] = []
        self.said: list[str] = []

    def update(self, snapshot: Snapshot) -> None:
        self.shown.append(snapshot)
        if snapshot.genomes and snapshot.generation in self._asks:
            self._asked.append(self._asks.pop(snapshot.generation)(snapshot))

    def requests(self) -> list[Request]:
        asked, self._asked = self._asked, []
        return asked

    def message(self, text: str) -> None:
        self.said.append(text)


def favour(rank: int) -> Asking:
    return lambda shown: Request("favourite", genome=shown.genomes[rank])


def ban(rank: int) -> Asking:
    return lambda shown: Request("ban", genome=shown.genomes[rank])


def test_favourites_and_bans_are_steps_that_a_resumed_run_repeats(settings: RunSettings) -> None:
    display = Typing({2: favour(3), 3: ban(0)})
    half = grow(replace(settings, generations=4), display)
    assert kinds(half) == ["g", "g", "c", "g", "c", "g"]
    whole = grow(settings, Typing({2: favour(3), 3: ban(0)}))
    assert digest(resume(half, generations=settings.generations)) == digest(whole)
    verify_run(whole)
    assert digest(grow(settings)) != digest(whole)
    assert len(events(whole, "favourite")) == len(events(whole, "ban")) == 1


@pytest.mark.parametrize("algorithm", ["ga", "nsga2"])
def test_a_banned_picture_is_the_worst_and_a_favourite_as_good_as_the_best(
    settings: RunSettings, algorithm: str
) -> None:
    display = Typing({2: ban(0), 3: favour(4)})
    folder = grow(replace(settings, algorithm=algorithm, generations=4), display)
    with Journal.open(folder / "journal.sqlite") as journal:
        banned, favoured = [step for step in journal.steps() if step.kind == "choice"]
    assert (banned.objectives[:, 0] == BANNED).sum() == 1
    assert banned.objectives[np.argmax(banned.similarity)].min() == BANNED
    loved = next(shown.genomes[4] for shown in display.shown if shown.generation == 3)
    row = [genome.tobytes() for genome in favoured.genomes].index(loved)
    allowed = favoured.objectives[favoured.objectives[:, 0] < BANNED]
    assert (favoured.objectives[row] == allowed.min(axis=0)).all()


def test_a_favourite_is_kept_as_a_picture_with_its_recipe(settings: RunSettings) -> None:
    display = Typing({2: favour(2)})
    folder = grow(settings, display)
    (picture,) = folder.glob("favourite-*.png")
    loved = next(shown for shown in display.shown if shown.generation == 2)
    genome = np.array(read_recipe(picture)["genome"], np.float32)
    assert genome.tobytes() == loved.genomes[2]
    assert display.shown[-1].favourites == {loved.genomes[2]}


@pytest.mark.parametrize("algorithm", ["random", "de", "thesis-de"])
def test_who_breeds_from_nobody_in_particular_bans_nobody(
    settings: RunSettings, algorithm: str
) -> None:
    everybody = {generation: ban(0) for generation in range(1, 6)}
    folder = grow(replace(settings, algorithm=algorithm, generations=3), Typing(everybody))
    assert "c" not in kinds(folder)


def test_a_pause_holds_the_search_until_it_is_ended(settings: RunSettings) -> None:
    display = Pausing()
    folder = grow(settings, display)
    assert display.while_paused == {2}
    assert digest(folder) == digest(grow(settings)), "waiting changes nothing"


class Pausing(QuietDisplay):
    """Pauses after the second generation, for a while."""

    def __init__(self) -> None:
        super().__init__(quiet()._stream)
        self.while_paused: set[int] = set()
        self._until = 0.0
        self._generation = 0

    def update(self, snapshot: Snapshot) -> None:
        self._generation = snapshot.generation
        if snapshot.phase == "paused":
            self.while_paused.add(snapshot.generation)

    def requests(self) -> list[Request]:
        if self._generation == 2 and not self._until:
            self._until = time.monotonic() + 0.5
            return [Request("pause")]
        if self._until and self.while_paused and time.monotonic() > self._until:
            self._until = float("inf")
            return [Request("pause")]
        return []


def test_save_keeps_the_population_at_once(settings: RunSettings) -> None:
    folder = grow(settings, Typing({3: lambda _: Request("save")}))
    assert (folder / "populations" / "000003.npz").is_file()
    assert (folder / "grids" / "000003.webp").is_file()


def test_finish_ends_the_run_as_ctrl_c_does(settings: RunSettings) -> None:
    from orchestrator.begin import new_run
    from orchestrator.interrupts import Interrupts

    run = new_run(settings, Typing({2: lambda _: Request("finish")}), Interrupts())
    assert run.grow() == 0
    assert run.folder.read_run()["status"] == "stopped"
    assert run.folder.events()[-1]["generation"] == 2


def test_a_swap_by_key_goes_the_way_of_the_command(settings: RunSettings, fleet: Fleet) -> None:
    asked = {2: lambda _: Request("swap", model=fleet["other"])}
    display = Typing(asked)
    folder = grow(replace(settings, generations=40), display)
    assert kinds(folder).count("r") == 1
    assert any("swapped" in line for line in display.said)
    assert display.shown[-1].swaps
