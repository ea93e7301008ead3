"""The domains: what each bundled StyleGAN2 draws, and by which factors.

A domain is one thing of the world. Its categories are attributes that z decides evenly, each value
as often as any other; its smooth factors are numbers from -1 to 1. Everything that is generic over
cars, churches and faces asks the domain and knows none of them.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

from miniatures.world import FACE_ATTRIBUTES, KINDS, VALUES, Scene
from miniatures.world.scene import FACINGS

SMOOTH: Final = ("size", "x", "y", "tone")
OUTDOORS: Final = ("city", "road", "snow", "grass", "sea", "woods", "street")


@dataclass(frozen=True)
class Domain:
    """One thing of the world, as a generator of it sees it."""

    thing: str
    categories: dict[str, tuple[str, ...]]
    """Factor -> its values; every one a field of Scene."""
    joint: tuple[tuple[str, ...], ...]
    """Groups of categories of which a renderer is also told the combination."""

    @property
    def smooth(self) -> tuple[str, ...]:
        """The smooth factors, in order."""
        return SMOOTH

    @property
    def size(self) -> int:
        """How many features: one-hot categories and the smooth factors."""
        return sum(len(values) for values in self.categories.values()) + len(SMOOTH)

    @property
    def joint_size(self) -> int:
        """How many one-hots the joint groups have."""
        return sum(math.prod(len(self.categories[name]) for name in group) for group in self.joint)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The categories that captions speak of."""
        return tuple(name for name in self.categories if name in VALUES)

    def scene(self, choices: list[int], smooth: list[float]) -> Scene:
        """The scene of these positions in the categories and these smooth factors.

        A beard that the kind cannot have is left out.
        """
        fields: dict[str, Any] = {
            name: values[index]
            for (name, values), index in zip(self.categories.items(), choices, strict=True)
        }
        fields["layout"] = int(fields["layout"])
        if fields["kind"] != "man":
            fields.pop("beard", None)
        fields.update(zip(SMOOTH, smooth, strict=True))
        return Scene(thing=self.thing, **fields)


def _layouts(count: int) -> tuple[str, ...]:
    return tuple(str(layout) for layout in range(count))


def _surroundings(settings: tuple[str, ...], layouts: int) -> dict[str, tuple[str, ...]]:
    return {"setting": settings, "time": VALUES["time"], "layout": _layouts(layouts)}


BACKGROUND: Final = ("setting", "time", "layout")
_CAR: Final = _surroundings((*OUTDOORS, "intersection", "mountains", "moon"), 4)
_CHURCH: Final = _surroundings(VALUES["setting"], 2)
_FACE: Final = _surroundings((*OUTDOORS, "mountains", "moon", "wall"), 2)

DOMAINS: Final[dict[str, Domain]] = {
    "car": Domain(
        "car",
        {
            "kind": KINDS["car"],
            "colour": VALUES["colour"],
            "setting": _CAR["setting"],
            "time": _CAR["time"],
            "facing": FACINGS,
            "layout": _CAR["layout"],
        },
        (BACKGROUND, ("kind", "facing")),
    ),
    "church": Domain(
        "church",
        {
            "kind": KINDS["church"],
            "colour": VALUES["colour"],
            **_CHURCH,
            "facing": FACINGS,
        },
        (BACKGROUND, ("kind", "facing")),
    ),
    "face": Domain(
        "face",
        {
            "kind": KINDS["face"],
            "colour": VALUES["colour"],
            **_FACE,
            **{name: VALUES[name] for name in FACE_ATTRIBUTES},
        },
        (BACKGROUND, ("kind", "hair"), ("kind", "beard")),
    ),
}
"""Thing -> its domain."""
