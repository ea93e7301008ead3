"""From a catalogue row to a role that is ready to compute.

The checkpoint says its architecture, "FAMILY-ROLE"; the module `services.ROLE.FAMILY` loads it.
Only modules that lie in that folder are ever imported.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import torch

from protocol.errors import BadRequestError, WeightsError
from protocol.messages import RoleInfo, ServiceInfo
from services.catalogue import Model
from services.clip.role import ClipRole, clip_info
from services.discriminator.role import DiscriminatorRole, discriminator_info
from services.generator.role import GeneratorRole, generator_info
from services.models.checkpoints import Checkpoint, load_checkpoint
from services.runtime.role import Role

QUEUE_BATCHES = 64

ROLES: dict[str, tuple[Callable[..., Role], Callable[..., RoleInfo]]] = {
    "generator": (GeneratorRole, generator_info),
    "clip": (ClipRole, clip_info),
    "discriminator": (DiscriminatorRole, discriminator_info),
}


def load_role(model: Model, device_name: str) -> Role:
    """The model on its device, warm.

    Raises:
        WeightsError: the file is missing, damaged or of another architecture.
        BadRequestError: no such device.
    """
    device = find_device(device_name)
    path = model.path
    try:
        checkpoint = load_checkpoint(path)
        family = _family(checkpoint, model.role)
        module = importlib.import_module(f"services.{model.role}.{family}")
        role = _serve(model, checkpoint, module.load(checkpoint, device), device)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{model.name} cannot be loaded: {error}") from error
    role.warm_up()
    return role


def find_device(name: str) -> torch.device:
    """The torch device that a user named: `cpu`, `cuda` or `cuda:N`.

    Raises:
        BadRequestError: not a device, or one that this machine does not have.
    """
    found = torch.cuda.device_count()
    known = ["cpu", *(f"cuda:{index}" for index in range(found))]
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in known:
        raise BadRequestError(f"there is no device '{name}' here; devices: {', '.join(known)}")
    return torch.device(wanted)


def _family(checkpoint: Checkpoint, role: str) -> str:
    folder = importlib.import_module(f"services.{role}").__path__
    families = {module.name for module in pkgutil.iter_modules(folder)} - {"role"}
    family = checkpoint.architecture.removesuffix(f"-{role}")
    if family not in families or family == checkpoint.architecture:
        known = ", ".join(f"{name}-{role}" for name in sorted(families))
        raise ValueError(
            f"it holds the architecture '{checkpoint.architecture}', "
            f"but a {role} is one of: {known}"
        )
    return family


def _serve(model: Model, checkpoint: Checkpoint, loaded: Any, device: torch.device) -> Role:
    make_role, describe = ROLES[model.role]
    info = ServiceInfo(
        model=model.name,
        digest=checkpoint.digest,
        device=str(device),
        batch_rows=model.batch_rows,
        queue_rows=model.batch_rows * QUEUE_BATCHES,
        about=describe(loaded),
    )
    return make_role(loaded, info, device)
