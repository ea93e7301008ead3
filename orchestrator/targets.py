"""What a run looks for: prompts and pictures, each with a weight.

    "a yellow car"                          one prompt
    "a yellow car:1" "night:0.5" "snow:-0.3"  towards a car at night, away from snow
    --like photo.jpg:0.5                    towards a picture

The target is the weighted sum of the parts' embeddings, divided by the sum of the weights without
their signs: what is called similarity then is the weighted mean of a picture's cosines to the
parts, -1 to 1. With one part of weight 1 that is the cosine itself.

A weight follows the last colon of a part. After a digit a colon belongs to the text, because "a
clock at 12:30" is a prompt; write "route 66 :0.5". Within one text, parts are joined by " | ".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from protocol.errors import BadRequestError

JOINT = " | "
PART = re.compile(
    r"(?P<text>.*(?:[^\d\s]|\s)):\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*", re.DOTALL
)
GREATEST_WEIGHT = 1000.0


@dataclass(frozen=True)
class Part:
    """One thing to look for.

    Attributes:
        text: a prompt, or the path of a picture.
        weight: how much it counts; below 0 to keep away from it.
    """

    text: str
    weight: float = 1.0

    def __str__(self) -> str:
        """For people, the weight in six digits."""
        return self.text if self.weight == 1 else f"{self.text}:{self.weight:g}"

    @property
    def typed(self) -> str:
        """As it is typed: `read_part` reads the very same."""
        if self.weight == 1 and PART.fullmatch(self.text) is None:
            return self.text
        gap = " " if self.text[-1:].isdigit() else ""
        return f"{self.text}{gap}:{Decimal(repr(self.weight)).normalize():f}"


def read_part(typed: str) -> Part:
    """One prompt or path, with its weight if it has one.

    Raises:
        BadRequestError: nothing but a weight, or a weight of nought or beyond 1000.
    """
    found = PART.fullmatch(typed)
    if found is None:
        return Part(typed.strip())
    part = Part(found["text"].strip(), float(found["weight"]))
    if not part.text:
        raise BadRequestError(f"'{typed}' is a weight without a prompt; wanted such as 'night:0.5'")
    if not 0 < abs(part.weight) <= GREATEST_WEIGHT:
        raise BadRequestError(
            f"the weight of '{part.text}' must be above 0 and at most {GREATEST_WEIGHT:g}, or the "
            f"same below 0, but it is {part.weight:g}"
        )
    return part


def read_prompts(typed: str) -> tuple[Part, ...]:
    """The prompts of a target; none for an empty one.

    Raises:
        BadRequestError: a weight that cannot be used.
    """
    return tuple(read_part(part) for part in typed.split(JOINT) if part.strip())


def joined(prompts: Sequence[str]) -> str:
    """Several prompts as one text, which `read_prompts` takes apart again."""
    return JOINT.join(prompts)
