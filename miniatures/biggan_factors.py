"""What each z of the bundled BigGAN stands for.

The class says thing and kind. Every other category has as many numbers of z as it has values, and
takes the value whose number is the largest; each smooth factor is one number of z, halved. What is
left of z changes nothing. For z as BigGAN draws it (a normal within -2 to 2) all values are
equally likely, and z times a truncation stands for the same categories.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from miniatures.world import CLASSES, FACE_ATTRIBUTES, VALUES, Scene, settings
from miniatures.world.scene import FACINGS

Z_DIM: Final = 128
Z_BOUND: Final = 2.0
CATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "colour": VALUES["colour"],
    "setting": VALUES["setting"],
    "time": VALUES["time"],
    "facing": FACINGS,
    "layout": tuple(str(layout) for layout in range(settings.LAYOUTS)),
    **{name: VALUES[name] for name in FACE_ATTRIBUTES},
}
SMOOTH: Final = ("size", "x", "y", "tone")
JOINT: Final = ("setting", "time", "layout")
"""Categories that together are one of so many backgrounds."""


@dataclass(frozen=True)
class Factors:
    """n scenes in numbers."""

    classes: Tensor
    """(n,) int64: index into world.CLASSES."""
    choices: Tensor
    """(n, categories) int64: index of each category's value, in the order of CATEGORIES."""
    smooth: Tensor
    """(n, smooth) float32, -1 to 1."""

    def scenes(self) -> list[Scene]:
        """What they stand for."""
        rows = zip(self.classes.tolist(), self.choices.tolist(), self.smooth.tolist(), strict=True)
        return [_scene(*row) for row in rows]

    def features(self) -> Tensor:
        """(n, features) float32: class, categories and background one-hot, smooth factors."""
        sizes = [len(values) for values in CATEGORIES.values()]
        hot = [functional.one_hot(self.classes, len(CLASSES))]
        hot += [functional.one_hot(self.choices[:, i], size) for i, size in enumerate(sizes)]
        hot.append(functional.one_hot(*self._background()))
        return torch.cat([*hot, self.smooth], dim=1)

    def _background(self) -> tuple[Tensor, int]:
        """(n,) int64 number of the background, and how many there are."""
        number, count = torch.zeros_like(self.classes), 1
        for name in JOINT:
            size = len(CATEGORIES[name])
            number = number * size + self.choices[:, list(CATEGORIES).index(name)]
            count *= size
        return number, count


def draw_z(count: int, generator: torch.Generator | None = None) -> Tensor:
    """(count, Z_DIM) float32: a standard normal within -Z_BOUND to Z_BOUND."""
    return torch.nn.init.trunc_normal_(
        torch.empty(count, Z_DIM), a=-Z_BOUND, b=Z_BOUND, generator=generator
    )


def factors_of(z: Tensor, classes: Tensor) -> Factors:
    """What (n, Z_DIM) z and (n,) int64 classes stand for."""
    choices, start = [], 0
    for values in CATEGORIES.values():
        choices.append(z[:, start : start + len(values)].argmax(dim=1))
        start += len(values)
    return Factors(classes, torch.stack(choices, dim=1), z[:, start : start + len(SMOOTH)] / 2)


def _scene(class_index: int, choices: list[int], smooth: list[float]) -> Scene:
    thing, kind = CLASSES[class_index]
    names = {
        name: values[index]
        for (name, values), index in zip(CATEGORIES.items(), choices, strict=True)
    }
    if kind != "man":
        names["beard"] = "none"
    layout = int(names.pop("layout"))
    size, x, y, tone = smooth
    return Scene(thing=thing, kind=kind, layout=layout, size=size, x=x, y=y, tone=tone, **names)
