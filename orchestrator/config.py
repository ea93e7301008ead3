"""`glasshouse.toml`: a fleet and its runs in one file.

    [fleet]                 # what `orchestrator up` starts
    clip = "mini-clip"
    replicas = 2

    [run]                   # what every `orchestrator run` does where nothing else is said
    population = 48
    set = { sigma = 0.3 }

    [runs.night]            # one run, on top of [run]: orchestrator run --named night
    prompt = "a yellow car at night"

A key is the long name of an option of that command. What is said more directly wins: option, then
environment, then file, then preset, then default. This module reads and refuses; that order is the
command line's business (`commands/config.py`).
"""

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from protocol.errors import ConfigError
from protocol.naming import did_you_mean

NAME: Final = "glasshouse.toml"
SECTIONS: Final = ("fleet", "run", "runs")

Values = dict[str, Any]


@dataclass(frozen=True)
class Key:
    """One key of a section.

    Attributes:
        parameter: what the command calls it.
        several: whether it takes a list.
        check: raises ValueError, with the reason, for a value that the option would refuse.
    """

    parameter: str
    several: bool
    check: Callable[[Any], object]


Keys = Mapping[str, Key]


@dataclass(frozen=True)
class Described:
    """What a file says; empty without one.

    Attributes:
        path: of the file; None without one.
        fleet: of `up`, by the command's own parameter names.
        run: of `run`, likewise.
        runs: of single runs, by name.
    """

    path: Path | None = None
    fleet: Values = field(default_factory=dict)
    run: Values = field(default_factory=dict)
    runs: Mapping[str, Values] = field(default_factory=dict)

    def named(self, name: str) -> Values:
        """All that the file says of a run; of no particular one with an empty name.

        Raises:
            ConfigError: it describes no run of that name.
        """
        if name and self.path is None:
            raise ConfigError(f"there is no {NAME} here that could describe a run '{name}'")
        if name and not self.runs:
            raise ConfigError(f"{self.path} describes no run of its own: wanted [runs.{name}]")
        if name and name not in self.runs:
            raise ConfigError(
                f"{self.path} describes no run '{name}'{did_you_mean(name, self.runs)}"
            )
        return {**self.run, **self.runs.get(name, {})}

    def place(self, parameter: str, name: str) -> str:
        """Which section a value of `run` comes from."""
        return f"[runs.{name}]" if parameter in self.runs.get(name, {}) else "[run]"


def read_config(path: Path | None, fleet: Keys, run: Keys) -> Described:
    """What `path` says, or `glasshouse.toml` here if there is one.

    Args:
        path: the file that the user named; None for the usual one.
        fleet: what may stand in [fleet].
        run: what may stand in [run] and in each of [runs].

    Raises:
        ConfigError: it cannot be read, or says what no option takes.
    """
    if path is None:
        if not Path(NAME).is_file():
            return Described()
        path = Path(NAME)
    said = _parsed(path)
    _refuse_unknown(str(path), said, SECTIONS)
    runs = _table(str(path), said, "runs")
    return Described(
        path,
        _values(f"{path} [fleet]", _table(str(path), said, "fleet"), fleet),
        _values(f"{path} [run]", _table(str(path), said, "run"), run),
        {
            name: _values(f"{path} [runs.{name}]", _table(f"{path} [runs]", runs, name), run)
            for name in runs
        },
    )


def _parsed(path: Path) -> Values:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error


def _table(where: str, said: Mapping[str, Any], name: str) -> Values:
    found = said.get(name, {})
    if not isinstance(found, dict):
        raise ConfigError(f"{where} wants '{name}' to be a section, [{name}], not a value")
    return found


def _values(where: str, said: Mapping[str, Any], keys: Keys) -> Values:
    """A section as its command takes it: by parameter, numbers as they are typed."""
    named = {key.replace("_", "-"): value for key, value in said.items()}
    _refuse_unknown(where, named, keys)
    return {keys[name].parameter: _value(where, name, keys[name], named[name]) for name in named}


def _value(where: str, name: str, key: Key, said: object) -> object:
    if isinstance(said, dict) and key.several:  # set = { sigma = 0.3 }
        said = [f"{one}={value}" for one, value in said.items()]
    if isinstance(said, list) and not key.several:
        raise ConfigError(f"{where} {name}: wanted one value, not a list")
    values = said if isinstance(said, list) else [said]
    if not all(isinstance(value, str | int | float | bool) for value in values):
        raise ConfigError(f"{where} {name}: wanted text, a number, true or false")
    words = [value if isinstance(value, bool) else str(value) for value in values]
    try:
        key.check(words if key.several else words[0])
    except ValueError as error:
        raise ConfigError(f"{where} {name}: {error}") from error
    return words if key.several else words[0]


def _refuse_unknown(where: str, said: Collection[str], known: Collection[str]) -> None:
    for name in said:
        if name not in known:
            raise ConfigError(f"{where} knows no '{name}'{did_you_mean(name, known)}")
