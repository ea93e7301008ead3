import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.runs import slug


@given(st.text())
def test_any_text_becomes_a_safe_short_name(text: str) -> None:
    name = slug(text)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert len(name) <= 60


@given(st.text())
def test_a_slug_is_its_own_slug(text: str) -> None:
    assert slug(slug(text)) == slug(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("A yellow car, in the City!", "a-yellow-car-in-the-city"),
        ("../../etc/passwd", "etc-passwd"),
        ("l'été à Zürich", "lete-a-zurich"),
        ("猫", "run"),
        ("", "run"),
        ("x" * 80, "x" * 60),
        ("word " * 20, "-".join(["word"] * 12)),
    ],
)
def test_known_names(text: str, name: str) -> None:
    assert slug(text) == name
