"""A run seen through its folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.runs import RunFolder
from orchestrator.runs.pictures import grid, read_grid, webp
from orchestrator.settings import RunSettings
from orchestrator.terminal import Snapshot
from orchestrator.terminal.plain import QuietDisplay
from orchestrator.watching import Watcher, watch
from protocol.errors import BadRequestError
from tests.orchestrator.ensemble import fleet, grow, quiet, settings

__all__ = ["fleet", "settings"]


class Recording(QuietDisplay):
    def __init__(self) -> None:
        super().__init__(quiet()._stream)
        self.shown: list[Snapshot] = []

    def update(self, snapshot: Snapshot) -> None:
        self.shown.append(snapshot)


def test_a_watcher_sees_what_the_run_itself_shows(settings: RunSettings) -> None:
    own, watching = Recording(), Recording()
    folder = grow(replace(settings, generations=3), own)
    watch(folder, watching)
    (seen,), last = watching.shown, own.shown[-1]
    for name in ("target", "algorithm", "seed", "population", "generation", "best", "mean"):
        assert getattr(seen, name) == getattr(last, name), name
    assert seen.scores == pytest.approx(last.scores, abs=1e-4)
    assert [one.digest for one in seen.services] == [one.digest for one in last.services]
    assert seen.thumbnails is not None
    assert last.thumbnails is not None
    assert seen.thumbnails.shape == last.thumbnails.shape
    off = np.abs(seen.thumbnails.astype(int) - last.thumbnails)
    assert off.mean() < 16, "but for what WebP loses"


def test_a_living_run_is_followed_until_it_ends(
    settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.watching.LOOK_S", 0.01)
    folder = RunFolder(grow(replace(settings, generations=2)))
    watching = Recording()
    watcher = Watcher(folder, watching)
    folder.update(status="running")
    with folder.lock():
        assert watcher.snapshot().phase == "searching"
    watcher.watch()  # nobody grows it any more
    assert watching.shown[-1].phase == "done"
    assert "killed" in watching.shown[-1].log[0]


@pytest.mark.parametrize("count", [1, 2, 5, 16, 23])
def test_a_grid_is_read_back(tmp_path: Path, count: int) -> None:
    images = np.repeat(np.arange(count, dtype=np.uint8)[:, None, None, None] * 9, 16, 1)
    images = np.broadcast_to(images, (count, 16, 24, 3)).copy()
    path = tmp_path / "latest.webp"
    path.write_bytes(webp(grid(images)))
    found = read_grid(path, count)
    assert found.shape == images.shape
    assert np.abs(found.astype(int) - images).max() < 24


def test_a_generation_without_numbers_is_a_gap_and_moves_nothing(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "a car")
    folder.write_settings({"prompt": "a car"})
    for generation, best in ((1, 0.25), (2, None), (3, 0.75)):
        told = {"event": "generation", "generation": generation, "best": best, "mean": 0.25}
        folder.append_event({**told, "scores": [best, 0.25]})
    folder.append_event({"event": "generation", "generation": 4, "evaluations": "many"})
    seen = Watcher(folder, Recording()).snapshot()
    assert (seen.generation, seen.mean) == (3, (0.25, 0.25, 0.25))
    assert np.array(seen.best) == pytest.approx([0.25, np.nan, 0.75], nan_ok=True)
    assert seen.second == ()


def test_a_fork_that_was_resumed_is_told_by_its_own_generations(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "a car")
    folder.write_settings({"prompt": "a car", "generations": 10})
    for generation, evaluations, elapsed_s in ((4, 8, 20.0), (5, 16, 40.0), (6, 8, 1.0)):
        told = {"event": "generation", "generation": generation, "best": generation / 8}
        folder.append_event({**told, "evaluations": evaluations, "elapsed_s": elapsed_s})
    seen = Watcher(folder, Recording()).snapshot()
    assert len(seen.best) == 6, "the axis ends at the newest generation"
    assert np.array(seen.best[3:]) == pytest.approx([0.5, 0.625, 0.75])
    assert np.isnan(seen.best[:3]).all()
    assert seen.gain == 0.25
    assert seen.eta_s == 4.0, "at the pace of the process that grows it now"


def test_no_run_and_no_picture(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match=r"no run\.json"):
        watch(tmp_path, quiet())
    (tmp_path / "latest.webp").write_bytes(b"no picture")
    with pytest.raises(BadRequestError, match="none"):
        read_grid(tmp_path / "latest.webp", 4)
