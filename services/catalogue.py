"""The models that `service` can start, one row each.

A row names the role and where the weights are; the weights say their architecture, and a file in
`services/ROLE/` of that name loads them. Adding a generator is adding that file and a row here. A
path to a safetensors file can stand for a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.errors import BadRequestError, WeightsError

if TYPE_CHECKING:  # it would bring numpy, which `service models` does not need
    from protocol.messages import Role


@dataclass(frozen=True)
class Model:
    """One row of the catalogue.

    Attributes:
        name: what users type.
        role: which service can hold it.
        weights: a file in `miniatures/weights`, or a path.
        about: one line for people.
        batch_rows: fixed number of rows in which it computes.
    """

    name: str
    role: Role
    weights: str
    about: str
    batch_rows: int = 16

    @property
    def path(self) -> Path:
        """The weights file.

        Raises:
            WeightsError: it is not there.
        """
        path = bundled_weights() / self.weights  # an absolute path stays as it is
        if not path.is_file():
            raise WeightsError(
                f"the weights of {self.name} should be at {path}, but no file is there; "
                "check the path, or see what can be served: service models"
            )
        return path


MODELS = (
    Model(
        "mini-car",
        "generator",
        "mini-car.safetensors",
        "StyleGAN2 of 64x64 drawn cars, bundled",
    ),
    Model(
        "mini-clip",
        "clip",
        "mini-clip.safetensors",
        "CLIP of the drawn world, bundled",
    ),
    Model(
        "mini-car-discriminator",
        "discriminator",
        "mini-car-discriminator.safetensors",
        "the discriminator of mini-car, bundled",
    ),
)


def bundled_weights() -> Path:
    """The folder of the weights that come with Glasshouse."""
    spec = find_spec("miniatures")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError("the package miniatures is not installed; install Glasshouse again")
    return Path(next(iter(spec.submodule_search_locations)), "weights")


def find_model(name: str, role: Role) -> Model:
    """The model that a user named, by catalogue name or by path.

    Raises:
        BadRequestError: no such model, or one of another role.
    """
    known = [model.name for model in MODELS if model.role == role]
    if name.endswith(".safetensors"):
        return Model(name, role, str(Path(name).absolute()), "a file of yours")
    for model in MODELS:
        if model.name == name and model.role == role:
            return model
        if model.name == name:
            raise BadRequestError(
                f"{name} is a {model.role}, but a {role} was wanted; "
                f"{role} models: {', '.join(known)}"
            )
    raise BadRequestError(
        f"there is no {role} model '{name}'; {role} models: {', '.join(known)}, "
        "or a path ending in .safetensors"
    )
