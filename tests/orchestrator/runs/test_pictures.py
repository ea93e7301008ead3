import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from orchestrator.runs import RunFolder
from orchestrator.runs.pictures import grid, png, read_recipe, webp
from protocol.errors import BadRequestError, StorageError


def shades(count: int, height: int = 8, width: int = 8) -> Any:
    """`count` plain pictures, each of its own grey."""
    grey = np.arange(1, count + 1, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(grey, (count, height, width, 3)).copy()


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (5, 2, 3), (16, 4, 4), (17, 4, 5)]
)
def test_a_grid_is_nearly_square(count: int, rows: int, columns: int) -> None:
    assert grid(shades(count)).shape == (rows * 10 - 2, columns * 10 - 2, 3)


def test_the_first_picture_is_top_left_and_the_next_to_its_right() -> None:
    picture = grid(shades(5))
    assert picture[0, 0, 0] == 1
    assert picture[0, 10, 0] == 2
    assert picture[10, 10, 0] == 5
    assert not picture[:, 8:10].any()
    assert not picture[10:, 20:].any()


@pytest.mark.parametrize(
    ("count", "side", "tile"), [(4, 1024, 256), (4, 300, 150), (400, 256, 128)]
)
def test_large_pictures_are_reduced_by_a_whole_factor(count: int, side: int, tile: int) -> None:
    images = np.broadcast_to(np.uint8(9), (count, side, side, 3))
    columns = round(count**0.5)
    assert grid(images).shape == (columns * (tile + 2) - 2, columns * (tile + 2) - 2, 3)
    assert max(grid(images).shape) <= 4096


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
    ],
)
def test_a_wrong_array_is_refused_in_the_words_of_the_docstring(images: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected images to be a \(n, h, w, 3\) uint8 array"):
        grid(images)


def test_webp_opens_at_the_grid_s_size() -> None:
    with Image.open(io.BytesIO(webp(grid(shades(5))))) as image:
        assert (image.format, image.size) == ("WEBP", (28, 18))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), values))
def test_a_recipe_survives_the_picture(recipe: dict[str, Any]) -> None:
    content = png(shades(1)[0], recipe)
    with Image.open(io.BytesIO(content)) as image:
        assert json.loads(image.info["glasshouse"]) == recipe


def test_the_best_picture_carries_its_recipe_and_its_pixels(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "a car")
    picture = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    recipe = {"target": 'ein "Auto" 猫\n', "seed": 7, "genome": [0.25, -1.5]}
    path = folder.save_picture("best", picture, recipe)
    assert read_recipe(path) == recipe
    with Image.open(path) as image:
        assert (np.asarray(image) == picture).all()


def test_pictures_without_a_recipe_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(BadRequestError, match=r"x\.png carries none"):
        read_recipe(path)
    path.write_bytes(b"no picture")
    with pytest.raises(BadRequestError, match="carries none"):
        read_recipe(path)
    path.write_bytes(png(shades(1)[0], {"a": "b" * 9})[:60])
    with pytest.raises(BadRequestError, match="carries none"):
        read_recipe(path)
    with pytest.raises(StorageError, match="no such file"):
        read_recipe(tmp_path / "gone.png")
