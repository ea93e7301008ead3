"""Colour leakage: how much of a prompt's colour lies outside the thing that should have it.

The bundled generators draw what their z stands for, so the world itself says, exactly, which pixels
are the thing. Outside its mask (grown by a pixel, because edges are soft) pixels are counted whose
hue is the colour's, in the grown picture and in the world's own drawing of the same scene; what the
first has more than the second was leaked.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageFilter

from orchestrator.runs.pictures import read_pixels, read_recipe
from protocol.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

HUES: Final = {
    "red": (345, 12),
    "orange": (13, 40),
    "yellow": (41, 70),
    "green": (71, 165),
    "blue": (190, 255),
    "purple": (256, 300),
    "pink": (301, 344),
}
"""Degrees, from and to; colours without a hue (grey, say) leak nothing that could be told."""
LEAST_SATURATION, LEAST_VALUE = 0.35, 0.25
TIMEOUT_S: Final = 300


def leakage(runs: Sequence[Path], thing: str) -> list[dict[str, float]]:
    """For each run `leaked COLOUR` and `drawn COLOUR`: shares of the pixels outside, 0 to 1.

    Args:
        runs: folders of runs of the bundled generator of `thing`, in its space z.
        thing: car, church or face.

    Raises:
        BadRequestError: another space, or scenes cannot be drawn.
    """
    recipes = [read_recipe(run / "best.png") for run in runs]
    if any(recipe["space"] != "z" for recipe in recipes):
        raise BadRequestError('exact masks are of genomes in the space z; say space = "z"')
    genomes = np.array([recipe["genome"] for recipe in recipes], np.float32)
    drawn, masks = _drawings(genomes, thing)
    return [
        _shares(read_pixels(run / "best.png"), picture, mask)
        for run, picture, mask in zip(runs, drawn, masks, strict=True)
    ]


def _shares(
    grown: npt.NDArray[np.uint8], drawn: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]
) -> dict[str, float]:
    outside = ~_wider(mask)
    found = {}
    for colour in HUES:
        found[f"leaked {colour}"] = float(has_hue(grown, colour)[outside].mean())
        found[f"drawn {colour}"] = float(has_hue(drawn, colour)[outside].mean())
    return found


def has_hue(picture: npt.NDArray[np.uint8], colour: str) -> npt.NDArray[np.bool_]:
    """(h, w): whether a pixel of (h, w, 3) uint8 is of that colour, neither pale nor dark."""
    levels = np.asarray(Image.fromarray(picture).convert("HSV")).astype(np.float64)
    hue, saturation, value = levels[..., 0] * 360 / 255, levels[..., 1] / 255, levels[..., 2] / 255
    low, high = HUES[colour]
    within = (hue >= low) & (hue <= high) if low < high else (hue >= low) | (hue <= high)
    found: npt.NDArray[np.bool_] = (
        within & (saturation >= LEAST_SATURATION) & (value >= LEAST_VALUE)
    )
    return found


def _wider(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask and the pixels beside it."""
    image = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))
    return np.asarray(image) > 0


def _drawings(
    genomes: npt.NDArray[np.float32], thing: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """What the world draws for these genomes, and its masks, by `python -m miniatures scenes`."""
    with TemporaryDirectory() as folder:
        given, found = Path(folder) / "genomes.npy", Path(folder) / "scenes.npz"
        np.save(given, genomes, allow_pickle=False)
        words = [sys.executable, "-P", "-m", "miniatures", "scenes", thing, str(given), str(found)]
        try:
            subprocess.run(words, check=True, capture_output=True, timeout=TIMEOUT_S)  # noqa: S603 # ours
            with np.load(found) as scenes:
                return scenes["pictures"], scenes["masks"]
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", b"") or str(error).encode()
            last = said.decode(errors="replace").strip().splitlines()[-1:]
            raise BadRequestError(
                f"the scenes of {thing} could not be drawn again: {' '.join(last)}"
            ) from error
