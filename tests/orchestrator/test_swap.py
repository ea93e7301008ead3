"""Models that change while a run lives, over one fleet of tiny services."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.runs.journal import Journal
from orchestrator.runs.pictures import read_recipe
from orchestrator.settings import RunSettings
from orchestrator.terminal import Snapshot
from orchestrator.terminal.plain import QuietDisplay
from orchestrator.verify import verify_run
from protocol.errors import BadRequestError
from protocol.patience import Patience
from tests.orchestrator.ensemble import (  # the fixtures among them
    Fleet,
    Models,
    digest,
    events,
    fleet,
    fork,
    grow,
    kinds,
    quiet,
    resume,
    settings,
)

__all__ = ["fleet", "settings"]


class Wishing(QuietDisplay):
    """Wishes for other models when a generation is shown, as another process would."""

    def __init__(self, wishes: Iterable[tuple[int, bytes]]) -> None:
        super().__init__(quiet()._stream)
        self._wishes = dict(wishes)
        self.log: tuple[str, ...] = ()
        self.folder = Path()

    def update(self, snapshot: Snapshot) -> None:
        self.log, self.folder = snapshot.log, Path(snapshot.folder)
        wish = self._wishes.pop(snapshot.generation, None)
        if wish is not None:
            (self.folder / "swaps").mkdir(exist_ok=True)
            (self.folder / "swaps" / f"{snapshot.generation:04d}.wish").write_bytes(wish)

    def answers(self) -> list[tuple[bool, str]]:
        paths = sorted((self.folder / "swaps").glob("*.answer"))
        found = [json.loads(path.read_text()) for path in paths]
        return [(answer["granted"], answer["message"]) for answer in found]


def wish(role: str, model: object, *, reseed: bool = False) -> bytes:
    return msgspec.json.encode({"role": role, "model": str(model), "reseed": reseed})


@pytest.mark.parametrize("algorithm", ["ga", "de", "nsga2", "sep-cma-es"])
def test_survivors_are_scored_again_and_the_run_still_repeats(
    settings: RunSettings, fleet: Fleet, algorithm: str
) -> None:
    settings = replace(settings, algorithm=algorithm)
    display = Wishing(
        [(2, wish("generator", fleet["other"])), (4, wish("generator", fleet["twin"]))]
    )
    folder = grow(settings, display)
    assert "".join(kinds(folder)) == "ggrggrgg"
    assert [granted for granted, _ in display.answers()] == [True, True]
    assert "after generation 2: 6 survivors were scored again" in display.answers()[0][1]
    assert [line.partition(" after ")[2].partition(":")[0] for line in display.log] == [
        "generation 2",
        "generation 4",
    ]
    assert [event["generation"] for event in events(folder, "swap")] == [2, 4]
    assert [event["generation"] for event in events(folder)] == [1, 2, 3, 4, 5, 6]
    with Journal.open(folder / "journal.sqlite") as journal:
        steps = list(journal.steps())
        assert journal.about.settings["generator"] == fleet["twin"]
    digests = [step.conditions.models[0].digest for step in steps]
    assert digests[0] == digests[1] == digests[5] != digests[2]
    assert steps[1].conditions.same(steps[5].conditions)
    assert verify_run(folder, evaluate=12).evaluated == 12
    before = read_recipe(folder / "before-swap-000002.png")
    assert before["models"][0]["digest"] == digests[0]
    again = grow(
        settings,
        Wishing(
            [(2, wish("generator", fleet["other"])), (4, wish("generator", fleet["generator"]))]
        ),
    )
    assert digest(again) == digest(folder)
    extended = resume(folder, generations=8)
    assert digest(extended) == digest(resume(again, generations=8))


def test_a_replica_with_the_same_model_changes_nothing(settings: RunSettings, fleet: Fleet) -> None:
    display = Wishing([(2, wish("generator", fleet["twin"]))])
    folder = grow(settings, display)
    assert digest(folder) == digest(grow(settings))
    assert "the same model, so nothing else changed" in display.answers()[0][1]
    assert not list(folder.glob("before-swap-*"))


def test_clip_and_discriminator_swap_too(settings: RunSettings, fleet: Fleet) -> None:
    wishes = [(1, wish("clip", fleet["clip"])), (2, wish("discriminator", fleet["discriminator"]))]
    display = Wishing(wishes)
    plain = replace(settings, discriminator="none")
    folder = grow(plain, display)
    assert [granted for granted, _ in display.answers()] == [True, True]
    assert "".join(kinds(folder)) == "ggrgggg"  # a judge that was not there before
    assert verify_run(folder).generations == 6


def test_a_front_keeps_what_its_numbers_mean(settings: RunSettings, fleet: Fleet) -> None:
    front = replace(settings, algorithm="nsga2", diversity=True, generations=3)
    alone = replace(front, discriminator="none")
    display = Wishing([(1, wish("discriminator", fleet["discriminator"]))])
    folder = grow(alone, display)
    ((granted, why),) = display.answers()
    assert not granted
    assert "trades similarity, diversity, but with these models it would be similarity, real" in why
    assert digest(folder) == digest(grow(alone))
    judged = grow(front)
    before = list(settings.runs.iterdir())
    with pytest.raises(BadRequestError, match="keep the same judges"):
        fork(judged, generations=5, discriminator="none")
    assert list(settings.runs.iterdir()) == before


def test_another_latent_space_needs_reseed(settings: RunSettings, fleet: Fleet) -> None:
    display = Wishing([(2, wish("generator", fleet["wide"]))])
    folder = grow(settings, display)
    assert display.answers()[0][0] is False
    assert (
        "another latent space (z, 12 genes) than this run (z, 8 genes)" in display.answers()[0][1]
    )
    assert digest(folder) == digest(grow(settings))
    display = Wishing([(2, wish("generator", fleet["wide"], reseed=True))])
    folder = grow(settings, display)
    assert "".join(kinds(folder)) == "ggsgggg"
    assert "began afresh" in display.answers()[0][1]
    assert verify_run(folder, evaluate=6).evaluated == 6
    with Journal.open(folder / "journal.sqlite") as journal:
        assert [step.genomes.shape[1] for step in journal.steps()] == [8, 8, 12, 12, 12, 12, 12]
    resume(folder, generations=7)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (wish("generator", "ipc:///tmp/nobody-here.sock"), "nobody answered"),
        (wish("generator", "ftp://nowhere"), "no endpoint"),
        (wish("discriminator", "none"), "cannot be read"),
        (wish("painter", "mini-car"), "cannot be read"),
        (b'{"role": "clip"', "cannot be read"),
        (b"x" * 9000, "cannot be read"),
    ],
    ids=range(6),
)
def test_wishes_that_cannot_be_granted_change_nothing(
    settings: RunSettings, content: bytes, why: str
) -> None:
    display = Wishing([(1, content)])
    folder = grow(replace(settings, generations=3), display, Patience(greet_s=1.5, swap_s=2))
    ((granted, message),) = display.answers()
    assert not granted
    assert why in message
    assert "".join(kinds(folder)) == "ggg"


def test_a_wish_for_another_role_is_refused(settings: RunSettings, fleet: Fleet) -> None:
    display = Wishing([(1, wish("generator", fleet["clip"]))])
    grow(replace(settings, generations=2), display)
    assert "wanted a generator, but" in display.answers()[0][1]


def swap(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestrator", "swap", str(folder), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_from_another_terminal_with_a_service_of_its_own(
    settings: RunSettings, tiny_models: Models, tmp_path: Path
) -> None:
    from tests import tiny

    other = tiny.save_generator(tmp_path / "mine.safetensors", seed=5)
    words = [sys.executable, "-m", "orchestrator", "run", "a yellow car", "-p", "6", "-g", "99999"]
    words += ["--ui", "quiet", "--seed", "1", "--runs", str(settings.runs)]
    words += [f"--{role}={getattr(settings, role)}" for role in tiny_models]
    folder = settings.runs / "latest"
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            until = time.monotonic() + 240
            while not (folder / "events.jsonl").exists() and time.monotonic() < until:
                time.sleep(0.05)
            refused = swap(folder, "generator", "mini-cat")
            assert refused.returncode == 2
            assert "no generator model 'mini-cat'" in refused.stderr
            done = swap(folder, "generator", other)
            assert done.returncode == 0, done.stderr
            assert "generator swapped for" in done.stdout
            assert "survivors were scored again" in done.stdout
            process.send_signal(signal.SIGINT)
            assert process.wait(240) == 130
        finally:
            process.kill()  # or leaving the block would wait for it
    assert kinds(folder).count("r") == 1
    assert verify_run(folder).generations == int(str(events(folder)[-1]["generation"]))
    assert list((folder / "swaps").iterdir()) == []
    late = swap(folder, "generator", other)
    assert late.returncode == 2
    assert "nobody grows" in late.stderr
    assert swap(folder, "painter", other).returncode == 3


def test_another_generator_has_another_baseline(settings: RunSettings, fleet: Fleet) -> None:
    own = json.loads((grow(replace(settings, baseline=True)) / "run.json").read_text())["baseline"]
    display = Wishing([(2, wish("generator", fleet["other"]))])
    folder = grow(replace(settings, baseline=True), display)
    told = json.loads((folder / "run.json").read_text())["baseline"]
    assert told["rows"] == 512
    assert told["mean"] != own["mean"]


def test_none_is_no_model_to_swap_to(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["swap", str(tmp_path), "discriminator", "none"])
    assert "a living run keeps a discriminator; name another model" in str(done.exception)
