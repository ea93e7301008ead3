"""Many targets over one fleet of tiny services."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.interrupts import Interrupts
from orchestrator.many import grow_many, read_targets, sheet
from orchestrator.settings import RunSettings
from orchestrator.terminal.board import Chalk
from orchestrator.terminal.plain import QuietDisplay
from protocol.errors import BadRequestError
from tests.orchestrator.ensemble import digest, fleet, grow, settings

__all__ = ["fleet", "settings"]

TARGETS = ["a red car", "x" * 2000, "a blue car"]


def chalk(targets: list[str]) -> Chalk:
    return Chalk(targets, 2, QuietDisplay(io.StringIO()))


def test_every_target_grows_as_it_would_alone_and_one_that_fails_stops_nobody(
    settings: RunSettings, tmp_path: Path
) -> None:
    settings = replace(settings, generations=2)
    first, broken, last = grow_many(settings, TARGETS, 2, chalk(TARGETS), Interrupts())
    assert [first.code, broken.code, last.code] == [0, BadRequestError.exit_code, 0]
    assert "characters" in broken.why
    assert first.folder is not None
    assert last.folder is not None
    alone = replace(settings, prompt=TARGETS[2], seed=settings.seed + 2, runs=tmp_path / "alone")
    assert digest(last.folder) == digest(grow(alone))
    path = sheet([first, broken, last], tmp_path / "sheet.webp")
    assert path is not None
    with Image.open(path) as picture, Image.open(first.folder / "best.png") as best:
        assert picture.width > 2 * best.width


def test_none_begins_after_ctrl_c(settings: RunSettings) -> None:
    interrupts = Interrupts()
    interrupts.stop, interrupts.exit_code = True, 130
    found = grow_many(settings, TARGETS[:1], 1, chalk(TARGETS[:1]), interrupts)
    assert [one.code for one in found] == [130]
    assert not settings.runs.exists()


@pytest.mark.parametrize("content", [b"", b"# only a remark\n\n", b"\xff\xfe\x00"])
def test_a_list_without_targets_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "targets.txt"
    path.write_bytes(content)
    with pytest.raises(BadRequestError, match=r"targets\.txt"):
        read_targets(path)


def test_targets_are_read_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "targets.txt"
    path.write_text("# cars\na red car\n\n  a blue car  \n", encoding="utf-8-sig")
    assert read_targets(path) == ["a red car", "a blue car"]
