"""What a run is told to do, checked once."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from protocol.endpoints import check_endpoint
from protocol.errors import BadRequestError, ConfigError

MOST_PROMPT_CHARACTERS = 1_000


@dataclass(frozen=True)
class RunSettings:
    """One search.

    Attributes:
        prompt: what the picture should show.
        generator: model name, path or endpoint of the service that draws.
        clip: the same of the service that compares.
        discriminator: the same of the service that judges realism; "none" to leave it out.
        algorithm: name of the search algorithm.
        parameters: what differs from its defaults.
        population: genomes in a generation.
        generations: how many in all; the first is random.
        space: latent space of the genomes; empty for the generator's first.
        truncation_psi: 1 as trained, towards 0 the average picture.
        seed: of all randomness.
        device: where services that this run starts compute.
        threads: CPU threads of each of them; 0 for a fair share.
        own: start services even where living ones could be shared.
        runs: folder of run folders.
        save_every: generations between saved grids.
    """

    prompt: str
    generator: str = "mini-car"
    clip: str = "mini-clip"
    discriminator: str = "mini-car-discriminator"
    algorithm: str = "ga"
    parameters: Mapping[str, str] = field(default_factory=dict)
    population: int = 32
    generations: int = 60
    space: str = ""
    truncation_psi: float = 1.0
    seed: int = 0
    device: str = "cpu"
    threads: int = 0
    own: bool = False
    runs: Path = Path("runs")
    save_every: int = 10

    def check(self) -> None:
        """Refuse what cannot be grown, before anything is started.

        Raises:
            BadRequestError: an empty or endless prompt.
            ConfigError: an endpoint that is none.
        """
        if not self.prompt.strip():
            raise BadRequestError(
                "the prompt is empty; say what the picture should show: "
                'orchestrator run "a yellow car in the city"'
            )
        if len(self.prompt) > MOST_PROMPT_CHARACTERS:
            raise BadRequestError(
                f"the prompt has {len(self.prompt)} characters, but at most "
                f"{MOST_PROMPT_CHARACTERS} can be compared; say it shorter"
            )
        for where in (self.generator, self.clip, self.discriminator):
            if is_endpoint(where):
                check_endpoint(where)

    def recorded(self) -> dict[str, Any]:
        """As JSON can hold it; `read_settings` reads it back."""
        return {**asdict(self), "parameters": dict(self.parameters), "runs": str(self.runs)}

    def command(self) -> str:
        """The command that runs this search again."""
        words = ["orchestrator", "run", self.prompt, *self._models()]
        plain = RunSettings(self.prompt)
        for name in ("algorithm", "space"):
            if getattr(self, name) != getattr(plain, name):
                words += [f"--{name}", getattr(self, name)]
        for name in ("population", "generations", "truncation_psi"):
            if getattr(self, name) != getattr(plain, name):
                words += [f"--{name.removesuffix('_psi')}", str(getattr(self, name))]
        for name, value in self.parameters.items():
            words += ["--set", f"{name}={value}"]
        return shlex.join([*words, "--seed", str(self.seed)])

    def fork_command(self, parent: str, generation: int) -> str:
        """The command that forks this search from `generation` of the run in `parent` again."""
        words = ["orchestrator", "fork", parent, self.prompt, "--at", str(generation)]
        return shlex.join([*words, *self._models(), "--generations", str(self.generations)])

    def _models(self) -> list[str]:
        """Options for what is not the default."""
        plain = RunSettings(self.prompt)
        return [
            word
            for name in ("generator", "clip", "discriminator", "device")
            if getattr(self, name) != getattr(plain, name)
            for word in (f"--{name}", getattr(self, name))
        ]


def read_settings(recorded: Mapping[str, Any]) -> RunSettings:
    """The settings that a run recorded.

    Raises:
        ConfigError: they are not what `recorded` gives.
    """
    try:
        return msgspec.convert(recorded, RunSettings, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the settings that this run recorded cannot be used ({error}); "
            "start it again with the command in its run.json"
        ) from error


def _path(kind: type[Any], value: object) -> Path:
    if kind is not Path or not isinstance(value, str):
        raise TypeError(f"wanted {kind.__name__}, got {value!r}")
    return Path(value)


def is_endpoint(where: str) -> bool:
    """Whether a model was named by the address of a service."""
    return "://" in where
