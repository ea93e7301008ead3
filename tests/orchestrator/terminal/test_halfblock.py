from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rich.segment import Segment

from orchestrator.terminal.halfblock import halfblock, layout, sheet, thumbnails

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def colours(segment: Segment) -> tuple[Any, Any]:
    assert segment.style is not None
    assert segment.style.color is not None
    assert segment.style.bgcolor is not None
    return segment.style.color.triplet, segment.style.bgcolor.triplet


def test_two_pixels_share_a_cell_upper_over_lower() -> None:
    picture = halfblock(np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8), 2)
    (line,) = picture.lines
    assert [segment.text for segment in line] == ["▀", "▀"]
    assert [colours(segment) for segment in line] == [(RED, BLUE), (GREEN, WHITE)]


def test_a_picture_printed_is_these_very_bytes(terminal: Callable[..., Any]) -> None:
    console = terminal(20, 5)
    console.print(halfblock(np.array([[RED], [BLUE]], np.uint8), 1))
    assert console.file.getvalue() == "\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[0m\n"


def test_a_larger_picture_is_averaged_over_boxes() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[(40, 0, 0), (80, 0, 0)], [(0, 0, 0), (0, 0, 40)]]
    assert colours(halfblock(image, 2).lines[0][0])[0] == (30, 0, 10)


def test_a_smaller_picture_is_repeated() -> None:
    picture = halfblock(np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8), 4)
    assert len(picture.lines) == 2
    assert colours(picture.lines[0][1]) == (RED, RED)
    assert colours(picture.lines[1][2]) == (WHITE, WHITE)


@pytest.mark.parametrize("image", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3))])
def test_a_wrong_array_is_refused(image: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected image to be a \(h, w, 3\) uint8 array"):
        halfblock(image, 2)


@pytest.mark.parametrize(
    ("columns", "rows", "found"),
    [
        (90, 40, (4, 4, 18)),
        (72, 25, (4, 3, 14)),
        (72, 19, (4, 2, 17)),
        (48, 13, (4, 2, 10)),
        (48, 7, (4, 1, 11)),
        (20, 9, (2, 1, 9)),
        (10, 6, (1, 1, 10)),
        (6, 6, None),
        (50, 3, None),
    ],
)
def test_the_grid_is_the_fullest_that_fits(columns: int, rows: int, found: Any) -> None:
    assert layout(columns, rows, 64, 64) == found


def test_every_thumbnail_has_its_rank_and_score() -> None:
    images = np.zeros((6, 8, 8, 3), np.uint8)
    picture = thumbnails(images, [0.3125, 0.31, 0.3, 0.29, 0.28], 48, 13)
    assert picture is not None
    texts = ["".join(segment.text for segment in line) for line in picture.lines]
    assert [text.split() for text in texts if "▀" not in text] == [
        ["1", "0.312", "2", "0.310", "3", "0.300", "4", "0.290"],
        ["5", "0.280", "6"],
    ]
    assert {len(text) for text in texts} == {picture.columns}


def test_no_pictures_no_grid() -> None:
    assert thumbnails(np.zeros((0, 8, 8, 3), np.uint8), [], 48, 13) is None


@pytest.mark.parametrize(
    ("count", "columns", "rows", "across", "lines"),
    [(32, 120, 37, 8, 32), (32, 80, 21, 8, 20), (4, 120, 37, 4, 15), (60, 40, 10, 4, 75)],
)
def test_a_sheet_shows_everything_and_on_one_screen_where_it_can(
    count: int, columns: int, rows: int, across: int, lines: int
) -> None:
    drawn = sheet(np.zeros((count, 8, 8, 3), np.uint8), [0.5] * count, columns, rows)
    texts = ["".join(segment.text for segment in line) for line in drawn.lines]
    assert {len(text) for text in texts} == {drawn.columns}
    assert drawn.columns <= columns
    captions = [text.split() for text in texts if "▀" not in text]
    assert [rank for text in captions for rank in text[::2]] == [str(n + 1) for n in range(count)]
    assert len(captions[0]) == 2 * across
    assert len(texts) == lines
