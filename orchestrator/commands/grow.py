"""`run`, `resume`, `fork` and `swap`: the commands that grow."""

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from orchestrator.commands.config import ConfigOption, NamedOption
from orchestrator.commands.options import RunFolderArgument, one_of, say_json
from protocol.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.interrupts import Interrupts
    from orchestrator.run import Run
    from orchestrator.settings import RunSettings
    from orchestrator.terminal import Display
    from orchestrator.terminal.controls import Offer

SEARCH, MODELS, OUTPUT = "Search", "Models", "Output"


def _model(name: str, more: str = "") -> Any:
    words = f"Model or .safetensors file, with options (docs/models.md), or endpoint{more}."
    return typer.Option(f"--{name}", help=words, rich_help_panel=MODELS)


Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Of every model: float32, bf16 or fp16; as NAME,precision=bf16 of one.",
        rich_help_panel=MODELS,
    ),
]
Augment = Annotated[
    int | None,
    typer.Option(
        "--augment",
        min=0,
        help="Random crops of each picture that clip looks at; 0 for the picture itself.",
        rich_help_panel=MODELS,
    ),
]
Generator = Annotated[str, _model("generator")]
Clip = Annotated[str, _model("clip")]
Discriminator = Annotated[
    str | None,
    _model("discriminator", "; the bundled generator's own by default; 'none' to leave it out"),
]
OtherGenerator = Annotated[str | None, _model("generator", "; as before by default")]
OtherClip = Annotated[str | None, _model("clip", "; as before by default")]
OtherDiscriminator = Annotated[str | None, _model("discriminator", "; as before by default")]
MoreGenerations = Annotated[
    int | None,
    typer.Option("--generations", "-g", min=1, help="Generations in all; as before by default."),
]
Refine = Annotated[
    int | None,
    typer.Option("--refine", min=0, help="Gradient steps after the last; as before by default."),
]
Scorer = Annotated[
    str | None,
    typer.Option(
        "--scorer",
        help="Endpoint of your own judge (docs/scorer.md), as one more objective.",
        rich_help_panel=MODELS,
    ),
]
Own = Annotated[
    bool,
    typer.Option(
        "--own/--share",
        help="Share no living service; start its own.",
        rich_help_panel=MODELS,
    ),
]
Ui = Annotated[
    str, typer.Option("--ui", help="auto, live, plain, json or quiet.", rich_help_panel=OUTPUT)
]
Images = Annotated[
    str,
    typer.Option(
        "--images",
        help="Thumbnails: auto, half (blocks), kitty or sixel (pixels, where the terminal shows "
        "them), off.",
        rich_help_panel=OUTPUT,
    ),
]


