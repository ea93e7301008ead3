"""The error tree is complete, and errors survive the wire."""

from protocol import errors
from protocol.errors import BY_CODE, GlasshouseError, from_wire


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
