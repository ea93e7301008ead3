"""The command `orchestrator`: what a user types.

stdout is for results, stderr for talk. Exit codes: 0 done, 1 unexpected, 2 usage, 3 settings,
4 a service, 5 protocol, 6 weights, 7 storage, 130 after Ctrl-C, 143 after SIGTERM.
"""

import io
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from orchestrator.commands import config, experiment, fleet, grow, judge, keys, look, models, tell
from protocol.errors import mistakes_in_one_sentence

app = typer.Typer(
    help='Grow pictures by evolution: orchestrator run "a yellow car in the city"',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

COMMANDS = (
    *(grow.run, grow.resume, grow.fork, grow.swap, grow.watch),
    *(look.ls, look.show, look.recall, look.verify),
    *(look.algorithms, look.presets, look.doctor),
    judge.evaluate,
    *(tell.report, tell.compare, tell.pick, tell.export, tell.rm),
    *(fleet.up, fleet.down, fleet.ps),
)
DESCRIBED = {grow.run, fleet.up}
"""Those whose options may stand in the environment and in `glasshouse.toml`."""
for command in COMMANDS:
    app.command(cls=config.DescribedCommand if command in DESCRIBED else None)(command)
app.command(**models.PASSED_ON)(models.models)
app.add_typer(fleet.services, name="services")
app.add_typer(keys.app, name="keys")
app.add_typer(config.app, name="config")
app.add_typer(experiment.app, name="experiment")


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


def main() -> None:
    """Run the command line; mistakes end in one sentence and their exit code.

    Signs that the terminal's encoding does not have are written as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with mistakes_in_one_sentence("orchestrator"):
            app()
    except KeyboardInterrupt:
        sys.exit(130)
