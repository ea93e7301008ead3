"""Many targets with services of their own: apart, because no other service may live beside them."""

import io
from pathlib import Path

from orchestrator.interrupts import Interrupts
from orchestrator.many import grow_many
from orchestrator.settings import RunSettings
from orchestrator.terminal.board import Chalk
from orchestrator.terminal.plain import QuietDisplay
from tests.orchestrator.ensemble import Models


def test_services_are_started_once_for_all(
    tiny_models: Models, runtime_folder: Path, tmp_path: Path
) -> None:
    models = {role: str(model) for role, model in tiny_models.items()}
    settings = RunSettings(
        "-", **models, population=4, generations=2, seed=1, runs=tmp_path / "runs"
    )
    chalk = Chalk(["a car", "a house"], 2, QuietDisplay(io.StringIO()))
    outcomes = grow_many(settings, ["a car", "a house"], 2, chalk, Interrupts())
    assert [one.why for one in outcomes] == ["", ""]
    for one in outcomes:
        assert one.folder is not None
        assert list((one.folder / "logs").glob("*.log")) == [], "none of its own was started"
    assert not list(runtime_folder.glob("*.sock"))