def run(  # noqa: PLR0913, PLR0917 # one parameter an option
    context: typer.Context,
    prompts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROMPT...",
            help='What the picture should show; several with weights: "a car:1" "snow:-0.3".',
        ),
    ] = None,
    likes: Annotated[
        list[str] | None,
        typer.Option(
            "--like",
            help="A picture to resemble, PATH or PATH:WEIGHT.",
        ),
    ] = None,
    template: Annotated[
        str,
        typer.Option(
            "--prompt-template",
            help='What prompts are put into: "a photo of {}".',
        ),
    ] = "{}",
    targets: Annotated[
        Path | None,
        typer.Option("--targets", help="A file of prompts, one a line, to grow side by side."),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, max=64, help="Of --targets, how many at a time.")
    ] = 4,
    caption: Annotated[
        Path | None,
        typer.Option("--caption", help="Search for words for this picture instead."),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            help="Models and search of CLIP-GLaSS or the thesis; other options override it. "
            "See: orchestrator presets.",
            rich_help_panel=SEARCH,
        ),
    ] = "",
    algorithm: Annotated[
        str,
        typer.Option(
            "--algorithm", "-a", help="See: orchestrator algorithms.", rich_help_panel=SEARCH
        ),
    ] = "ga",
    population: Annotated[
        int,
        typer.Option(
            "--population",
            "-p",
            min=1,
            max=100_000,
            help="Genomes a generation.",
            rich_help_panel=SEARCH,
        ),
    ] = 32,
    generations: Annotated[
        int,
        typer.Option(
            "--generations",
            "-g",
            min=1,
            help="Generations in all; the first is random.",
            rich_help_panel=SEARCH,
        ),
    ] = 60,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            "-s",
            min=0,
            help="Of all randomness; a new one by default.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A parameter of the algorithm, as NAME=VALUE.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    space: Annotated[
        str,
        typer.Option(
            "--space",
            help="Latent space, such as z or w; the generator's usual one by default.",
            rich_help_panel=SEARCH,
        ),
    ] = "",
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            help="fixed, or legacy to do what the papers did (docs/profiles.md).",
            rich_help_panel=SEARCH,
        ),
    ] = "fixed",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weight",
            help="Minimise a weighted sum instead of trading off: realism=0.3, scorer=0.5 or "
            "diversity=0.3, beside similarity=1.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    diversity: Annotated[
        bool,
        typer.Option(
            "--diversity",
            help="To be unlike the other pictures is one more objective, of nsga2 say.",
            rich_help_panel=SEARCH,
        ),
    ] = False,
    measures: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            help='Two prompts, "day|night", between which an archive places pictures.',
            rich_help_panel=SEARCH,
        ),
    ] = None,
    refine: Annotated[
        int,
        typer.Option(
            "--refine",
            min=0,
            help="Gradient steps on the best latents after the last generation.",
            rich_help_panel=SEARCH,
        ),
    ] = 0,
    truncation: Annotated[
        float,
        typer.Option(
            "--truncation",
            min=0.0,
            max=2.0,
            help="psi: 1 as trained, 0 the average picture.",
            rich_help_panel=SEARCH,
        ),
    ] = 1.0,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature",
            min=0.0,
            max=10.0,
            help="Of captions: 0 takes the likeliest words, above they are drawn by --seed.",
            rich_help_panel=SEARCH,
        ),
    ] = 0.0,
    generator: Generator = "mini-car",
    clip: Clip = "mini-clip",
    discriminator: Discriminator = None,
    precision: Precision = None,
    augment: Augment = None,
    device: Annotated[
        str,
        typer.Option(
            "--device", help="cpu or cuda:N, for services that are started.", rich_help_panel=MODELS
        ),
    ] = "cpu",
    threads: Annotated[
        int,
        typer.Option(
            "--threads",
            min=0,
            help="CPU threads of each; 0 for a fair share.",
            rich_help_panel=MODELS,
        ),
    ] = 0,
    scorer: Scorer = None,
    own: Own = False,
    no_baseline: Annotated[
        bool,
        typer.Option(
            "--no-baseline",
            help="Do not look at 512 random latents, once for each pair of models, to tell how far "
            "over chance scores are.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    runs: Annotated[
        Path, typer.Option("--runs", help="Folder of run folders.", rich_help_panel=OUTPUT)
    ] = Path("runs"),
    save_every: Annotated[
        int,
        typer.Option(
            "--save-every",
            min=1,
            help="Generations between grids (callbacks_each in the thesis).",
            rich_help_panel=OUTPUT,
        ),
    ] = 10,
    ui: Ui = "auto",
    images: Images = "auto",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be done, with which models, memory and time; start nothing.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    config: ConfigOption = None,  # noqa: ARG001 # its callback reads it
    named: NamedOption = "",  # noqa: ARG001 # the same
) -> None:
    """Grow a picture of PROMPT, or a caption of a picture.

    orchestrator run "a blue car at night"

    orchestrator run "a red car in the snow" --algorithm nsga2 --generations 100 --seed 7

    orchestrator run "a yellow car:1" "night:0.5" "snow:-0.3" --like photo.jpg:0.5

    orchestrator run --targets prompts.txt

    orchestrator run --caption photo.jpg

    orchestrator run --preset StyleGAN2_ffhq_d "the face of a man with brown eyes"
    """
    from orchestrator.begin import new_run
    from orchestrator.settings import RunSettings, captioning, own_discriminator
    from orchestrator.targets import joined

    settings = RunSettings(
        prompt=joined(prompts or []),
        generator=generator,
        clip=clip,
        discriminator=discriminator or own_discriminator(generator),
        algorithm=algorithm,
        parameters=_parameters(parameters or []),
        population=population,
        generations=generations,
        space=space,
        truncation_psi=truncation,
        temperature=temperature,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        device=device,
        threads=threads,
        own=own,
        runs=runs,
        save_every=save_every,
        profile=profile,
        measures=tuple(measures or ()),
        refine=refine,
        likes=tuple(likes or ()),
        template=template,
        scorer=scorer or "none",
        weights=tuple(weights or ()),
        diversity=diversity,
        baseline=not no_baseline,
    )
    if preset:
        from orchestrator.presets import with_preset

        said = [name for name in context.params if _was_said(context, name)]
        settings = with_preset(settings, preset, said)
    if caption is not None and targets is not None:
        raise ConfigError("give either --caption or --targets: a caption is searched for alone")
    if caption is not None:
        settings = captioning(settings, caption)
    settings = settings.told(precision, augment)
    if dry_run:
        _plan(ui, settings, targets)
    if targets is not None:
        _grow_many(ui, images, settings, targets, jobs)
    _grow(ui, images, lambda display, interrupts: new_run(settings, display, interrupts))


