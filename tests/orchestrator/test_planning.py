"""A dry run says what a run would do, starts nothing, and does not guess."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.fleet.launcher import LocalLauncher, ServiceSpec
from orchestrator.planning import outlook, table
from orchestrator.runs import RunFolder
from orchestrator.settings import RunSettings
from protocol.errors import BadRequestError, ConfigError, StorageError, WeightsError


@pytest.fixture
def settings(tiny_models: dict[str, Path], tmp_path: Path) -> RunSettings:
    models = {role: str(path) for role, path in tiny_models.items()}
    return RunSettings(
        "a yellow car", **models, population=6, generations=5, own=True, runs=tmp_path / "runs"
    )


def grown_before(settings: RunSettings, evaluations: int, elapsed_s: float) -> None:
    """The folder of a run with these settings that took so long."""
    folder = RunFolder.create(settings.runs, settings.target)
    folder.write_settings(settings.recorded())
    folder.append_event(
        {
            "event": "generation",
            "generation": 5,
            "evaluations": evaluations,
            "elapsed_s": elapsed_s,
            "best": 0.5,
        }
    )
    folder.finish("done", 0)


def test_it_says_what_would_be_done_and_does_nothing(settings: RunSettings) -> None:
    found = outlook(settings)
    assert found.evaluations == 30
    assert found.folder == str(settings.runs / "0001-a-yellow-car")
    assert [one.role for one in found.services] == ["generator", "clip", "discriminator"]
    assert all(one.weights_mb and one.memory_mb and not one.missing for one in found.services)
    assert (found.seconds, found.memory_mb is None) == (None, False)
    assert not settings.runs.exists()
    found.check()
    assert outlook(replace(settings, refine=3)).evaluations == 30 + 4 * 7
    many = outlook(replace(settings, prompt=""), ["a car", "a truck"])
    assert (many.target, many.evaluations) == ("2 targets", 60)


def test_time_is_reckoned_from_a_run_that_was_alike_or_not_at_all(settings: RunSettings) -> None:
    grown_before(replace(settings, population=12), 60, 1.0)
    grown_before(replace(settings, refine=9), 60, 1.0)
    assert outlook(settings).seconds is None
    assert "not known" in table(outlook(settings))
    grown_before(settings, 30, 15.0)
    found = outlook(replace(settings, generations=10))
    assert found.seconds == 30.0
    assert "about 00:30, at the 2.0 evaluations/s of 0003-a-yellow-car" in table(found)


def test_a_model_that_is_not_here_is_said_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GLASSHOUSE_MODELS", str(tmp_path))
    outcome = CliRunner().invoke(
        app, ["run", "a face", "--preset", "StyleGAN2_ffhq_d", "--dry-run"]
    )
    assert "stylegan2-ffhq: not on this machine" in outcome.stdout
    assert isinstance(outcome.exception, WeightsError)
    assert "models pull stylegan2-ffhq clip-vit-b32" in str(outcome.exception)


def test_what_a_run_would_refuse_a_dry_run_refuses(settings: RunSettings) -> None:
    with pytest.raises(BadRequestError, match="did you mean 'mini-car'"):
        outlook(replace(settings, generator="mini-cat"))
    with pytest.raises(BadRequestError, match="is not there"):
        outlook(replace(settings, clip="/nowhere.safetensors"))
    with pytest.raises(ConfigError, match="needs a discriminator"):
        outlook(replace(settings, discriminator="none", algorithm="nsga2"))
    with pytest.raises(BadRequestError, match="only says what to keep away from"):
        outlook(replace(settings, prompt=""), ["a car", "a truck:-1"])
    settings.runs.write_text("a file")
    with pytest.raises(StorageError, match="runs, a file; name another --runs"):
        outlook(replace(settings, runs=settings.runs / "more"))


@pytest.mark.usefixtures("runtime_folder")
def test_endpoints_are_asked_who_they_are(settings: RunSettings, tmp_path: Path) -> None:
    with LocalLauncher(tmp_path) as launcher:
        service = launcher.start(ServiceSpec("generator", settings.generator, threads=1))
        launcher.wait_ready([service], lambda: None)
        found = outlook(replace(settings, generator=service.endpoint))
        assert "generator.safetensors" in found.services[0].how
        assert found.services[0].memory_mb == 0
        with pytest.raises(BadRequestError, match="wanted a clip"):
            outlook(replace(settings, clip=service.endpoint))


def test_ui_json_is_for_other_programs(settings: RunSettings) -> None:
    words = ["--generator", settings.generator, "--clip", settings.clip, "--discriminator=none"]
    words += ["--dry-run", "--ui", "json", "--runs", str(settings.runs)]
    found = json.loads(CliRunner().invoke(app, ["run", "a car", *words]).stdout)
    assert (found["evaluations"], len(found["services"])) == (1920, 2)
