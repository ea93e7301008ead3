"""The error tree is complete, and errors survive the wire."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protocol import errors
from protocol.errors import (
    BY_CODE,
    GlasshouseError,
    WeightsError,
    from_wire,
    mistakes_in_one_sentence,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_drawn_tree_is_the_tree() -> None:
    for cls in BY_CODE.values():
        if cls is not GlasshouseError:
            assert f"{cls.__name__} " in (errors.__doc__ or "")
            assert f" {cls.code} " in (errors.__doc__ or "")


def test_codes_are_unique_and_come_back_as_their_class() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, GlasshouseError)
    ]
    assert len(BY_CODE) == len(classes)
    for cls in classes:
        assert type(from_wire(cls.code, "why")) is cls


def test_an_unknown_code_is_still_an_error() -> None:
    assert from_wire("of-the-future", "why").message == "why"


def test_a_command_ends_with_one_sentence_and_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mistakes: list[tuple[Callable[[], object], int, str]] = [
        (lambda: raised(WeightsError("lost")), 6, "grow: lost\n"),
        ((tmp_path / "none").read_text, 7, f"grow: {tmp_path}/none cannot be used: No such file"),
        (Path("a" * 5000).is_file, 7, f"grow: {'a' * 120}… cannot be used: File name too long"),
    ]
    for make, code, said in mistakes:
        with pytest.raises(SystemExit) as ended, mistakes_in_one_sentence("grow"):
            make()
        assert ended.value.code == code
        assert capsys.readouterr().err.startswith(said)
    with pytest.raises(OSError, match="out of handles"), mistakes_in_one_sentence("grow"):
        raised(OSError("out of handles"))


def raised(error: Exception) -> None:
    raise error
