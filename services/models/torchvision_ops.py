"""Make `import torchvision` work beside a torch that its compiled operators do not fit.

open_clip imports torchvision for its preprocessing. The torchvision wheel on PyPI is built for
the CUDA torch of PyPI; beside the CPU torch of download.pytorch.org its extension does not load,
and `import torchvision` then fails with "operator torchvision::nms does not exist", because it
registers a fake kernel for an operator nobody has defined. `ensure_torchvision` defines the
schemas of those operators (never their kernels: they detect overlapping boxes, which nothing here
does) and imports again.

Promises: nothing changes where torchvision already works, and no operator that exists is defined
twice.
"""

import importlib
import sys
import warnings

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[torch.library.Library] = []
"""Keeps the definitions alive: a Library takes its schemas away when it is collected."""


def ensure_torchvision() -> None:
    """Import torchvision, defining its missing operators when that is what stops it.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: it fails for another reason.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Failed to load image Python extension": not used here
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::nms" not in str(error):
                raise
            _forget_torchvision()
            _define_missing()
            importlib.import_module("torchvision")


def _define_missing() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # as below
    for schema in _SCHEMAS:
        name = schema.partition("(")[0]
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    _libraries.append(library)


def _forget_torchvision() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