def resume(  # noqa: PLR0913, PLR0917 # one parameter an option
    run: RunFolderArgument,
    generations: MoreGenerations = None,
    refine: Refine = None,
    generator: OtherGenerator = None,
    clip: OtherClip = None,
    discriminator: OtherDiscriminator = None,
    scorer: Scorer = None,
    own: Own = False,
    ui: Ui = "auto",
    images: Images = "auto",
) -> None:
    """Go on with RUN as if it had never stopped; models named here must be the same ones elsewhere.

    orchestrator resume runs/latest

    orchestrator resume runs/0007-a-yellow-car --generations 200
    """
    from orchestrator.begin import resume_run

    changes = _given(
        generations=generations,
        refine=refine,
        generator=generator,
        clip=clip,
        discriminator=discriminator,
        scorer=scorer,
        own=own,
    )
    _grow(ui, images, lambda display, interrupts: resume_run(run, changes, display, interrupts))


def fork(  # noqa: PLR0913, PLR0917 # one parameter an option
    run: RunFolderArgument,
    prompt: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROMPT]...", help="What to search for from there on; as before by default."
        ),
    ] = None,
    at: Annotated[
        int | None,
        typer.Option("--at", min=1, help="The generation to start from; the newest by default."),
    ] = None,
    generations: MoreGenerations = None,
    refine: Refine = None,
    generator: OtherGenerator = None,
    clip: OtherClip = None,
    discriminator: OtherDiscriminator = None,
    scorer: Scorer = None,
    runs: Annotated[
        Path | None,
        typer.Option("--runs", help="Folder of run folders; beside RUN by default."),
    ] = None,
    own: Own = False,
    ui: Ui = "auto",
    images: Images = "auto",
) -> None:
    """Start a new run from a generation of RUN, with another prompt or other models.

    orchestrator fork runs/latest --at 40 "a yellow car at night"
    """
    from orchestrator.begin import fork_run
    from orchestrator.targets import joined

    changes = _given(
        prompt=joined(prompt) if prompt else None,
        generations=generations,
        refine=refine,
        generator=generator,
        clip=clip,
        discriminator=discriminator,
        scorer=scorer,
        own=own,
        runs=runs,
    )
    _grow(ui, images, lambda display, interrupts: fork_run(run, at, changes, display, interrupts))


def swap(
    run: RunFolderArgument,
    role: Annotated[str, typer.Argument(help="generator, clip or discriminator.")],
    model: Annotated[str, typer.Argument(help="Model, .safetensors file or endpoint.")],
    reseed: Annotated[
        bool,
        typer.Option("--reseed", help="Begin afresh if the new one has another latent space."),
    ] = False,
) -> None:
    """Give a living RUN another model; its survivors are scored again.

    orchestrator swap runs/latest generator mini-car
    """
    from orchestrator.runs import RunFolder
    from orchestrator.runs.swaps import Wish, ask
    from protocol.naming import model_key

    one_of("ROLE", role, ("generator", "clip", "discriminator"))
    if model == "none":
        raise ConfigError(
            f"a living run keeps a {role}; name another model, or leave the discriminator out of a "
            f"fork: orchestrator fork {run} --discriminator none"
        )
    wish = Wish(role, model_key(model), reseed)  # type: ignore[arg-type] # checked above
    print(ask(RunFolder.open(run), wish))


