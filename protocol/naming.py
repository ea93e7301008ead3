"""How users name a model: `NAME`, or with options behind it, `NAME,OPTION=VALUE,...`.

NAME is one of the catalogue or a path ending in `.safetensors`. The options are of the service that
loads it, such as `mini-car,noise=none,precision=bf16`; here nobody knows what they mean. The same
model with other options is another model everywhere: by its name here, by its digest on the wire.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from protocol.errors import BadRequestError

WEIGHTS = ".safetensors"
NAMED = re.compile(
    r"(.*?\.safetensors(?=,|$)|[^,]*)(?:,(.*))?", re.DOTALL
)  # a path may hold commas


def split_model(model: str) -> tuple[str, dict[str, str]]:
    """The name, and the options behind it.

    Raises:
        BadRequestError: an option without a value, or one that is named twice.
    """
    name, given = _parts(model)
    options: dict[str, str] = {}
    for entry in given.split(",") if given is not None else ():
        option, equals, value = entry.strip().partition("=")
        if not (option and equals and value):
            raise BadRequestError(
                f"'{model}' names options that cannot be read; write NAME,OPTION=VALUE, such as "
                "mini-car,noise=none,precision=bf16"
            )
        if option in options:
            raise BadRequestError(f"'{model}' says {option} twice; say it once")
        options[option] = value
    return name, options


def join_model(name: str, options: Mapping[str, str]) -> str:
    """A name with options, in the one order in which they are kept."""
    return ",".join([name, *(f"{option}={options[option]}" for option in sorted(options))])


def with_options(model: str, options: Mapping[str, str]) -> str:
    """The same model with options added.

    Raises:
        BadRequestError: it has one of them already, or is an endpoint, whose service has its own.
    """
    if not options:
        return model
    if is_endpoint(model):
        raise BadRequestError(
            f"the service at {model} was told its options where it was started; leave "
            f"--{next(iter(options))} out, or name a model"
        )
    name, said = split_model(model)
    for option in options:
        if option in said:
            raise BadRequestError(f"'{model}' says {option} already; leave --{option} out")
    return join_model(name, {**said, **options})


def model_key(model: str) -> str:
    """The one name by which a model is known to all processes: a path is absolute.

    Raises:
        BadRequestError: its options cannot be read.
    """
    if is_endpoint(model):
        return model
    name, options = split_model(model)
    path = weights_path(model)
    return join_model(str(path.absolute()) if path else name, options)


def weights_path(model: str) -> Path | None:
    """The file, or the folder with a `config.json`, by which a model was named; else None.

    Raises:
        BadRequestError: no file can have that name, as one that is too long.
    """
    name, _ = _parts(model)
    if is_endpoint(name):
        return None
    path = Path(name)
    is_weights = name.endswith(WEIGHTS)
    try:
        found = (path if is_weights else path / "config.json").is_file()
    except OSError as error:
        raise BadRequestError(
            f"'{name[:40]}…' names no model: {error.strerror}; give a path, or see: orchestrator "
            "models"
        ) from error
    return path if is_weights or found else None


def is_endpoint(model: str) -> bool:
    """Whether a model was named by the address of a service, or of several."""
    return "://" in model


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a refusal: `; did you mean 'NEAREST'?`, or nothing where nothing is known."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def _parts(model: str) -> tuple[str, str | None]:
    """The name, and what stands behind it; None where nothing does."""
    found = NAMED.fullmatch(model)
    return (found[1], found[2]) if found else (model, None)
