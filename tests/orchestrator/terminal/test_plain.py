import dataclasses
import io
import json

import pytest

from orchestrator.terminal import ServiceStatus, Snapshot
from orchestrator.terminal.plain import JsonDisplay, PlainDisplay, QuietDisplay


def test_a_run_reads_like_a_log(snapshot: Snapshot) -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.start()
    services = tuple(ServiceStatus(s.role, s.model, s.endpoint) for s in snapshot.services)
    first = dataclasses.replace(
        snapshot, phase="starting", generation=0, best=(), services=services, log=()
    )
    display.update(first)
    display.update(dataclasses.replace(snapshot, log=()))
    display.update(dataclasses.replace(snapshot, log=()))
    display.message("finishing this generation")
    display.update(dataclasses.replace(snapshot, phase="done", diversity=0.01, log=("odd",)))
    display.stop()
    assert stream.getvalue().splitlines() == [
        (
            'searching for "a yellow car in the city": mini-cars, sep-CMA-ES, seed 7, '
            "population 16, in runs/0007-a-yellow-car-in-the-city"
        ),
        "service generator mini-cars is starting ipc:///a",
        "service clip mini-clip is starting ipc:///b",
        "service discriminator mini-cars is starting ipc:///c",
        "service generator mini-cars is busy ipc:///a",
        "service clip mini-clip is ready ipc:///b",
        (
            "generation 12/60  best 0.310  mean 0.290  discriminator 0.790  diversity 0.200  "
            "8.0 evaluations/s  ETA 01:36"
        ),
        "finishing this generation",
        "odd",
        "warning: the pictures of this population are near-identical",
        "done after 00:24: runs/0007-a-yellow-car-in-the-city",
    ]


def test_ready_and_busy_are_no_news(snapshot: Snapshot) -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.update(snapshot)
    before = stream.getvalue()
    idle = tuple(
        dataclasses.replace(s, state="ready" if s.state == "busy" else s.state)
        for s in snapshot.services
    )
    display.update(dataclasses.replace(snapshot, services=idle))
    assert stream.getvalue() == before


def test_a_sign_of_life_every_ten_seconds() -> None:
    now = [0.0]
    stream = io.StringIO()
    display = PlainDisplay(stream, now=lambda: now[0])
    waiting = Snapshot(target="a car", services=(ServiceStatus("clip"),))
    display.update(waiting)
    lines = len(stream.getvalue().splitlines())
    for second in range(1, 25):
        now[0] = float(second)
        display.update(dataclasses.replace(waiting, elapsed_s=float(second)))
    assert stream.getvalue().splitlines()[lines:] == [
        "starting for 00:10, waiting for clip",
        "starting for 00:20, waiting for clip",
    ]


def test_plain_lines_hold_no_escapes_whatever_the_target(snapshot: Snapshot) -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.update(dataclasses.replace(snapshot, target="\x1b[31mred\x07\nnext", log=("\x1b[2J",)))
    display.message("\x9b1m")
    assert stream.getvalue().replace("\n", "").isprintable()


def test_a_stream_without_unicode_gets_backslashes() -> None:
    raw = io.BytesIO()
    display = PlainDisplay(io.TextIOWrapper(raw, encoding="ascii"))
    display.message("猫")
    assert raw.getvalue() == b"\\u732b\n"


@pytest.mark.parametrize("display_class", [PlainDisplay, JsonDisplay, QuietDisplay])
def test_a_closed_stream_never_stops_a_run(
    snapshot: Snapshot, display_class: type[QuietDisplay]
) -> None:
    stream = io.StringIO()
    stream.close()
    display = display_class(stream)
    display.start()
    display.update(snapshot)
    display.message("hello")
    display.stop()
    assert display_class is QuietDisplay or display.draw_errors > 1


def test_json_is_one_event_a_generation(snapshot: Snapshot) -> None:
    stream = io.StringIO()
    display = JsonDisplay(stream)
    for one in (
        Snapshot(target="a car"),
        snapshot,
        snapshot,
        dataclasses.replace(snapshot, generation=13, best=(float("nan"),)),
    ):
        display.update(one)
    display.message("saved")
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["generation", "generation", "message"]
    assert [event.get("generation") for event in events] == [12, 13, None]
    assert events[1]["best"] is None


def test_quiet_is_quiet(snapshot: Snapshot) -> None:
    stream = io.StringIO()
    display = QuietDisplay(stream)
    display.start()
    display.update(snapshot)
    display.message("hello")
    display.stop()
    assert stream.getvalue() == ""
