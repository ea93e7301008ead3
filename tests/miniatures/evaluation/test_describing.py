"""From picture to text: what counts as naming it, through a real ensemble."""

from pathlib import Path

import pytest

from miniatures.evaluation.describing import describing_figures, named
from miniatures.training import WEIGHTS
from miniatures.world import Scene


@pytest.mark.parametrize(
    ("scene", "caption", "right"),
    [
        (Scene(colour="yellow"), "the picture of a yellow car in the snow", True),
        (Scene(colour="yellow"), "the picture of a golden sedan", True),
        (Scene(colour="yellow"), "the picture of a blue car", False),
        (Scene(colour="yellow"), "the picture of a car", False),
        (Scene(colour="yellow"), "the picture of a yellow house", False),
        (Scene(colour="yellow"), "yellow yellow car car", False),
        (Scene("face", "boy", hair="ginger"), "the picture of a ginger boy", True),
        (Scene("face", "boy", hair="ginger"), "the picture of a bald boy", False),
    ],
)
def test_thing_and_colour_must_be_named(scene: Scene, caption: str, *, right: bool) -> None:
    assert named(scene, caption) == right


def test_drawings_are_captioned_once(tmp_path: Path) -> None:
    tiny = ("--generations", "2", "--population", "4")
    figures = list(describing_figures(WEIGHTS, tmp_path, 1, tiny))
    assert [row[:2] for row in figures] == [
        ("mini-captions", "drawings whose thing and colour are named")
    ]
    written = (tmp_path / "captions-00" / "latest" / "best.txt").stat().st_mtime_ns
    assert list(describing_figures(WEIGHTS, tmp_path, 1, tiny)) == figures
    assert (tmp_path / "captions-00" / "latest" / "best.txt").stat().st_mtime_ns == written


def test_missing_models_are_said(tmp_path: Path) -> None:
    ((model, said, value),) = describing_figures(tmp_path, tmp_path)
    assert (model, value) == ("mini-captions", None)
    assert "mini-captions.safetensors, mini-clip.safetensors missing" in said
