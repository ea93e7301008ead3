"""`up`, `down`, `ps` and `services`: the commands of services that stay."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.commands.config import ConfigOption
from orchestrator.commands.options import JsonOption, say, say_json
from protocol.errors import BadRequestError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.fleet.status import Seen
    from protocol.registry import Registered

ROLES = ("generator", "clip", "discriminator")
BUNDLED = ("mini-car", "mini-clip", "mini-car-discriminator")

services = typer.Typer(help="Look after single services that stay.", no_args_is_help=True)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SERVICE]...", help="Roles, names or beginnings of names; all without."
    ),
]
OneName = Annotated[str, typer.Argument(metavar="SERVICE", help="A name, or how it begins.")]


def up(  # noqa: PLR0913, PLR0917 # one parameter an option
    generator: Annotated[
        list[str] | None, typer.Option(help="A generator to serve; may be repeated.")
    ] = None,
    clip: Annotated[list[str] | None, typer.Option(help="A CLIP to serve.")] = None,
    discriminator: Annotated[
        list[str] | None, typer.Option(help="A discriminator to serve.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Of every model: float32, bf16 or fp16; as NAME,precision=bf16 of one."),
    ] = None,
    augment: Annotated[
        int | None, typer.Option(min=0, help="Random crops of each picture that a CLIP looks at.")
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, max=64, help="How many of each.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda:N.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of each; 0 for all.")] = 0,
    config: ConfigOption = None,  # noqa: ARG001 # its callback reads it
) -> None:
    """Start services that stay, and that every run shares; the bundled models if none is named.

    orchestrator up

    orchestrator up --clip mini-clip --replicas 2
    """
    from orchestrator.fleet.lasting import up as start
    from orchestrator.fleet.launcher import ServiceSpec

    named = dict(zip(ROLES, (generator, clip, discriminator), strict=True))
    if not any(named.values()):
        named = {role: [model] for role, model in zip(ROLES, BUNDLED, strict=True)}
    wanted = [
        ServiceSpec(role, _told(role, model, precision, augment), device, threads)  # type: ignore[arg-type] # one of the roles
        for role, models in named.items()
        for model in models or ()
    ]
    before, started = start(wanted, replicas, _said_once())
    for one in before:
        print(f"{one.name} is up already: {one.registration.model} at {one.endpoint}")
    for one in started:
        print(f"{one.name} is up: {one.registration.model} at {one.endpoint}")


def _told(role: str, model: str, precision: str | None, augment: int | None) -> str:
    """The model with the options that were given for all, and for CLIPs."""
    from protocol.naming import with_options

    options = {"precision": precision} if precision else {}
    if augment is not None and role == "clip":
        options["augment"] = str(augment)
    return with_options(model, options)


def down(
    names: Names = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.0, max=86_400.0, help="Seconds before it is killed.")
    ] = 35.0,
) -> None:
    """End services that stay; what they hold is answered first.

    orchestrator down

    orchestrator down clip
    """
    from orchestrator.fleet.lasting import find, remove_leftovers

    _end(find(names or []), timeout_s)
    if not names:
        remove_leftovers()


def ps(json: JsonOption = False) -> None:
    """List this user's living services, those of runs included."""
    from orchestrator.fleet.status import look

    _say(look(), json=json)


@services.command()
def ping(name: OneName, json: JsonOption = False) -> None:
    """Ask one service how it is; exit code 0 if it is ready or busy."""
    from orchestrator.fleet.status import look

    seen = look([_one(name)])
    _say(seen, json=json)
    if seen[0].state not in {"ready", "busy"}:
        raise typer.Exit(ServiceError.exit_code)


@services.command()
def drain(
    name: OneName,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.0, max=86_400.0)] = 35.0,
) -> None:
    """Let one service answer what it holds, and end it."""
    _end([_one(name)], timeout_s)


@services.command()
def logs(name: OneName) -> None:
    """Print what one service said."""
    from orchestrator.fleet.lasting import read_log

    print(read_log(name), end="")


def _say(seen: "list[Seen]", *, json: bool) -> None:
    from orchestrator.fleet.status import table

    if json:
        say_json(seen)
    else:
        say(table(seen))


def _end(chosen: "Sequence[Registered]", timeout_s: float) -> None:
    from orchestrator.fleet.lasting import down as end

    killed = {one.name for one in end(chosen, timeout_s)}
    for one in chosen:
        how = "was killed, because it did not leave in time" if one.name in killed else "is down"
        print(f"{one.name} {how}")
    if not chosen:
        print("no service was up")


def _one(name: str) -> "Registered":
    from orchestrator.fleet.lasting import find

    found = find([name], owned=True)
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise BadRequestError(f"'{name}' means {len(found)} services; name one: {names}")
    return found[0]


def _said_once() -> "Callable[[Sequence[str]], None]":
    """Says once which services are being waited for."""
    said: set[str] = set()

    def say(slow: "Sequence[str]") -> None:
        for name in set(slow) - said:
            print(f"{name} is starting", file=sys.stderr)
        said.update(slow)

    return say
