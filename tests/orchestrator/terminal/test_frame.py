import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from orchestrator.baseline import Baseline
from orchestrator.terminal import ServiceStatus, Snapshot
from orchestrator.terminal.frame import Frame

SIZES = [(200, 60), (120, 40), (100, 30), (80, 24), (60, 20), (40, 12), (24, 8), (5, 2)]


def draw(console: Any, snapshot: Snapshot, *, images: bool = True, message: str = "") -> list[str]:
    columns, rows = console.size
    frame = Frame(console, images=images).draw(snapshot, columns, rows, message)
    return ["".join(segment.text for segment in line) for line in frame.lines]


@pytest.mark.parametrize(("columns", "rows"), SIZES)
@pytest.mark.parametrize("phase", ["starting", "searching", "saving", "done"])
def test_a_frame_fills_the_terminal_exactly(
    snapshot: Snapshot, terminal: Callable[..., Any], columns: int, rows: int, phase: Any
) -> None:
    console = terminal(columns, rows)
    frame = Frame(console, images=True).draw(
        dataclasses.replace(snapshot, phase=phase), columns, rows
    )
    assert len(frame.lines) == rows
    assert {sum(s.cell_length for s in line) for line in frame.lines} == {columns}


def test_a_wide_frame_shows_everything(snapshot: Snapshot, terminal: Callable[..., Any]) -> None:
    text = "\n".join(draw(terminal(120, 40), snapshot, message="saving soon"))
    for words in (
        "a yellow car in the city",
        "mini-cars · sep-CMA-ES · seed 7 · population 16",
        "runs/0007-a-yellow-car-in-the-city",
        "generation 12/60  8.0 evaluations/s  00:24  ETA 01:36",
        "best 0.310 (+0.110) mean 0.290",
        "diversity 0.200",
        "discriminator 0.790 █▇▇▆▅▅▄▄▃▂▂▁",
        "best of generation 12",
        "1 0.310",
        "12 0.299",
        "● busy",
        "41.2",
        "63.0",
        "abababab",
        "ipc:///c",
        "three",
        "saving soon",
        "Ctrl-C finish this generation, save and exit  again quit at once",
    ):
        assert words in text
    assert "▀" in text
    assert "%" not in text


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (200, "best 0.310 (+0.110) +5.5 σ over random mean 0.290"),
        (120, "best 0.310 (+0.110) +5.5 σ mean 0.290"),
        (80, "best 0.310 +5.5 σ mean 0.290"),
        (70, "best 0.310 mean 0.290"),
    ],
)
def test_the_mean_is_never_cut_off(
    snapshot: Snapshot, terminal: Callable[..., Any], columns: int, words: str
) -> None:
    known = dataclasses.replace(snapshot, baseline=Baseline(0.2, 0.02, 512, "z"))
    assert words in "\n".join(draw(terminal(columns, 40), known))


@pytest.mark.parametrize(("columns", "rate"), [(60, False), (80, True)])
def test_the_eta_is_never_cut_off(
    snapshot: Snapshot, terminal: Callable[..., Any], columns: int, *, rate: bool
) -> None:
    long = dataclasses.replace(snapshot, generations=4000)
    text = "\n".join(draw(terminal(columns, 24), long))
    assert "00:24  ETA 2:12:56" in text
    assert ("8.0 evaluations/s" in text) is rate


def test_hints_say_what_keys_do_here(snapshot: Snapshot, terminal: Callable[..., Any]) -> None:
    console = terminal(80, 24)

    def last(shown: Snapshot, **how: bool) -> str:
        drawn = Frame(console, images=False, **how).draw(shown, 80, 24)
        return "".join(segment.text for segment in drawn.lines[-1]).strip()

    assert last(snapshot, keys=True).startswith("p pause  s save  1-9 like")
    assert last(snapshot, keys=True, watching=True) == "q leave; the run goes on"
    assert last(dataclasses.replace(snapshot, phase="done"), keys=True) == ""
    assert last(snapshot, ended=True) == "", "nobody listens any more"


def test_a_narrow_frame_keeps_the_folder_the_pictures_and_the_states(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    text = "\n".join(draw(terminal(80, 24), snapshot))
    assert "runs/0007-a-yellow-car-in-the-city" in text
    assert "8 0.303" in text
    assert "● starting" in text
    assert "ipc:///" not in text


def test_services_show_their_states_from_the_first_second(terminal: Callable[..., Any]) -> None:
    services = tuple(ServiceStatus(role) for role in ("generator", "clip"))
    text = "\n".join(draw(terminal(80, 24), Snapshot(target="a car", services=services)))
    assert "starting services: 0 of 2 ready" in text
    assert text.count("● starting") == 2


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (72, 24), (71, 24), (60, 20)])
def test_a_long_model_never_cuts_a_state(
    snapshot: Snapshot, terminal: Callable[..., Any], columns: int, rows: int
) -> None:
    services = (
        ServiceStatus("generator", "mini-car", "ipc:///a", "starting"),
        ServiceStatus("discriminator", "mini-car-discriminator", "ipc:///b", "draining"),
    )
    lines = draw(terminal(columns, rows), dataclasses.replace(snapshot, services=services))
    text = "\n".join(lines)
    assert "● starting" in text
    assert "● draining" in text
    assert any(line.rstrip().endswith(" rows") for line in lines)