def watch(
    run: RunFolderArgument,
    once: Annotated[bool, typer.Option("--once", help="Look once and leave.")] = False,
    ui: Ui = "auto",
    images: Images = "auto",
) -> None:
    """Show a RUN that another terminal grows; it does not notice.

    orchestrator watch runs/latest
    """
    from orchestrator.watching import watch as follow

    follow(run, _display(ui, images, watching=True), once=once)


def _plan(ui: str, settings: "RunSettings", targets: Path | None) -> NoReturn:
    """Say what a run would do; the exit code is what would keep it from beginning."""
    from orchestrator.many import read_targets
    from orchestrator.planning import outlook, table

    found = outlook(settings, read_targets(targets) if targets is not None else ())
    if ui == "json":
        say_json(found)
    else:
        print(table(found))
    found.check()
    raise typer.Exit


def _was_said(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _grow(ui: str, images: str, begin: "Callable[[Display, Interrupts], Run]") -> None:
    """Grow what `begin` makes, and say where the pictures are."""
    from orchestrator.fleet.offers import generators
    from orchestrator.interrupts import Interrupts
    from orchestrator.run import results

    display = _display(ui, images, generators)
    with Interrupts(display.message) as interrupts:
        run = begin(display, interrupts)
        try:
            code = run.grow()
        finally:
            if ui != "json":
                print("\n".join(results(run.folder.path, run.best, run.baseline)))
    raise typer.Exit(code)


def _grow_many(ui: str, images: str, settings: "RunSettings", path: Path, jobs: int) -> None:
    """Grow every target of a file, and say how each ended."""
    from orchestrator.interrupts import Interrupts
    from orchestrator.many import grow_many, read_targets, sheet
    from orchestrator.terminal.board import Chalk, make_board

    _check_display(ui, images)
    targets = read_targets(path)
    if settings.prompt:
        raise ConfigError("give either prompts or --targets: a file of targets is searched alone")
    stream = sys.stdout if ui == "json" else sys.stderr
    display = make_board(ui, images, stream, os.environ)  # type: ignore[arg-type] # checked above
    display.start()
    try:
        with Interrupts(display.message) as interrupts:
            chalk = Chalk(targets, settings.generations, display)
            outcomes = grow_many(settings, targets, jobs, chalk, interrupts)
    except KeyboardInterrupt:
        display.stop()
        os._exit(130)  # the searches' threads are in the middle of something, and are left there
    finally:
        display.stop()
    if ui != "json":
        for one in outcomes:
            score = "-" if one.similarity is None else f"{one.similarity:.3f}"
            print(f"{score:>6}  {one.target}  {one.why or one.folder or 'not begun'}")
        together = sheet(outcomes, settings.runs / f"{path.stem}.webp")
        if together is not None:
            print(f"best pictures  {together}")
    raise typer.Exit(max(one.code for one in outcomes))


def _check_display(ui: str, images: str) -> None:
    one_of("--ui", ui, ("auto", "live", "plain", "json", "quiet"))
    one_of("--images", images, ("auto", "half", "kitty", "sixel", "off"))


def _display(
    ui: str,
    images: str,
    offers: "Callable[[], Sequence[Offer]] | None" = None,
    *,
    watching: bool = False,
) -> "Display":
    """How to show a run here; with keys where there are generators to offer."""
    from orchestrator.terminal import make_display

    _check_display(ui, images)
    stream = sys.stdout if ui == "json" else sys.stderr
    how = (ui, images, stream, os.environ, offers)
    return make_display(*how, watching=watching)  # type: ignore[arg-type] # checked above


def _parameters(given: list[str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in given]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise ConfigError(f"--set wants NAME=VALUE, such as --set sigma=0.2, not '{name}'")
    return {name: value for name, _, value in pairs}
