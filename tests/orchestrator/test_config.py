"""What `glasshouse.toml` says counts where nothing more direct was said; mistakes are named."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator import begin
from orchestrator.cli import app
from orchestrator.fleet import lasting
from orchestrator.settings import RunSettings
from protocol.errors import ConfigError

FILE = """
[fleet]
clip = "mini-clip"
replicas = 2

[run]
population = 24
truncation = 0.8
save_every = 5
own = true

[runs.night]
prompt = ["a yellow car", "night:0.5"]
population = 16
set = { sigma = 0.3 }
"""


class Caught(Exception):  # noqa: N818 # not an error
    """Ends a command where it would start something."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a glasshouse.toml, which is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "glasshouse.toml").write_text(FILE)
    return tmp_path


def settings_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> RunSettings:
    """What `orchestrator run WORDS` would grow."""
    found: list[RunSettings] = []

    def catch(settings: RunSettings, *_: object) -> None:
        found.append(settings)
        raise Caught

    monkeypatch.setattr(begin, "new_run", catch)
    outcome = CliRunner().invoke(app, ["run", *words])
    assert isinstance(outcome.exception, Caught), outcome.output
    return found[0]


def shown(*words: str) -> dict[str, dict[str, dict[str, object]]]:
    outcome = CliRunner().invoke(app, ["config", "show", "--json", *words])
    assert outcome.exit_code == 0, outcome.output
    found: dict[str, dict[str, dict[str, object]]] = json.loads(outcome.stdout)
    return found


def test_a_named_run_is_grown_as_the_file_describes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(monkeypatch, "--named", "night")
    assert settings.prompt == "a yellow car | night:0.5"
    assert (settings.population, settings.truncation_psi) == (16, 0.8)
    assert (settings.save_every, settings.own) == (5, True)
    assert settings.parameters == {"sigma": "0.3"}
    assert settings_of(monkeypatch, "a car").population == 24


def test_option_environment_file_preset_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSHOUSE_RUN_TRUNCATION", "0.9")
    monkeypatch.setenv("GLASSHOUSE_RUN_POPULATION", "20")
    words = ("a car", "--preset", "GPT2", "--population", "8", "--share")
    settings = settings_of(monkeypatch, *words)
    assert settings.population == 8  # the option, over all
    assert settings.truncation_psi == 0.9  # the environment, over the file
    assert settings.save_every == 5  # the file, over the preset
    assert settings.generations == 500  # the preset, over the default
    assert settings.refine == 0
    assert not settings.own


def test_config_show_says_where_each_value_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSHOUSE_RUN_TRUNCATION", "0.9")
    run = shown("--named", "night", "--preset", "GPT2", "-g", "7")["run"]
    assert run["generations"] == {"value": 7, "from": "command line"}
    assert run["truncation"] == {"value": 0.9, "from": "environment GLASSHOUSE_RUN_TRUNCATION"}
    assert run["population"] == {"value": 16, "from": "glasshouse.toml [runs.night]"}
    assert run["save-every"] == {"value": 5, "from": "glasshouse.toml [run]"}
    assert run["generator"] == {"value": "gpt2", "from": "preset GPT2"}
    assert run["refine"] == {"value": 0, "from": "default"}
    assert shown()["fleet"]["replicas"] == {"value": 2, "from": "glasshouse.toml [fleet]"}
    table = CliRunner().invoke(app, ["config", "show"]).stdout
    assert "population       24" in table
    assert "glasshouse.toml [run]" in table


def test_up_starts_the_fleet_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []

    def catch(wanted: object, replicas: int, _: object) -> None:
        found.extend([wanted, replicas])
        raise Caught

    monkeypatch.setattr(lasting, "up", catch)
    assert isinstance(CliRunner().invoke(app, ["up"]).exception, Caught)
    (spec,), replicas = found  # type: ignore[misc] # what catch took
    assert (spec.role, spec.model, replicas) == ("clip", "mini-clip", 2)  # type: ignore[has-type] # the same


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("[run]\npopluation = 3", "did you mean 'population'"),
        ("[rnu]", "did you mean 'run'"),
        ("[fleet]\nreplcas = 2", "did you mean 'replicas'"),
        ("[runs.a]\nsed = 2", "did you mean 'seed'"),
        ('[run]\npopulation = "many"', "population: .*integer"),
        ("[run]\npopulation = 2.5", "population: .*integer"),
        ("[run]\npopulation = [3]", "one value, not a list"),
        ("[run]\npopulation = 1979-05-27", "wanted text, a number"),
        ("[run]\ntruncation = 9", "less than or equal to 2"),
        ("[run]\nnamed = 'a'", "knows no 'named'"),
        ("run = 3", "to be a section"),
        ("[runs]\na = 3", "to be a section"),
        ("[run", "is no TOML"),
    ],
)
def test_what_no_option_takes_is_refused_by_name(here: Path, said: str, why: str) -> None:
    (here / "glasshouse.toml").write_text(said)
    error = CliRunner().invoke(app, ["run", "a car"]).exception
    assert isinstance(error, ConfigError)
    with pytest.raises(ConfigError, match=why):
        raise error


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--config", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--named", "nigt"], "did you mean 'night'"),
        (["--named", "night", "--config", "empty.toml"], "describes no run of its own"),
    ],
)
def test_a_file_or_a_run_that_is_not_there(here: Path, words: list[str], why: str) -> None:
    (here / "empty.toml").touch()
    error = CliRunner().invoke(app, ["run", *words]).exception
    assert isinstance(error, ConfigError)
    with pytest.raises(ConfigError, match=why):
        raise error
