"""What a model can be told besides its name, such as `mini-car,noise=none,precision=bf16`.

An option is a keyword-only parameter of the architecture's `load`, or of its role: the annotation
says which values there are, and the default is what happens without it. So whoever adds an
architecture adds its options by naming them; one that Python reserves ends in `_` (`class_`).

A model that was told anything but the defaults is another model: its digest is of the weights'
digest and of what it was told. So runs and replicas never mix two that draw or judge differently.
"""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import torch

from protocol.errors import BadRequestError

Precision = Literal["float32", "bf16", "fp16"]
"""In which numbers a network computes; how much of it is for the architecture to say."""

ConvolutionKind = Literal["direct", "winograd"]
"""How a network convolves in float32: as published, or with fewer products, quicker on a CPU."""

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@dataclass(frozen=True)
class Option:
    """One option that a function takes.

    Attributes:
        parameter: the keyword.
        kind: the annotation.
        default: the value without it.
    """

    parameter: str
    kind: Any
    default: object

    def read(self, text: str) -> object:
        """The value that a user wrote.

        Raises:
            ValueError: it is none; says which there are.
        """
        try:
            return msgspec.convert(text, self.kind, strict=False)
        except msgspec.ValidationError as error:
            if get_origin(self.kind) is Literal:
                raise ValueError(f"is one of {', '.join(get_args(self.kind))}") from error
            raise ValueError(f"cannot be that: {error}") from error


def options_of(function: Callable[..., object]) -> dict[str, Option]:
    """The options that a function takes, by the names that users write."""
    kinds = get_type_hints(function, include_extras=True)
    return {
        name.rstrip("_"): Option(name, kinds[name], parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def read_options(
    model: str, said: Mapping[str, str], options: Mapping[str, Option]
) -> dict[str, object]:
    """What users wrote as values by parameter, without those that are the defaults.

    Raises:
        BadRequestError: an option that this model has not, or a value that it cannot have.
    """
    found = {}
    for name, text in said.items():
        if name not in options:
            known = ", ".join(sorted(options)) or "none"
            raise BadRequestError(
                f"{model} has no option '{name}'; its options: {known} (docs/models.md)"
            )
        try:
            value = options[name].read(text)
        except ValueError as error:
            raise BadRequestError(f"{model}: {name} {error}; it was '{text}'") from error
        if value != options[name].default:
            found[options[name].parameter] = value
    return found


def digest_with(digest: str, told: Mapping[str, object]) -> str:
    """The digest of a model that was told this, by parameter; that of its weights if nothing."""
    if not told:
        return digest
    content = msgspec.json.encode([digest, sorted(told.items())])
    return "blake2b:" + hashlib.blake2b(content, digest_size=16).hexdigest()
