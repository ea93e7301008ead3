"""Which classes a prompt names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.measuring.claims import asked_for

LABELS = {
    "colour": ("red, scarlet", "blue", "brown"),
    "eyes": ("blue eyes, blue eyed", "brown eyes"),
    "animal": ("tench, Tinca tinca", "llama", "Kerry blue terrier", "off-roader"),
}


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("llama", {"animal": 1}),
        ("A SCARLET tinca Tinca!", {"colour": 0, "animal": 0}),
        ("a man with brown eyes", {"eyes": 1}),
        ("a man with brown eyes in a brown coat", {"eyes": 1, "colour": 2}),
        ("a kerry blue terrier", {"animal": 2}),
        ("a red car before a blue house", {}),
        ("a red, red car", {"colour": 0}),
        ("an off roader", {"animal": 3}),
        ("reddish llamas", {}),
        ("", {}),
    ],
)
def test_what_is_asked_for(prompt: str, asked: dict[str, int]) -> None:
    assert asked_for(prompt, LABELS) == asked


@given(st.lists(st.sampled_from(["red", "blue", "eyes", "brown", "kerry", "terrier", "x"])))
def test_only_what_is_said_is_asked_for(words: list[str]) -> None:
    asked = asked_for(" ".join(words), LABELS)
    for head, index in asked.items():
        names = [name.split() for name in LABELS[head][index].casefold().split(", ")]
        assert any(set(name) <= set(words) for name in names)


def test_one_name_may_belong_to_several_heads() -> None:
    labels = {"thing": ("church, chapel",), "kind": ("chapel",)}
    assert asked_for("a chapel", labels) == {"thing": 0, "kind": 0}
    assert asked_for("a church", labels) == {"thing": 0}
