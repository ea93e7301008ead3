"""A run's command line comes back from its settings, whatever the prompt."""

import shlex
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from orchestrator import begin
from orchestrator.cli import app
from orchestrator.settings import RunSettings, own_discriminator
from protocol.errors import BadRequestError, ConfigError

prompts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60).filter(
    lambda text: text.strip() and not text.startswith("-")
)


def test_what_is_no_utf8_is_refused() -> None:
    for settings in (RunSettings("a \udcff car"), RunSettings("a car", space="\udcff")):
        with pytest.raises(BadRequestError, match="is not UTF-8"):
            settings.check()


def test_a_prompt_may_look_like_an_option() -> None:
    settings = RunSettings("-5 degrees", refine=3, discriminator="none")
    assert settings.command().endswith("--seed 0 -- '-5 degrees'")
    fork = settings.fork_command("runs/0001-a", 4)
    assert fork.startswith("orchestrator fork runs/0001-a --at 4 --generator mini-car --clip")
    assert "--discriminator none" in fork
    assert fork.endswith("--refine 3 -- '-5 degrees'")


@hypothesis.settings(deadline=None)  # the first imports the command line
@given(
    prompts,
    st.integers(0, 2**31),
    st.integers(1, 500),
    st.floats(0.1, 2),
    st.booleans(),
    st.sampled_from(["mini-car-discriminator", "mini-church-discriminator", "none"]),
)
def test_the_recorded_command_gives_the_same_settings(  # what is drawn
    prompt: str, seed: int, population: int, psi: float, plain: bool, discriminator: str
) -> None:
    settings = RunSettings(
        prompt,
        seed=seed,
        population=population,
        truncation_psi=psi,
        algorithm="ga" if plain else "sep-cma-es",
        parameters={} if plain else {"sigma0": "0.2"},
        generator="mini-church" if plain else "/models/mine.safetensors",
        discriminator=discriminator,
        space="" if plain else "w",
    )
    found: list[RunSettings] = []

    class Caught(Exception):  # noqa: N818 # not an error
        pass

    def catch(given_settings: RunSettings, *_: object) -> None:
        found.append(given_settings)
        raise Caught

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(begin, "new_run", catch)
        outcome = CliRunner().invoke(app, shlex.split(settings.command())[1:])
    assert isinstance(outcome.exception, Caught), outcome.output
    assert found == [settings]


@pytest.mark.parametrize(
    ("generator", "discriminator"),
    [
        ("mini-car", "mini-car-discriminator"),
        ("mini-car,noise=none", "mini-car-discriminator"),
        ("mini-church", "mini-church-discriminator"),
        ("mini-face", "mini-face-discriminator"),
        ("/models/mine.safetensors", "none"),
        ("tcp://127.0.0.1:5555", "none"),
    ],
)
def test_a_generator_brings_its_own_discriminator(generator: str, discriminator: str) -> None:
    assert own_discriminator(generator) == discriminator


def test_prompts_and_endpoints_are_checked() -> None:
    RunSettings("a car", clip="tcp://127.0.0.1:5555").check()
    with pytest.raises(BadRequestError, match="empty"):
        RunSettings(" \t").check()
    with pytest.raises(BadRequestError, match="characters"):
        RunSettings("a" * 5000).check()
    with pytest.raises(ConfigError, match="no endpoint"):
        RunSettings("a car", generator="http://example").check()
    assert RunSettings("a car").runs == Path("runs")


def test_flags_become_options_behind_the_names_of_models() -> None:
    settings = RunSettings("a car", generator="mini-car,noise=none", discriminator="none")
    told = settings.told("bf16", 2)
    assert told.generator == "mini-car,noise=none,precision=bf16"
    assert (told.clip, told.discriminator) == ("mini-clip,augment=2,precision=bf16", "none")
    assert settings.told(None, None) == settings
    assert "--generator mini-car,noise=none,precision=bf16" in told.command()
    with pytest.raises(BadRequestError, match="leave --precision out"):
        told.told("fp16", None)
    with pytest.raises(BadRequestError, match="leave --augment out, or name a model"):
        RunSettings("a car", clip="tcp://127.0.0.1:5555").told(None, 2)
    with pytest.raises(BadRequestError, match="write NAME,OPTION=VALUE"):
        RunSettings("a car", generator="mini-car,none").check()
