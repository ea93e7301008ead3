"""From a catalogue row, and the options that it was named with, to a role ready to compute.

The checkpoint says its architecture, such as "stylegan2-generator"; the module of that name in the
role's folder (`services/generator/stylegan2_generator.py`) loads it. Nothing else is ever imported.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import torch

from protocol.errors import BadRequestError, WeightsError
from protocol.messages import RoleInfo, ServiceInfo
from protocol.naming import join_model
from services.catalogue import PACKAGE, Model
from services.classifier.hugging_face_classifier import folder_checkpoint
from services.classifier.role import ClassifierRole, classifier_info
from services.clip.role import ClipRole, clip_info
from services.discriminator.role import DiscriminatorRole, discriminator_info
from services.generator.own_role import load_own
from services.generator.role import GeneratorRole, generator_info
from services.generator.text_role import TextModel, TextRole, text_info
from services.models.checkpoints import Checkpoint, load_checkpoint
from services.options import digest_with, options_of, read_options
from services.runtime.role import QUEUE_BATCHES, Role

CPU_BATCH_PIXELS = 4 * 256 * 256
NO_ARCHITECTURES = {"one_step_diffusion"}  # made as packages' own generators are, of no checkpoint

ROLES: dict[str, tuple[Callable[..., Role], Callable[..., RoleInfo]]] = {
    "generator": (GeneratorRole, generator_info),
    "clip": (ClipRole, clip_info),
    "discriminator": (DiscriminatorRole, discriminator_info),
    "classifier": (ClassifierRole, classifier_info),
}


def load_role(model: Model, device_name: str) -> Role:
    """The model on its device, warm.

    Raises:
        WeightsError: the file is missing, damaged or of another architecture, or too large for
            the device.
        BadRequestError: no such device, or no such option.
    """
    device = find_device(device_name)
    exact_float32()
    if model.source.startswith(PACKAGE):
        read_options(model.name, model.options, {})
        return load_own(model.name, device)
    path = model.path
    try:
        checkpoint = folder_checkpoint(path) if path.is_dir() else load_checkpoint(path)
        name = _module_name(checkpoint, model.role)
        module = importlib.import_module(f"services.{model.role}.{name}")
        role = _serve(model, checkpoint, module.load, device)
        role.warm_up()
    except KeyError as error:
        raise WeightsError(f"{model.name} cannot be loaded: it lacks {error}") from error
    except (OSError, ValueError, RuntimeError) as error:  # a device's want of memory, too
        said = " ".join(str(error).split())
        raise WeightsError(f"{model.name} cannot be loaded: {said}") from error
    return role


def exact_float32() -> None:
    """Have GPUs compute float32 in float32, and the same each time.

    torch lets cuDNN round the inputs of float32 convolutions to 10 bits (TF32) unless it is told
    not to: a thousandth where our tests hold networks to a hundred-thousandth.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True


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


def _module_name(checkpoint: Checkpoint, role: str) -> str:
    folder = importlib.import_module(f"services.{role}").__path__
    modules = (module.name for module in pkgutil.iter_modules(folder))
    known = {name for name in modules if not name.endswith("role")} - NO_ARCHITECTURES
    name = checkpoint.architecture.replace("-", "_")
    if name not in known:
        wanted = ", ".join(sorted(name.replace("_", "-") for name in known))
        raise ValueError(
            f"it holds the architecture '{checkpoint.architecture}', "
            f"but a {role} is one of: {wanted}"
        )
    return name


def _serve(
    model: Model, checkpoint: Checkpoint, load: Callable[..., Any], device: torch.device
) -> Role:
    of_network, of_role = options_of(load), options_of(ROLES[model.role][0].__init__)
    told = read_options(model.name, model.options, of_network | of_role)
    by_role = {option.parameter for option in of_role.values()}
    loaded = load(checkpoint, device, **{k: v for k, v in told.items() if k not in by_role})
    writes = isinstance(loaded, TextModel)
    make_role, describe = (TextRole, text_info) if writes else ROLES[model.role]
    rows = _batch_rows(model, loaded, device)
    info = ServiceInfo(
        model=join_model(model.name, model.options),
        digest=digest_with(checkpoint.digest, told),
        device=str(device),
        batch_rows=rows,
        queue_rows=rows * QUEUE_BATCHES,
        about=describe(loaded),
    )
    return make_role(loaded, info, device, **{k: v for k, v in told.items() if k in by_role})


def _batch_rows(model: Model, loaded: Any, device: torch.device) -> int:
    """Fewer large pictures at a time on a CPU, where a batch of 16 at 1024x1024 takes minutes."""
    if device.type != "cpu":
        return model.batch_rows
    pixels = getattr(loaded, "height", 1) * getattr(loaded, "width", 1)
    return min(model.batch_rows, max(1, CPU_BATCH_PIXELS // pixels))
