"""How a target is typed, and read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.targets import Part, joined, read_part, read_prompts
from protocol.errors import BadRequestError


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("a yellow car", Part("a yellow car")),
        ("a yellow car:1", Part("a yellow car")),
        ("night:0.5", Part("night", 0.5)),
        ("snow:-0.3", Part("snow", -0.3)),
        ("snow : -.3 ", Part("snow", -0.3)),
        ("a clock at 12:30", Part("a clock at 12:30")),
        ("a clock at 12:30:2", Part("a clock at 12:30:2")),
        ("route 66 :2", Part("route 66", 2)),
        ("note: a car", Part("note: a car")),
        ("photo.jpg:0.5", Part("photo.jpg", 0.5)),
        ("C:", Part("C:")),
    ],
)
def test_a_weight_follows_the_last_colon(typed: str, wanted: Part) -> None:
    assert read_part(typed) == wanted


@pytest.mark.parametrize("typed", ["a car:0", "a car:1001", "a car:-1e9", " :0.5"])
def test_useless_weights_are_refused_or_text(typed: str) -> None:
    if typed == "a car:-1e9":
        assert read_part(typed) == Part(typed)
    else:
        with pytest.raises(BadRequestError, match="weight"):
            read_part(typed)


def test_several_prompts_are_one_text_and_back() -> None:
    text = joined(["a yellow car:1", "night:0.5"])
    assert read_prompts(text) == (Part("a yellow car"), Part("night", 0.5))
    assert read_prompts("  ") == ()


@given(
    st.text("ab 19:.-/", min_size=1).map(str.strip).filter(bool),
    st.one_of(
        st.sampled_from([1.0, -1.0, 2.0]),
        st.floats(1e-9, 1000),
        st.floats(-1000, -1e-9),
    ),
)
def test_a_part_is_typed_so_that_it_is_read_the_same(text: str, weight: float) -> None:
    part = Part(text, weight)
    assert read_part(part.typed) == part


def test_usual_parts_are_typed_shortly() -> None:
    typed = [Part(*one).typed for one in [("a", 1.0), ("a", 0.5), ("img.jp2", 2.0), ("b", -1e-5)]]
    assert typed == ["a", "a:0.5", "img.jp2 :2", "b:-0.00001"]


@given(
    st.lists(
        st.tuples(
            st.text("abc xyz", min_size=1).map(str.strip).filter(bool),
            st.sampled_from([1.0, 0.5, -0.25, 3.0]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_is_read(parts: list[tuple[str, float]]) -> None:
    wanted = tuple(Part(text, weight) for text, weight in parts)
    assert read_prompts(joined([str(part) for part in wanted])) == wanted
