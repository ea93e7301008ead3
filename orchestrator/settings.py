"""What a run is told to do, checked once."""

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.profiles import find_profile
from orchestrator.targets import JOINT, read_part, read_prompts
from protocol.endpoints import check_endpoint
from protocol.errors import BadRequestError, ConfigError
from protocol.naming import is_endpoint, split_model, with_options

MOST_PROMPT_CHARACTERS = 1_000
WEIGHED = ("similarity", "realism", "scorer", "diversity")
CAPTIONER = "mini-captions"
"""The generator of captions, unless another one is named."""
CAPTION_START = {"best_of": "512"}
"""Of few random captions none may name the thing, which single tokens seldom change later."""
DISCRIMINATED = ("mini-car", "mini-church", "mini-face")
"""Bundled generators that come with a discriminator."""


@dataclass(frozen=True)
class RunSettings:
    """One search.

    Attributes:
        prompt: what the picture should show; several prompts with weights are joined by " | ".
        generator: model name or path, with options (`protocol/naming.py`), or endpoint of the
            service that draws; endpoints of several with the same model are joined with commas.
        clip: the same of the service that compares.
        discriminator: the same of the service that judges realism; "none" to leave it out.
        algorithm: name of the search algorithm.
        parameters: what differs from its defaults.
        population: genomes in a generation.
        generations: how many in all; the first is random.
        space: latent space of the genomes; empty for the generator's first.
        truncation_psi: 1 as trained, towards 0 the average picture.
        temperature: of the tokens of captions; 0 takes the likeliest.
        seed: of all randomness.
        device: where services that this run starts compute.
        threads: CPU threads of each of them; 0 for a fair share.
        own: start services even where living ones could be shared.
        runs: folder of run folders.
        save_every: generations between saved grids.
        profile: `fixed`, or `legacy` to do what the papers did.
        measures: pairs of prompts, "day|night", between which an archive's pictures lie.
        refine: steps of gradient refinement after the last generation.
        caption: path of the picture to caption; empty to grow pictures of the prompt.
        likes: paths of pictures to resemble, each with a weight if it has one (`targets.py`).
        template: what a prompt is put into before it is compared, such as "a photo of {}".
        scorer: endpoints of a service of the user's own judge; "none" to leave it out.
        weights: of the parts of a weighted sum that is minimised, "realism=0.3"; empty for none.
        diversity: whether to be unlike the others is one more objective of a front.
        baseline: also look at random latents, to tell how far over chance a score is.
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
    temperature: float = 0.0
    seed: int = 0
    device: str = "cpu"
    threads: int = 0
    own: bool = False
    runs: Path = Path("runs")
    save_every: int = 10
    profile: str = "fixed"
    measures: tuple[str, ...] = ()
    refine: int = 0
    caption: str = ""
    likes: tuple[str, ...] = ()
    template: str = "{}"
    scorer: str = "none"
    weights: tuple[str, ...] = ()
    diversity: bool = False
    baseline: bool = True

    def check(self) -> None:
        """Refuse what cannot be grown, before anything is started.

        Raises:
            BadRequestError: an empty or endless prompt.
            ConfigError: an endpoint, a profile or a measure that is none.
        """
        self._check_text()
        self._check_target()
        find_profile(self.profile)
        for measure in self.measures:
            ends_of(measure)
        self._check_weights()
        if self.caption:
            self._check_caption()
        elif self.temperature:
            raise BadRequestError("only captions have a temperature; leave --temperature out")
        if self.scorer != "none" and not is_endpoint(self.scorer):
            raise ConfigError(
                f"--scorer wants the endpoint of a service that runs already, not '{self.scorer}'; "
                "start one with: service scorer FILE.py:FUNCTION --height 64 --width 64"
            )
        for where in (self.generator, self.clip, self.discriminator, self.scorer):
            if not is_endpoint(where):
                split_model(where)
                continue
            for endpoint in endpoints(where):
                check_endpoint(endpoint)

    @property
    def target(self) -> str:
        """What is looked for, for people."""
        return target_of(self.prompt, self.likes)

    @property
    def steps(self) -> int:
        """Generations in all: of evolution, and if refined, the start and every step from it."""
        return self.generations + (self.refine + 1 if self.refine else 0)

    @property
    def objectives(self) -> tuple[str, ...]:
        """All that there is to minimise: similarity, what the judges say, and diversity."""
        judges = {"realism": self.discriminator, "scorer": self.scorer}
        judged = [name for name, model in judges.items() if model != "none"]
        return ("similarity", *judged, *["diversity"] * self.diverse)

    @property
    def diverse(self) -> bool:
        """Whether genomes are told how unlike the others their pictures are."""
        return self.diversity or any(one.startswith("diversity=") for one in self.weights)

    @property
    def weighing(self) -> dict[str, float]:
        """The parts of the weighted sum, by name; empty where there is none.

        Similarity counts 1 unless it is named, what else is not named nothing.

        Raises:
            ConfigError: a weight that is none.
        """
        if not self.weights:
            return {}
        return {"similarity": 1.0, **dict(weight_of(weight) for weight in self.weights)}

    def _check_weights(self) -> None:
        """Refuse weights of what is not there, and those that leave nothing to look for."""
        for name in self.weighing:
            if name not in self.objectives:
                raise ConfigError(
                    f"there is no {name} to weigh in this search; name a "
                    f"{'scorer with --scorer' if name == 'scorer' else 'discriminator'}, "
                    "or leave the weight out"
                )
        if self.weights and not any(self.weighing.values()):
            raise ConfigError(
                "every --weight is 0, so nothing is looked for; give one of them more"
            )

    def _check_text(self) -> None:
        """Refuse bytes that are no UTF-8, which Python reads as lone surrogates."""
        try:
            msgspec.json.encode(self.recorded())
        except UnicodeEncodeError as error:
            raise BadRequestError(
                f"{error.object!r} is not UTF-8, so a run cannot record it; write it so"
            ) from error

    def _check_target(self) -> None:
        parts = [*read_prompts(self.prompt), *map(read_part, self.likes)]
        if not parts:
            raise BadRequestError(
                "the prompt is empty; say what the picture should show: "
                'orchestrator run "a yellow car in the city"'
            )
        if all(part.weight < 0 for part in parts):
            raise BadRequestError(
                f"'{self.target}' only says what to keep away from; say what to look for, too"
            )
        if len(self.prompt) > MOST_PROMPT_CHARACTERS:
            raise BadRequestError(
                f"the prompt has {len(self.prompt)} characters, but at most "
                f"{MOST_PROMPT_CHARACTERS} can be compared; say it shorter"
            )
        if self.template.count("{}") != 1:
            raise ConfigError(
                "a prompt template holds {} once, such as 'a photo of {}', "
                f"but this is '{self.template}'"
            )

    def _check_caption(self) -> None:
        if self.prompt != caption_prompt(self.caption):
            raise BadRequestError(
                "a caption is searched for a picture and not for a prompt; leave the prompt out"
            )
        if self.discriminator != "none":
            raise BadRequestError("no discriminator judges captions; leave --discriminator out")
        if self.truncation_psi != 1.0:
            raise BadRequestError("captions know no truncation; leave --truncation out")
        if self.scorer != "none":
            raise BadRequestError("a scorer looks at pictures, not captions; leave --scorer out")
        if self.refine:
            raise BadRequestError("captions have no gradient to refine them by; leave --refine out")

    def told(self, precision: str | None, augment: int | None) -> "RunSettings":
        """The same with these options behind the names of its models: of all, and of clip.

        Raises:
            BadRequestError: a model says that already, or is an endpoint.
        """
        everywhere = {"precision": precision} if precision else {}
        models = {
            role: with_options(getattr(self, role), everywhere)
            for role in ("generator", "clip", "discriminator")
            if getattr(self, role) != "none"
        }
        if augment is not None:
            models["clip"] = with_options(models["clip"], {"augment": str(augment)})
        return replace(self, **models)  # type: ignore[arg-type] # names of fields

    def recorded(self) -> dict[str, Any]:
        """As JSON can hold it; `read_settings` reads it back."""
        return {**asdict(self), "parameters": dict(self.parameters), "runs": str(self.runs)}

    def command(self) -> str:
        """The command that runs this search again."""
        prompt = [] if self.caption or not self.prompt else [self.prompt]  # several are one word
        dashed = self.prompt.startswith("-")
        wanted = ["--caption", self.caption] if self.caption else [] if dashed else prompt
        for like in self.likes:
            wanted += ["--like", like]
        if self.template != "{}":
            wanted += ["--prompt-template", self.template]
        words = ["orchestrator", "run", *wanted, *self._models()]
        plain = RunSettings(self.prompt)
        for name in ("algorithm", "space", "profile"):
            if getattr(self, name) != getattr(plain, name):
                words += [f"--{name}", getattr(self, name)]
        for name in ("population", "generations", "truncation_psi", "temperature", "refine"):
            if getattr(self, name) != getattr(plain, name):
                words += [f"--{name.removesuffix('_psi')}", str(getattr(self, name))]
        changed = [f"{name}={value}" for name, value in self.parameters.items()]
        repeated = {"set": changed, "measure": self.measures, "weight": self.weights}
        for name, values in repeated.items():
            words += [word for value in values for word in (f"--{name}", value)]
        words += ["--diversity"] * self.diversity
        words += ["--no-baseline"] * (not self.baseline)
        return shlex.join([*words, "--seed", str(self.seed), *(["--", *prompt] if dashed else [])])

    def fork_command(self, parent: str, generation: int) -> str:
        """The command that forks this search from `generation` of the run in `parent` again."""
        words = ["orchestrator", "fork", parent, "--at", str(generation)]
        for name in ("generator", "clip", "discriminator", "scorer", "generations", "refine"):
            words += [f"--{name}", str(getattr(self, name))]  # or they would be the parent's
        prompt = [] if self.caption or not self.prompt else ["--", self.prompt]
        return shlex.join([*words, *prompt])

    def _models(self) -> list[str]:
        """Options for what is not the default."""
        plain = RunSettings(self.prompt, discriminator=own_discriminator(self.generator))
        return [
            word
            for name in ("generator", "clip", "discriminator", "scorer", "device")
            if getattr(self, name) != getattr(plain, name)
            for word in (f"--{name}", getattr(self, name))
        ]


def refuse_other_objectives(before: RunSettings, after: RunSettings) -> None:
    """Refuse to go on with a front whose numbers would come to mean something else.

    Raises:
        BadRequestError: another judge makes other objectives.
    """
    if before.objectives != after.objectives:
        raise BadRequestError(
            f"this run trades {', '.join(before.objectives)}, but with these models it would be "
            f"{', '.join(after.objectives)}; keep the same judges, or begin a new run with others"
        )


def target_of(prompt: str, likes: Iterable[str]) -> str:
    """What prompts and pictures together are called, for people.

    Raises:
        BadRequestError: one of the likes has no path, or a weight that is no number.
    """
    pictures = [f"like {Path(read_part(like).text).name}" for like in likes]
    return JOINT.join([*filter(None, [prompt]), *pictures])


def weight_of(weight: str) -> tuple[str, float]:
    """What a weight such as "realism=0.3" is of, and how much.

    Raises:
        ConfigError: it is none.
    """
    name, _, value = weight.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if name not in WEIGHED or not math.isfinite(number):
        raise ConfigError(
            f"a weight is {', '.join(WEIGHED[:-1])} or {WEIGHED[-1]} and a number, such as "
            f"--weight realism=0.3, not '{weight}'"
        )
    return name, number


def ends_of(measure: str) -> tuple[str, str]:
    """The two prompts of a measure, such as "day|night"; more of the second is more.

    Raises:
        ConfigError: it does not name two.
    """
    ends = [end.strip() for end in measure.split("|")]
    if len(ends) != 2 or not all(ends):
        raise ConfigError(
            f'a measure lies between two prompts, such as --measure "day|night", not {measure!r}'
        )
    return ends[0], ends[1]


def own_discriminator(generator: str) -> str:
    """The bundled discriminator of a generator, whatever its options; "none" if it has none."""
    model = "" if is_endpoint(generator) else split_model(generator)[0]
    return f"{model}-discriminator" if model in DISCRIMINATED else "none"


def captioning(settings: RunSettings, picture: Path) -> RunSettings:
    """The same search for words for a picture: with what is usual for that, where nothing is named.

    Raises:
        BadRequestError: it has a prompt too.
    """
    if settings.prompt:
        raise BadRequestError(
            "give either a prompt or --caption: a caption is searched for the picture alone"
        )
    usual = RunSettings("")
    wide = (settings.algorithm, settings.profile) == (usual.algorithm, usual.profile)
    return replace(
        settings,
        caption=str(picture),
        parameters={**(CAPTION_START if wide else {}), **settings.parameters},
        prompt=caption_prompt(str(picture)),
        generator=CAPTIONER if settings.generator == usual.generator else settings.generator,
        discriminator=(
            "none" if settings.discriminator == usual.discriminator else settings.discriminator
        ),
    )


def caption_prompt(picture: str) -> str:
    """What stands for the prompt where a picture is captioned."""
    return f"a caption of {Path(picture).name}"


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


def endpoints(where: str) -> list[str]:
    """The addresses of services, which are joined with commas."""
    return [endpoint.strip() for endpoint in where.split(",")]
