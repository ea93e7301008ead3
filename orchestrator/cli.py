"""The command `orchestrator`: what a user types.

stdout is for results, stderr for talk. Exit codes: 0 done, 1 unexpected, 2 usage, 3 settings,
4 a service, 5 protocol, 6 weights, 7 storage, 130 after Ctrl-C, 143 after SIGTERM.
"""

import os
import secrets
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from orchestrator import keys
from protocol.errors import ConfigError, GlasshouseError

app = typer.Typer(
    help='Grow pictures by evolution: orchestrator run "a yellow car in the city"',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.add_typer(keys.app, name="keys")

SEARCH, MODELS, OUTPUT = "Search", "Models", "Output"


def _print_version(wanted: bool) -> None:  # noqa: FBT001 # typer's callback
    if wanted:
        print(f"glasshouse {version('glasshouse')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""


@app.command()
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
    generator: Annotated[
        str,
        typer.Option(
            "--generator", help="Model, .safetensors file or endpoint.", rich_help_panel=MODELS
        ),
    ] = "mini-car",
    clip: Annotated[
        str,
        typer.Option(
            "--clip", help="Model, .safetensors file or endpoint.", rich_help_panel=MODELS
        ),
    ] = "mini-clip",
    discriminator: Annotated[
        str,
        typer.Option(
            "--discriminator",
            help="Model, file or endpoint; 'none' to leave it out.",
            rich_help_panel=MODELS,
        ),
    ] = "mini-car-discriminator",
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
    ui: Annotated[
        str, typer.Option("--ui", help="auto, live, plain, json or quiet.", rich_help_panel=OUTPUT)
    ] = "auto",
    images: Annotated[
        str, typer.Option("--images", help="Thumbnails: auto, half or off.", rich_help_panel=OUTPUT)
    ] = "auto",
) -> None:
    """Grow a picture of PROMPT.

    orchestrator run "a blue car at night"

    orchestrator run "a red car in the snow" --algorithm nsga2 --generations 100 --seed 7
    """
    from orchestrator.interrupts import Interrupts
    from orchestrator.run import Run, results
    from orchestrator.settings import RunSettings
    from orchestrator.terminal import make_display

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
        runs=runs,
        save_every=save_every,
    )
    _one_of("--ui", ui, ("auto", "live", "plain", "json", "quiet"))
    _one_of("--images", images, ("auto", "half", "off"))
    stream = sys.stdout if ui == "json" else sys.stderr
    display = make_display(ui, images, stream, os.environ)  # type: ignore[arg-type] # checked above
    with Interrupts() as interrupts:
        search = Run(settings, display, interrupts)
        try:
            code = search.grow()
        finally:
            if ui != "json":
                print("\n".join(results(search.folder.path, search.best)))
    raise typer.Exit(code)


@app.command()
def algorithms() -> None:
    """List the search algorithms and their parameters."""
    from orchestrator.search import describe_algorithms

    for info in describe_algorithms():
        print(f"{info.name:8} {info.meaning}")
        for parameter in info.parameters:
            print(f"         --set {parameter.name}={parameter.default}  {parameter.meaning}")


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{option} is one of {', '.join(known)}, not '{value}'")


def _parameters(given: list[str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in given]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise ConfigError(f"--set wants NAME=VALUE, such as --set sigma=0.2, not '{name}'")
    return {name: value for name, _, value in pairs}


def main() -> None:
    """Run the command line; mistakes end in one sentence and their exit code."""
    try:
        app()
    except GlasshouseError as error:
        print(f"orchestrator: {error.message}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