@pytest.mark.parametrize(("columns", "rows"), [(60, 20), (60, 14)])
def test_every_line_of_a_menu_is_seen(
    snapshot: Snapshot, terminal: Callable[..., Any], columns: int, rows: int
) -> None:
    few = dataclasses.replace(snapshot, services=snapshot.services[:1])
    menu = ("generators", *(f"{n}  model-{n}  {'what it draws ' * 5}" for n in range(1, 5)))
    console = terminal(columns, rows)
    frame = Frame(console, images=True).draw(few, columns, rows, "", menu)
    text = "\n".join("".join(segment.text for segment in line) for line in frame.lines)
    assert all(f"model-{n}" in text for n in range(1, 5))
    assert len(frame.lines) == rows


def test_a_long_message_is_wrapped_where_there_is_room(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    message = f"{'it cannot be done; ' * 6}do this instead"
    lines = draw(terminal(80, 24), snapshot, message=message)
    assert "do this instead" in "\n".join(lines)
    assert len(lines) == 24
    endless = draw(terminal(80, 24), snapshot, message="word " * 200)
    assert "…" in endless[-2]
    assert len(endless) == 24


def test_a_collapsed_population_is_called_so(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    collapsed = dataclasses.replace(snapshot, diversity=0.01)
    assert "near-identical" in "".join(draw(terminal(120, 40), collapsed))


def test_without_pictures_the_curves_take_the_room(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    lines = draw(terminal(120, 40), snapshot, images=False)
    assert "▀" not in "".join(lines)
    assert max(line.rstrip()[-1:] == "╮" for line in lines)


def test_a_large_fleet_is_summed_up(snapshot: Snapshot, terminal: Callable[..., Any]) -> None:
    fleet = tuple(ServiceStatus("clip", endpoint=str(n), state="ready") for n in range(20))
    lost = dataclasses.replace(fleet[-1], state="lost")
    console = terminal(80, 24)
    lines = draw(console, dataclasses.replace(snapshot, services=(*fleet[:-1], lost)))
    assert any("+15" in line and "14 ready, 1 lost" in line for line in lines)
    assert len(lines) == 24


def test_text_from_outside_is_neither_markup_nor_escapes(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    hostile = dataclasses.replace(
        snapshot,
        target="[red]x[/]\x1b[2J\nline",
        log=("\x1b]0;owned\x07",),
        services=(ServiceStatus("clip\x1b[H", "[bold]", "ipc\r"),),
    )
    text = "\n".join(draw(terminal(120, 40), hostile))
    assert "[red]x[/]?[2J line" in text
    assert "\x1b" not in text
    assert "\r" not in text


def test_pictures_are_drawn_again_only_when_they_change(
    snapshot: Snapshot, terminal: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(
        "orchestrator.terminal.frame.thumbnails", lambda *given, **_: drawn.append(given)
    )
    frame = Frame(terminal(120, 40), images=True)
    assert snapshot.thumbnails is not None
    frame.draw(snapshot, 120, 40)
    frame.draw(dataclasses.replace(snapshot, generation=13), 120, 40)
    assert len(drawn) == 1
    frame.draw(dataclasses.replace(snapshot, thumbnails=snapshot.thumbnails.copy()), 120, 40)
    frame.draw(snapshot, 80, 24)
    assert len(drawn) == 3


def test_odd_snapshots_are_drawn(snapshot: Snapshot, terminal: Callable[..., Any]) -> None:
    for odd in (
        Snapshot(target=""),
        dataclasses.replace(snapshot, best=(float("nan"),), mean=(), second=()),
        dataclasses.replace(snapshot, thumbnails=np.zeros((1, 2, 90, 3), np.uint8), scores=()),
        dataclasses.replace(snapshot, target="猫" * 200, folder="x" * 300, generator="y" * 300),
        dataclasses.replace(snapshot, generations=0, generation=0, elapsed_s=0),
    ):
        for size in SIZES:
            assert len(draw(terminal(*size), odd)) == size[1]


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_captions_take_the_place_of_thumbnails(
    snapshot: Snapshot, terminal: Callable[..., Any], columns: int, rows: int
) -> None:
    texts = ("a picture of a \x1b[31myellow car", "a picture of " + "a very long train " * 30)
    written = dataclasses.replace(snapshot, thumbnails=None, captions=texts)
    lines = draw(terminal(columns, rows), written, images=False)
    assert len(lines) == rows
    text = "\n".join(lines)
    assert "\x1b" not in text
    if columns >= 80:
        assert "0.310  a picture of a ?[31myellow car" in text


def test_two_objectives_are_points_where_there_is_room(
    snapshot: Snapshot, terminal: Callable[..., Any]
) -> None:
    points = ((0.31, -1.0), (0.30, 0.5), (0.29, 0.4), (0.2, 2.0), (float("nan"), 1.0))
    traded = dataclasses.replace(snapshot, points=points, second_name="realism")
    lines = draw(terminal(120, 40), traded)
    text = "\n".join(lines)
    assert "front 3 of 5: realism over similarity" in text
    first = next(n for n, line in enumerate(lines) if "front 3 of 5" in line)
    drawn = "\n".join(line[: line.index("▀")] if "▀" in line else line for line in lines[first:])
    assert drawn.split("● busy")[0].count("●") == 3
    assert drawn.count("·") == 1
    assert "front 3" not in "\n".join(draw(terminal(80, 24), traded))
    for columns, rows in SIZES:
        assert len(draw(terminal(columns, rows), traded)) == rows
