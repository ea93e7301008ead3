"""Presets: CLIP-GLaSS's and the thesis's configurations, each one that can be grown."""

import pytest

from orchestrator.presets import PRESETS, Preset, with_preset
from orchestrator.profiles import find_profile
from orchestrator.search import check_choice
from orchestrator.settings import RunSettings
from protocol.errors import ConfigError
from services.catalogue import MODELS

ROWS = {model.name: model for model in MODELS}
CLIP_GLASS = {
    "GPT2": ("gpt2", "none", "glass-ga", 100, 25, 500),
    "DeepMindBigGAN256": ("biggan-deep-256", "none", "glass-ga", 64, 32, 500),
    "DeepMindBigGAN512": ("biggan-deep-512", "none", "glass-ga", 32, 8, 500),
    "StyleGAN2_ffhq_d": (
        "stylegan2-ffhq",
        "stylegan2-ffhq-discriminator",
        "glass-nsga2",
        16,
        4,
        500,
    ),
    "StyleGAN2_car_nod": ("stylegan2-car", "none", "glass-ga", 16, 4, 500),
    "StyleGAN2_car_ga": ("stylegan2-car", "none", "glass-ga", 16, 4, 200),
    "StyleGAN2_church_de": ("stylegan2-church", "none", "thesis-de", 16, 4, 200),
}
"""Generator, discriminator, algorithm, population, batch and generations, as published."""


@pytest.mark.parametrize("name", CLIP_GLASS)
def test_a_preset_is_as_published(name: str) -> None:
    settings = with_preset(RunSettings("x"), name, ())
    algorithm = find_profile(settings.profile).algorithm(settings.algorithm)
    found = (
        settings.generator,
        settings.discriminator,
        algorithm,
        settings.population,
        ROWS[settings.generator].batch_rows,
        settings.generations,
    )
    assert found == CLIP_GLASS[name]
    assert settings.clip == "clip-vit-b32"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_names_models_and_an_algorithm_that_exist(preset: Preset) -> None:
    settings = with_preset(RunSettings("x"), preset.name, ())
    settings.check()
    assert ROWS[settings.generator].role == "generator"
    assert ROWS[settings.clip].role == "clip"
    if settings.discriminator != "none":
        assert ROWS[settings.discriminator].role == "discriminator"
    algorithm = find_profile(settings.profile).algorithm(settings.algorithm)
    info = check_choice(algorithm, population=settings.population)
    assert (info.objectives == "several") == (settings.discriminator != "none")


def test_what_the_user_said_overrides_a_preset() -> None:
    said = RunSettings("x", population=7, generator="mini-car")
    settings = with_preset(said, "StyleGAN2_car_de", ("population", "generator"))
    assert (settings.population, settings.generator) == (7, "mini-car")
    assert (settings.algorithm, settings.generations) == ("de", 200)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="StyleGAN2_church_de"):
        with_preset(RunSettings("x"), "stylegan2-church-de", ())
