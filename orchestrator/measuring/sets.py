"""Inception Score, FID, KID and LPIPS, from a process of the services: they need torch."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from orchestrator.evaluation.evaluator import Float32, Images
from orchestrator.measuring.figures import Figure
from protocol.errors import ServiceError

TIMEOUT_S = 900.0
MOST_PICTURES = 200  # whose pairs are compared


class Told(msgspec.Struct):
    """One figure as `service measure` prints it."""

    name: str
    value: float | None
    spread: float | None
    refused: str


def set_figures(
    features: Float32,
    logits: Float32,
    pictures: Sequence[Images],
    against: Float32 | None,
    *,
    by: str,
) -> list[Figure]:
    """What torchmetrics says of a set of pictures, or why it cannot say it.

    Args:
        features: (n, d) float32, by which pictures are compared.
        logits: (n, classes) float32 of one head.
        pictures: n of them; pairs are compared only where all have one size.
        against: (m, d) float32 of the other set; None where there is none.
        by: whose features they are.

    Raises:
        ServiceError: the process failed without saying why.
    """
    arrays = {"features": features, "logits": logits}
    if against is not None:
        arrays["against"] = against
    if len({picture.shape for picture in pictures}) == 1:
        arrays["pictures"] = np.stack(pictures[:MOST_PICTURES])
    names = {"Inception Score": by, "LPIPS of pairs": "AlexNet"}
    with TemporaryDirectory() as folder:
        file = Path(folder, "arrays.npz")
        np.savez(file, allow_pickle=False, **arrays)
        told, refused = _ask(file)
    if refused:
        return [Figure("Inception Score, FID, KID, LPIPS", refused=refused)]
    return [
        Figure(
            one.name,
            one.value,
            spread=one.spread,
            count=len(pictures),
            by=names.get(one.name, f"features of {by}"),
            refused=one.refused,
        )
        for one in told
    ]


def _ask(file: Path) -> tuple[list[Told], str]:
    """The figures, or the sentence that says why there are none."""
    command = [sys.executable, "-P", "-m", "services", "measure", str(file)]
    try:
        done = subprocess.run(  # noqa: S603 # our own command, no shell
            command, capture_output=True, timeout=TIMEOUT_S, check=False
        )
        if not done.returncode:
            return msgspec.json.decode(done.stdout, type=list[Told]), ""
    except (subprocess.TimeoutExpired, OSError, msgspec.MsgspecError) as error:
        raise ServiceError(f"service measure failed: {error}") from error
    lines = done.stderr.decode(errors="replace").splitlines()
    said = [line.removeprefix("service: ") for line in lines if line.startswith("service: ")]
    if not said:
        raise ServiceError(
            f"service measure ended with exit code {done.returncode}: {''.join(lines[-1:])}"
        )
    return [], said[-1]
