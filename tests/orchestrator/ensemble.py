"""One fleet of tiny services for a whole test module, and runs over it in this process."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.begin import fork_run, new_run, resume_run
from orchestrator.fleet.launcher import LocalLauncher, ServiceSpec
from orchestrator.interrupts import Interrupts
from orchestrator.runs.journal import Journal
from orchestrator.settings import RunSettings
from orchestrator.terminal import Display
from orchestrator.terminal.plain import QuietDisplay
from protocol.patience import PATIENCE, Patience

Models = dict[str, Path]
Fleet = dict[str, str]


@pytest.fixture(scope="module")
def fleet(tiny_models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Endpoints of one service a role; `twin` holds the generator's model, `other` another."""
    from tests import tiny

    folder = tmp_path_factory.mktemp("fleet")
    other = tiny.save_generator(folder / "other.safetensors", seed=9)
    wide = tiny.save_generator(folder / "wide.safetensors", z_dim=tiny.Z_DIM + 4)
    more = {"twin": tiny_models["generator"], "other": other, "wide": wide}
    specs = {role: (role, str(model)) for role, model in tiny_models.items()}
    specs |= {name: ("generator", str(model)) for name, model in more.items()}
    with serving(folder, specs) as endpoints:
        yield endpoints


@contextmanager
def serving(folder: Path, specs: Mapping[str, tuple[str, str]]) -> Iterator[Fleet]:
    """Services by any name (name -> role and model) while the block runs; endpoints by name."""
    with pytest.MonkeyPatch.context() as patch, LocalLauncher(folder) as launcher:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        started = {
            name: launcher.start(ServiceSpec(role, model, threads=1))  # type: ignore[arg-type] # a role
            for name, (role, model) in specs.items()
        }
        launcher.wait_ready(list(started.values()), lambda: None, timeout_s=600)
        yield {name: service.endpoint for name, service in started.items()}


@pytest.fixture
def settings(fleet: Fleet, tmp_path: Path) -> RunSettings:
    """A short run over the fleet."""
    models = {role: fleet[role] for role in ("generator", "clip", "discriminator")}
    return RunSettings(
        "a yellow car",
        **models,
        population=6,
        generations=6,
        seed=1,
        runs=tmp_path / "runs",
        baseline=False,
    )


def quiet() -> QuietDisplay:
    return QuietDisplay(io.StringIO())


def grow(
    settings: RunSettings, display: Display | None = None, patience: Patience = PATIENCE
) -> Path:
    run = new_run(settings, display or quiet(), Interrupts())
    run.patience = patience
    assert run.grow() == 0
    return run.folder.path


def resume(folder: Path, **changes: object) -> Path:
    assert resume_run(folder, changes, quiet(), Interrupts()).grow() == 0
    return folder


def fork(folder: Path, at: int | None = None, **changes: object) -> Path:
    run = fork_run(folder, at, changes, quiet(), Interrupts())
    assert run.grow() == 0
    return run.folder.path


def digest(folder: Path) -> str:
    with Journal.open(folder / "journal.sqlite") as journal:
        return journal.digest


def kinds(folder: Path) -> list[str]:
    """`g` for a generation, `r` for a rescore, `c` for a choice, `s` for a reseed."""
    letters = {"generation": "g", "rescore": "r", "choice": "c", "reseed": "s"}
    with Journal.open(folder / "journal.sqlite") as journal:
        return [letters[step.kind] for step in journal.steps()]


def events(folder: Path, event: str = "generation") -> list[dict[str, object]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [found for found in map(json.loads, lines) if found["event"] == event]
