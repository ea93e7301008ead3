"""Latent spaces that the search tests share."""

import pytest

from protocol.latent import LatentSpace, Segment


@pytest.fixture
def real_space() -> LatentSpace:
    return LatentSpace("z", (Segment("z", "real", 12, -10, 10, "normal"),))


@pytest.fixture
def mixed_space() -> LatentSpace:
    return LatentSpace(
        "mixed",
        (
            Segment("z", "real", 5, -2, 2, "truncated_normal"),
            Segment("colour", "real", 3, 0.1, 0.7, "uniform"),
            Segment("count", "integer", 3, -4, 9, "uniform"),
            Segment("tokens", "categorical", 4, 0, 50255, "uniform"),
            Segment("bits", "binary", 6, 0, 1, "uniform", 0.2),
        ),
    )


@pytest.fixture
def tiny_space() -> LatentSpace:
    return LatentSpace("tiny", (Segment("bits", "binary", 2, 0, 1, "uniform"),))
