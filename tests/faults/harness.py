"""Runs over little services that fail on order, compared with the run in which nothing failed."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from orchestrator.fleet import launcher
from orchestrator.fleet.launcher import ServiceSpec
from orchestrator.settings import RunSettings
from orchestrator.terminal import Snapshot
from orchestrator.terminal.plain import QuietDisplay
from protocol import slots
from protocol.patience import Patience
from tests.orchestrator.ensemble import digest, events, grow, quiet

SERVICE = Path(__file__).with_name("service.py")
QUICK = Patience(
    ping_s=0.1, quiet_s=1.0, silence_s=3.0, hung_s=1.0, away_s=30.0, retry_s=0.02, most_retry_s=0.5
)
PATIENT = replace(QUICK, silence_s=120.0, hung_s=120.0)
"""For what nobody may notice: a loaded machine must not make it a loss."""
GENERATIONS = 6


def command(spec: ServiceSpec, endpoint: str) -> list[str]:
    return [sys.executable, "-P", str(SERVICE), spec.role, "--bind", endpoint]


class Ordering(QuietDisplay):
    """Does something when the second generation is shown."""

    def __init__(self, order: Callable[[], object]) -> None:
        super().__init__(quiet()._stream)
        self._order: Callable[[], object] | None = order

    def update(self, snapshot: Snapshot) -> None:
        if snapshot.generation >= 2 and self._order is not None:
            self._order()
            self._order = None


@dataclass
class Ground:
    """Where the faults happen.

    Attributes:
        folder: of sockets, orders and runs.
        fleet: endpoint of a service of each role that nothing happens to.
        expected: digest of the journal of a run without faults.
    """

    folder: Path
    shm: Path
    fleet: dict[str, str] = field(default_factory=dict)
    expected: str = ""
    runs: int = 0

    def settings(self, **changes: object) -> RunSettings:
        self.runs += 1
        runs = self.folder / f"runs{self.runs}"
        plain = {"population": 22, "generations": GENERATIONS, "seed": 1, "baseline": False}
        fields = {**self.fleet, **plain, **changes}
        return RunSettings("red", runs=runs, own=True, **fields)  # type: ignore[arg-type] # its fields

    def order(self, role: str, fault: str) -> Path:
        path = self.folder / "orders" / f"{role}.{fault}"
        path.touch()
        return path

    def check(
        self,
        settings: RunSettings,
        order: Callable[[], object] = lambda: None,
        patience: Patience = QUICK,
    ) -> list[str]:
        """Grow, with an order on the way; every row was counted once. Returns what was said."""
        folder = grow(settings, Ordering(order), patience)
        assert digest(folder) == self.expected
        return [str(event["message"]) for event in events(folder, "service")]

    @contextmanager
    def serving(self, role: str, number: int = 1, rows: int = 0) -> Iterator[list[str]]:
        """Endpoints of services of one role that somebody else started; `rows` in a batch."""
        places = [self.folder / f"{role}-{self.runs}-{n}.sock" for n in range(number)]
        started = []
        for place in places:
            spec = ServiceSpec(role, role)  # type: ignore[arg-type] # a role
            started.append(self.start(spec, f"ipc://{place}"))
        try:
            for process in started:
                assert process.stdout is not None
                assert process.stdout.readline().startswith("READY ")
            yield [f"ipc://{place}" for place in places]
        finally:
            for process in started:
                process.kill()
                process.communicate()
            for place in places:
                place.unlink(missing_ok=True)

    def start(self, spec: ServiceSpec, endpoint: str, rows: int = 0) -> "subprocess.Popen[str]":
        words = [*command(spec, endpoint), "--rows", str(rows)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def files(self) -> set[str]:
        return {path.name for path in (*self.folder.glob("glasshouse/*"), *self.shm.iterdir())}


@pytest.fixture(scope="module")
def battlefield(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "orders").mkdir()
    shm = Path(tempfile.mkdtemp(prefix="glasshouse-test-", dir="/dev/shm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setenv("GLASSHOUSE_SHM", str(shm))
        patch.setenv("GLASSHOUSE_FAULTS", str(folder / "orders"))
        patch.setattr(launcher, "service_command", command)
        found = Ground(folder, shm)
        with (
            found.serving("generator") as draws,
            found.serving("clip") as sees,
            found.serving("discriminator") as judges,
        ):
            found.fleet = {
                "generator": draws[0],
                "clip": sees[0],
                "discriminator": judges[0],
            }
            found.expected = digest(grow(found.settings(), patience=QUICK))
            yield found
    shutil.rmtree(shm)


@pytest.fixture
def ground(battlefield: Ground) -> Iterator[Ground]:
    """The same for each test; whatever it added must be gone at its end."""
    before = battlefield.files()
    children = set(psutil.Process().children(recursive=True))
    yield battlefield
    for order in (battlefield.folder / "orders").iterdir():
        order.unlink()

    def left() -> set[object]:
        slots.sweep()  # as the next start of any service does for those that were killed
        processes = set(psutil.Process().children(recursive=True)) - children
        return {*(battlefield.files() - before), *processes}

    until = time.monotonic() + 60
    while left() and time.monotonic() < until:
        time.sleep(0.05)
    assert left() == set()
