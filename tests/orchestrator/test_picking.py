"""Choosing from a last population, and clearing runs away."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.picking import last_population, pick
from orchestrator.runs import RunFolder
from orchestrator.runs.pictures import read_recipe
from orchestrator.settings import RunSettings
from protocol.errors import BadRequestError
from tests.orchestrator.ensemble import fleet, grow, settings

__all__ = ["fleet", "settings"]


def test_the_picked_picture_is_the_one_of_that_rank(settings: RunSettings) -> None:
    folder = grow(replace(settings, generations=2))
    population = last_population(folder)
    assert population.scores == sorted(population.scores, reverse=True)
    assert len(population.scores) == settings.population
    best, third = pick(population, 1), pick(population, 3)
    assert third.name == "picked-003.png"
    assert read_recipe(third)["similarity"] == population.scores[2]
    with Image.open(best) as one, Image.open(folder / "best.png") as other:
        assert (np.asarray(one) == np.asarray(other)).all()
    for rank in (0, 7):
        with pytest.raises(BadRequestError, match="1 to 6"):
            pick(population, rank)


def test_the_film_shows_the_kept_grids(settings: RunSettings) -> None:
    folder = grow(replace(settings, generations=4, save_every=2))
    with Image.open(folder / "evolution.webp") as film:
        assert film.n_frames == len(list((folder / "grids").glob("*.webp"))) == 3


def folders(root: Path, count: int) -> list[RunFolder]:
    made = [RunFolder.create(root, "a car") for _ in range(count)]
    for folder in made:
        folder.write_settings({"prompt": "a car"})
    return made


def test_deleting_the_newest_run_points_latest_to_the_one_before(tmp_path: Path) -> None:
    first, second = folders(tmp_path, 2)
    second.delete()
    assert not second.path.exists()
    assert (tmp_path / "latest").resolve() == first.path
    first.delete()
    assert not (tmp_path / "latest").is_symlink()


def test_a_living_run_is_not_deleted(tmp_path: Path) -> None:
    (folder,) = folders(tmp_path, 1)
    with folder.lock(), pytest.raises(BadRequestError, match="grown"):
        folder.delete()
    assert folder.path.exists()
