import dataclasses
import json
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.runs.storage import to_json
from orchestrator.terminal import Snapshot
from orchestrator.terminal.snapshot import clock, printable


def test_the_pace_and_what_is_left(snapshot: Snapshot) -> None:
    assert snapshot.evaluations_per_s == 8.0
    assert snapshot.eta_s == 48 * 2.0
    resumed = dataclasses.replace(snapshot, first_generation=8, evaluations=64)
    assert resumed.eta_s == 48 * 6.0
    assert dataclasses.replace(snapshot, generation=0).eta_s is None
    assert Snapshot(target="a").evaluations_per_s == 0


def test_the_gain_is_counted_from_the_first_generation(snapshot: Snapshot) -> None:
    assert round(snapshot.gain, 6) == 0.11
    assert Snapshot(target="a").gain == 0
    swapped = dataclasses.replace(snapshot, best=(0.9, 0.1, 0.3, 0.2), swaps=(1,))
    assert round(swapped.gain, 6) == 0.2
    assert dataclasses.replace(swapped, swaps=(4,)).gain == 0


def test_a_population_is_collapsed_when_little_of_its_diversity_is_left(snapshot: Snapshot) -> None:
    assert not snapshot.collapsed
    assert dataclasses.replace(snapshot, diversity=0.05).collapsed
    assert not dataclasses.replace(snapshot, diversity=0.05, first_diversity=None).collapsed


def test_an_event_is_json(snapshot: Snapshot) -> None:
    event = json.loads(to_json(snapshot.event()))
    assert event["generation"] == 12
    assert event["discriminator"] == snapshot.second[-1]
    assert [service["role"] for service in event["services"]] == [
        "generator",
        "clip",
        "discriminator",
    ]


def test_clocks() -> None:
    assert [clock(s) for s in (0, 59.6, 3723, None, float("inf"))] == [
        "00:00",
        "01:00",
        "1:02:03",
        "--:--",
        "--:--",
    ]


@given(st.text())
def test_printable_text_is_one_line_without_controls(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert shown.isprintable()


def test_the_package_is_quick_to_import() -> None:
    code = (
        "import sys, orchestrator.terminal; "
        "print(sys.modules.keys() & {'rich', 'numpy', 'PIL', 'torch', 'services', 'pymoo'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
