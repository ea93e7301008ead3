"""How pictures are made ready for a CLIP; that they equal open_clip's: tests/services/clip."""

import numpy as np
import pytest
from msgspec import UNSET

from protocol.messages import Resizing
from protocol.views import clip_view, layout


def test_clip_sees_the_middle_of_a_picture() -> None:
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 20:60] = 200
    (seen,) = clip_view(picture[None], 16, UNSET)
    assert seen.shape == (16, 16, 3)
    assert (seen[:, 2:-2] == 200).all()
    assert (seen > 150).all()  # its edge has a little of what lies beside it


@pytest.mark.parametrize(
    ("resizing", "inner", "corner"),
    [
        (UNSET, (16, 32), (0, 8)),
        ("shortest-bilinear", (16, 32), (0, 8)),
        ("squash-bicubic", (16, 16), (0, 0)),
    ],
)
def test_a_wide_picture_is_cut_or_squashed(
    resizing: Resizing, inner: tuple[int, int], corner: tuple[int, int]
) -> None:
    assert layout(40, 80, 16, resizing) == (inner, corner)


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(clip_view(pictures, 16, UNSET), pictures)
