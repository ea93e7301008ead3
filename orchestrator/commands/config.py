"""`config show`, and how `run` and `up` take what `glasshouse.toml` says.

The order of precedence is typer's own: what the file says becomes the `default_map`, which
stands between the environment (`GLASSHOUSE_RUN_POPULATION`) and an option's default. A preset
stands below it, and is put in by `run`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from orchestrator.commands.options import JsonOption, say_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.config import Described, Key

OUTPUT = "Output"
UNDESCRIBED = frozenset({"config", "named", "dry_run", "help"})
"""Options that say something of one call of a command, which no file can."""
SECTIONS = {"run": "run", "up": "fleet"}
"""Which section of the file is which command's."""

app = typer.Typer(help="Settings: each value, and where it comes from.", no_args_is_help=True)


class DescribedCommand(TyperCommand):
    """A command each of whose options has an environment variable too: GLASSHOUSE_RUN_SEED."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for option in self.params:
            if isinstance(option, TyperOption) and option.name not in UNDESCRIBED:
                option.envvar = f"GLASSHOUSE_{self.name}_{_name(option)}".upper().replace("-", "_")
                option.show_envvar = False  # thirty lines of help would say the same


def _take_file(context: typer.Context, option: typer.CallbackParam, value: Any) -> Any:
    """Read the file when `--config` and `--named` are both known, in whatever order they came."""
    context.meta[str(option.name)] = value
    wanted = {one.name for one in context.command.params} & {"config", "named"}
    if wanted <= context.meta.keys() and not context.resilient_parsing:
        described = _read(context, context.meta["config"])
        context.meta["described"] = described
        is_run = context.info_name == "run"
        context.default_map = described.named(context.meta["named"]) if is_run else described.fleet
    return value


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="A file of settings; glasshouse.toml here by default.",
        is_eager=True,
        callback=_take_file,
        rich_help_panel=OUTPUT,
        envvar="GLASSHOUSE_CONFIG",
    ),
]
NamedOption = Annotated[
    str,
    typer.Option(
        "--named", help="A run that the file describes.", is_eager=True, callback=_take_file
    ),
]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def show(context: typer.Context, json: JsonOption = False) -> None:
    """Print every setting and where it comes from; options of `run` count as if given to it.

    orchestrator config show

    orchestrator config show --named night --population 16
    """
    root = context.find_root()
    described: Described | None = None
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for command, arguments in (("run", list(context.args)), ("up", [])):
        inner = _command(root, command).make_context(command, arguments, parent=root)
        with inner:
            described = described or inner.meta["described"]
            found[SECTIONS[command]] = _said(inner)
            for taken in ("config", "named", "described"):  # contexts share them
                if command == "run" and taken != "config":
                    inner.meta.pop(taken, None)
    path = described.path if described else None
    if json:
        say_json({"file": path and str(path), **found})
        return
    print(f"file  {path or 'none: there is no glasshouse.toml here'}")
    for section, values in found.items():
        print(f"\n[{section}]")
        width = max(len(_text(one["value"])) for one in values.values())
        for name, one in values.items():
            print(f"{name:16} {_text(one['value']):{width}}  {one['from']}".rstrip())


def _read(context: typer.Context, path: Path | None) -> "Described":
    from orchestrator.config import read_config

    root = context.find_root()
    return read_config(path, _keys(root, "up"), _keys(root, "run"))


def _command(root: Any, name: str) -> Any:
    return root.command.get_command(root, name)


def _keys(root: Any, command: str) -> "dict[str, Key]":
    """What a section of the file may say: the options of its command by their long names."""
    from orchestrator.config import Key

    def key(parameter: Any) -> Key:
        def check(value: Any) -> None:
            try:
                parameter.process_value(root, value)
            except typer.BadParameter as error:
                raise ValueError(error.message) from error

        return Key(parameter.name, parameter.multiple or parameter.nargs != 1, check)

    parameters = _command(root, command).params
    return {_name(one): key(one) for one in parameters if one.name not in UNDESCRIBED}


def _name(parameter: Any) -> str:
    """What the user calls it: the long name of an option; `prompt`, the only argument."""
    longest = max(parameter.opts, key=len)
    return str(longest.removeprefix("--") if longest.startswith("--") else "prompt")


def _said(context: typer.Context) -> dict[str, dict[str, Any]]:
    """Each value of a command, by the name of its option, and where it comes from."""
    preset: Mapping[str, Any] = {}
    if context.params.get("preset"):
        from orchestrator.presets import find_preset

        preset = find_preset(context.params["preset"]).values
    found = {}
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in UNDESCRIBED:
            continue
        value, origin = context.params[name], _origin(context, parameter)
        if origin == "default" and name in preset:
            value, origin = preset[name], f"preset {context.params['preset']}"
        value = str(value) if isinstance(value, Path) else value
        found[_name(parameter)] = {"value": value, "from": origin}
    return found


def _origin(context: typer.Context, parameter: Any) -> str:
    source = context.get_parameter_source(parameter.name)
    match source.name if source else "DEFAULT":
        case "COMMANDLINE":
            return "command line"
        case "ENVIRONMENT":
            return f"environment {parameter.envvar}"
        case "DEFAULT_MAP":
            described: Described = context.meta["described"]
            if context.info_name == "up":
                return f"{described.path} [fleet]"
            return f"{described.path} {described.place(parameter.name, context.params['named'])}"
        case _:
            return "default"


def _text(value: Any) -> str:
    """A value for people; `-` for nothing."""
    if isinstance(value, list | tuple):
        return " | ".join(map(str, value)) or "-"
    return "-" if value in {None, ""} else str(value)
