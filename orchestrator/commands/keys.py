"""The command `orchestrator keys`: who may use services over the network, and which to believe."""

from typing import Annotated

import typer

from orchestrator.commands.options import JsonOption, say_json
from protocol import keys

app = typer.Typer(
    help="Keys for services on other machines; on this machine none are needed.",
    no_args_is_help=True,
)

KeyArgument = Annotated[str, typer.Argument(help="A public key, 64 hex digits.")]


@app.command()
def new(
    replace: Annotated[bool, typer.Option("--replace", help="Throw the old key away.")] = False,
) -> None:
    """Make your key on this machine, and print its public half."""
    typer.echo(keys.new_identity(replace=replace).public.hex())


@app.command()
def allow(
    key: KeyArgument,
    name: Annotated[str, typer.Argument(help="Whose it is, for your list.")],
) -> None:
    """Let the owner of KEY use your services; takes effect at once."""
    keys.allow(key, name)


@app.command()
def trust(
    endpoint: Annotated[str, typer.Argument(help="Where the service listens: tcp://HOST:PORT.")],
    key: KeyArgument,
) -> None:
    """Remember the public KEY of the service at ENDPOINT."""
    keys.trust(endpoint, key)


@app.command("list")
def list_keys(json: JsonOption = False) -> None:
    """Print your public key, who may use your services, and the services you trust."""
    if json:
        trusted = {f"tcp://{place}": key for place, key in keys.servers().items()}
        yours = keys.identity().public.hex()
        found = {"yours": yours, "allowed": keys.allowed(), "trusted": trusted}
        say_json(found)
        return
    typer.echo(f"yours    {keys.identity().public.hex()}")
    for key, name in keys.allowed().items():
        typer.echo(f"allowed  {key}  {name}")
    for place, key in keys.servers().items():
        typer.echo(f"trusted  {key}  tcp://{place}")
