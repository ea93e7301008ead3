"""`run`, `resume`, `fork` and `swap`: the commands that grow."""

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands.options import RunFolderArgument, one_of
from protocol.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.interrupts import Interrupts
    from orchestrator.run import Run
    from orchestrator.terminal import Display

SEARCH, MODELS, OUTPUT = "Search", "Models", "Output"


def _model(name: str, more: str = "") -> Any:
    words = f"Model, .safetensors file or endpoint{more}."
    return typer.Option(f"--{name}", help=words, rich_help_panel=MODELS)


Generator = Annotated[str, _model("generator")]
Clip = Annotated[str, _model("clip")]
Discriminator = Annotated[str, _model("discriminator", "; 'none' to leave it out")]
OtherGenerator = Annotated[str | None, _model("generator", "; as before by default")]
OtherClip = Annotated[str | None, _model("clip", "; as before by default")]
OtherDiscriminator = Annotated[str | None, _model("discriminator", "; as before by default")]
MoreGenerations = Annotated[
    int | None,
    typer.Option("--generations", "-g", min=1, help="Generations in all; as before by default."),
]
Own = Annotated[
    bool,
    typer.Option("--own", help="Share no living service; start its own.", rich_help_panel=MODELS),
]
Ui = Annotated[
    str, typer.Option("--ui", help="auto, live, plain, json or quiet.", rich_help_panel=OUTPUT)
]
Images = Annotated[
    str, typer.Option("--images", help="Thumbnails: auto, half or off.", rich_help_panel=OUTPUT)
]


def run(  # noqa: PLR0913, PLR0917 # one parameter an option
    prompt: Annotated[str, typer.Argument(help="What the picture should show.")],
    algorithm: Annotated[
        str,
        typer.Option(
            "--algorithm", "-a", help="See: orchestrator algorithms.", rich_help_panel=SEARCH
        ),
    ] = "ga",
    population: Annotated[
        int,
        typer.Option(
            "--population", "-p", min=1, help="Genomes a generation.", rich_help_panel=SEARCH
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
            "--set", help="A parameter of the algorithm, as NAME=VALUE.", rich_help_panel=SEARCH
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
    generator: Generator = "mini-car",
    clip: Clip = "mini-clip",
    discriminator: Discriminator = "mini-car-discriminator",
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
    own: Own = False,
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
) -> None:
    """Grow a picture of PROMPT.

    orchestrator run "a blue car at night"

    orchestrator run "a red car in the snow" --algorithm nsga2 --generations 100 --seed 7
    """
    from orchestrator.begin import new_run
    from orchestrator.settings import RunSettings

    settings = RunSettings(
        prompt=prompt,
        generator=generator,
        clip=clip,
        discriminator=discriminator,
        algorithm=algorithm,
        parameters=_parameters(parameters or []),
        population=population,
        generations=generations,
        space=space,
        truncation_psi=truncation,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        device=device,
        threads=threads,
        own=own,
        runs=runs,
        save_every=save_every,
    )
    _grow(ui, images, lambda display, interrupts: new_run(settings, display, interrupts))


def resume(  # noqa: PLR0913, PLR0917 # one parameter an option
    run: RunFolderArgument,
    generations: MoreGenerations = None,
    generator: OtherGenerator = None,
    clip: OtherClip = None,
    discriminator: OtherDiscriminator = None,
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
        generator=generator,
        clip=clip,
        discriminator=discriminator,
        own=own,
    )
    _grow(ui, images, lambda display, interrupts: resume_run(run, changes, display, interrupts))


def fork(  # noqa: PLR0913, PLR0917 # one parameter an option
    run: RunFolderArgument,
    prompt: Annotated[
        str | None, typer.Argument(help="What to search for from there on; as before by default.")
    ] = None,
    at: Annotated[
        int | None,
        typer.Option("--at", min=1, help="The generation to start from; the newest by default."),
    ] = None,
    generations: MoreGenerations = None,
    generator: OtherGenerator = None,
    clip: OtherClip = None,
    discriminator: OtherDiscriminator = None,
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

    changes = _given(
        prompt=prompt,
        generations=generations,
        generator=generator,
        clip=clip,
        discriminator=discriminator,
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
    from protocol.registry import model_key

    one_of("ROLE", role, ("generator", "clip", "discriminator"))
    wish = Wish(role, model_key(model), reseed)  # type: ignore[arg-type] # checked above
    print(ask(RunFolder.open(run), wish))


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _grow(ui: str, images: str, begin: "Callable[[Display, Interrupts], Run]") -> None:
    """Grow what `begin` makes, and say where the pictures are."""
    from orchestrator.interrupts import Interrupts
    from orchestrator.run import results
    from orchestrator.terminal import make_display

    one_of("--ui", ui, ("auto", "live", "plain", "json", "quiet"))
    one_of("--images", images, ("auto", "half", "off"))
    stream = sys.stdout if ui == "json" else sys.stderr
    display = make_display(ui, images, stream, os.environ)  # type: ignore[arg-type] # checked above
    with Interrupts() as interrupts:
        run = begin(display, interrupts)
        try:
            code = run.grow()
        finally:
            if ui != "json":
                print("\n".join(results(run.folder.path, run.best)))
    raise typer.Exit(code)


def _parameters(given: list[str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in given]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise ConfigError(f"--set wants NAME=VALUE, such as --set sigma=0.2, not '{name}'")
    return {name: value for name, _, value in pairs}
