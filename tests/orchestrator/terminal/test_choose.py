import io
from typing import Any

import pytest
from rich.console import Console

from orchestrator.terminal import make_display
from orchestrator.terminal.choose import can_show_images
from orchestrator.terminal.live import LiveDisplay
from orchestrator.terminal.plain import JsonDisplay, PlainDisplay, QuietDisplay

XTERM = {"TERM": "xterm-256color"}


class Tty(io.StringIO):
    """A terminal, as far as anyone asks."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("ui", "stream", "environ", "kind"),
    [
        ("auto", Tty(), XTERM, LiveDisplay),
        ("live", Tty(), XTERM, LiveDisplay),
        ("auto", Tty(), XTERM | {"NO_COLOR": "1"}, LiveDisplay),
        ("auto", Tty(), {"TERM": "dumb"}, PlainDisplay),
        ("auto", Tty(), {}, PlainDisplay),
        ("auto", io.StringIO(), XTERM, PlainDisplay),
        ("auto", io.TextIOWrapper(io.BytesIO(), encoding="ascii"), XTERM, PlainDisplay),
        ("live", io.StringIO(), XTERM, PlainDisplay),
        ("plain", Tty(), XTERM, PlainDisplay),
        ("quiet", Tty(), XTERM, QuietDisplay),
        ("json", Tty(), XTERM, JsonDisplay),
    ],
)
def test_the_terminal_and_the_wish_decide(ui: Any, stream: Any, environ: Any, kind: type) -> None:
    assert type(make_display(ui, "auto", stream, environ)) is kind


def test_a_run_in_the_background_leaves_the_screen_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.tcgetpgrp", lambda _: -1)
    assert type(make_display("auto", "auto", Tty(), XTERM)) is PlainDisplay


@pytest.mark.parametrize(
    ("images", "environ", "shown"),
    [
        ("auto", XTERM, True),
        ("auto", {"TERM": "xterm", "COLORTERM": "truecolor"}, True),
        ("auto", {"TERM": "xterm"}, False),
        ("half", {"TERM": "xterm"}, True),
        ("off", XTERM, False),
        ("kitty", XTERM, True),
        ("kitty", XTERM | {"NO_COLOR": "1"}, False),
        ("auto", XTERM | {"NO_COLOR": "1"}, False),
        ("half", XTERM | {"NO_COLOR": "1"}, False),
    ],
)
def test_pictures_need_colours(images: Any, environ: Any, *, shown: bool) -> None:
    display = make_display("auto", images, Tty(), environ)
    assert isinstance(display, LiveDisplay)
    assert display._frame._images is shown


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", True), ("latin-1", False)])
def test_pictures_need_an_encoding_that_has_half_blocks(encoding: str, *, shown: bool) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, force_terminal=True, _environ=XTERM)
    assert can_show_images(console, "auto") is shown


@pytest.mark.parametrize(
    ("images", "environ", "pixels"),
    [
        ("auto", XTERM, False),
        ("half", XTERM, False),
        ("kitty", XTERM, True),
        ("kitty", XTERM | {"TMUX": "/tmp/tmux-0/default,1,0"}, False),
        ("sixel", XTERM, True),
        ("sixel", XTERM | {"NO_COLOR": "1"}, False),
    ],
)
def test_pixels_are_for_those_who_ask(images: Any, environ: Any, *, pixels: bool) -> None:
    display = make_display("auto", images, Tty(), environ)
    assert isinstance(display, LiveDisplay)
    assert (display._painter is not None) is pixels
    assert ("tmux" in display._message) is ("TMUX" in environ)


def test_a_live_display_that_cannot_be_says_so() -> None:
    stream = io.StringIO()
    make_display("live", "auto", stream, XTERM)
    assert "printing plain lines" in stream.getvalue()
