"""The configurations of CLIP-GLaSS and of the thesis, by the names that they use.

Those of CLIP-GLaSS (arXiv 2102.01645; its `config.py`) end in `_d` with a discriminator and
NSGA-II and in `_nod` without and the GA, for 500 generations. Those of the thesis end in `_ga` and
`_de`, for the 200 generations of its figures; for BigGAN it states no number, and its notebooks
ran 40. All use OpenAI's ViT-B/32 and the profile `legacy`, which has their operators. Their
batches of 4 (StyleGAN2), 32 and 8 (BigGAN 256 and 512) and 25 (GPT-2) are those of the catalogue's
rows.

One setting is not theirs: the thesis's DE took BigGAN's 1,000 bits for real numbers, which no
latent space here has; `DeepMindBigGAN256_de` searches the class embedding instead.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from orchestrator.settings import RunSettings
from protocol.errors import ConfigError
from protocol.naming import did_you_mean


@dataclass(frozen=True)
class Preset:
    """One configuration.

    Attributes:
        name: as CLIP-GLaSS or the thesis has it.
        values: fields of `RunSettings` that it fixes.
    """

    name: str
    values: Mapping[str, Any]

    def described(self) -> str:
        """Model, algorithm, population and generations, for people."""
        v = self.values
        judge = "" if v["discriminator"] == "none" else " with its discriminator"
        return (
            f"{v['generator']}{judge}, {v['algorithm']}, {v['population']} genomes, "
            f"{v['generations']} generations"
        )


def _preset(name: str, generator: str, algorithm: str, population: int, **more: object) -> Preset:
    values = {
        "generator": generator,
        "clip": "clip-vit-b32",
        "discriminator": "none",
        "algorithm": algorithm,
        "population": population,
        "generations": 500,
        "save_every": 50,
        "profile": "legacy",
        **more,
    }
    return Preset(name, values)


def _clip_glass(domain: str) -> tuple[Preset, Preset]:
    name, model = f"StyleGAN2_{domain}", f"stylegan2-{domain}"
    return (
        _preset(f"{name}_d", model, "nsga2", 16, discriminator=f"{model}-discriminator"),
        _preset(f"{name}_nod", model, "ga", 16),
    )


def _thesis(domain: str) -> tuple[Preset, Preset]:
    name, model = f"StyleGAN2_{domain}", f"stylegan2-{domain}"
    figures: dict[str, object] = {"generations": 200, "save_every": 10}
    return (
        _preset(f"{name}_ga", model, "ga", 16, **figures),
        _preset(f"{name}_de", model, "de", 16, **figures),
    )


NOTEBOOK: Final[dict[str, object]] = {"generations": 40, "save_every": 10}
PRESETS: Final = (
    _preset("GPT2", "gpt2", "ga", 100),
    _preset("DeepMindBigGAN256", "biggan-deep-256", "ga", 64),
    _preset("DeepMindBigGAN512", "biggan-deep-512", "ga", 32),
    *_clip_glass("ffhq"),
    *_clip_glass("car"),
    *_clip_glass("church"),
    _preset("DeepMindBigGAN256_ga", "biggan-deep-256", "ga", 64, **NOTEBOOK),
    _preset("DeepMindBigGAN256_de", "biggan-deep-256", "de", 64, space="z+embedding", **NOTEBOOK),
    *_thesis("ffhq"),
    *_thesis("car"),
    *_thesis("church"),
    *_thesis("cat"),
)


def find_preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        ConfigError: there is none.
    """
    found = {preset.name: preset for preset in PRESETS}
    if name not in found:
        raise ConfigError(
            f"there is no preset '{name}'{did_you_mean(name, found)} see: orchestrator presets"
        )
    return found[name]


def with_preset(settings: RunSettings, name: str, said: Collection[str]) -> RunSettings:
    """Settings as a preset has them, but for what the user said.

    Args:
        settings: with what the user said, and defaults.
        name: of the preset.
        said: names of fields that the user said.

    Raises:
        ConfigError: there is no such preset.
    """
    values = find_preset(name).values
    return replace(settings, **{key: value for key, value in values.items() if key not in said})
