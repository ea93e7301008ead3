import dataclasses

import pytest

from orchestrator.terminal import Snapshot
from orchestrator.terminal.controls import Controls, Offer, Request

OFFERS = (Offer("mini-car", "bundled"), Offer("/models/mine.safetensors", "running on cpu"))


@pytest.fixture
def shown(snapshot: Snapshot) -> Snapshot:
    """A population of four pictures."""
    return dataclasses.replace(snapshot, genomes=(b"a", b"b", b"c", b"d"))


@pytest.fixture
def controls() -> Controls:
    return Controls(lambda: OFFERS)


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("p", Request("pause")),
        ("s", Request("save")),
        ("q", Request("finish")),
        ("1", Request("favourite", genome=b"a")),
        ("4", Request("favourite", genome=b"d")),
        ("x2", Request("ban", genome=b"b")),
        ("g2", Request("swap", model="/models/mine.safetensors")),
        ("?p", Request("pause")),
        ("5", None),
        ("0", None),
        ("z", None),
        ("x5", None),
        ("g9", None),
        ("xp", None),
        ("\x1b[A", None),
    ],
)
def test_keys_ask_for_what_the_help_says(
    controls: Controls, shown: Snapshot, keys: str, wanted: Request | None
) -> None:
    typed = [keys] if keys.startswith("\x1b") else list(keys)
    assert [controls.press(key, shown) for key in typed][-1] == wanted


def test_a_question_is_left_by_any_other_key(controls: Controls, shown: Snapshot) -> None:
    controls.press("x", shown)
    assert "ban" in controls.question
    assert controls.press("q", shown) is None
    assert not controls.question
    assert controls.press("q", shown) == Request("finish")


def test_the_menu_names_every_offer(controls: Controls, shown: Snapshot) -> None:
    controls.press("g", shown)
    assert controls.panel[0] == "generators"
    assert [line.split()[1] for line in controls.panel[1:]] == [one.model for one in OFFERS]
    controls.press("\x1b", shown)
    assert controls.panel == ()


def test_without_offers_or_pictures_there_is_nothing_to_ask(snapshot: Snapshot) -> None:
    controls = Controls(list)
    for key in ("g", "x"):
        assert controls.press(key, snapshot) is None
        assert not controls.question


def test_help_comes_and_goes(controls: Controls, shown: Snapshot) -> None:
    controls.press("?", shown)
    assert any("pause" in line for line in controls.panel)
    controls.press("?", shown)
    assert controls.panel == ()


def test_a_ban_means_the_picture_that_was_shown_when_it_was_asked(
    controls: Controls, shown: Snapshot
) -> None:
    controls.press("x", shown)
    later = dataclasses.replace(shown, genomes=(b"new", *shown.genomes))
    assert controls.press("1", later) == Request("ban", genome=b"a")
