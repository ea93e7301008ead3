"""What the figures of the bundled models are meant to reach."""

import re
from dataclasses import dataclass
from typing import Final

Row = tuple[str, str, float | None]
"""Model, figure and value; a remark has no value."""


@dataclass(frozen=True)
class Goal:
    """A bound for figures.

    Attributes:
        model: regular expression for the whole name of the model.
        figure: the same for the figure.
        bound: the least, or the most.
        most: whether it is the most.
    """

    model: str
    figure: str
    bound: float
    most: bool = False

    def met(self, value: float) -> bool:
        """Whether a figure reaches it."""
        return value <= self.bound if self.most else value >= self.bound


GOALS: Final = (
    Goal("mini-clip", "R@1 .*|zero-shot thing|zero-shot .* setting", 0.95),
    Goal("mini-clip", "zero-shot .* colour", 0.97),
    Goal("mini-judge-clip", "R@1 .*|zero-shot thing|zero-shot .* setting", 0.92),
    Goal("mini-judge-clip", "zero-shot .* colour", 0.94),
    Goal(".*-clip", "ms per row.*", 2, most=True),
    Goal(".*-classifier", ".* accuracy", 0.98),
    Goal("mini-.*", "samples that are a .*|samples of their class's thing", 0.95),
    Goal("mini-.*", ".* entropy, samples / drawings", 0.9),
    Goal("mini-.*", "diversity of pairs, samples / drawings", 0.8),
    Goal("mini-(car|church|face)", "ms per row.*", 6, most=True),
    Goal(".*-discriminator", "AUC drawings / (blurred|noised|pasted)", 0.9),
    Goal("mini-captions", "samples that parse as captions of the world", 0.95),
    Goal("mini-captions", "drawings whose thing and colour are named", 0.8),
    Goal("car|church|face", ".*: prompts fulfilled by the best", 0.85),
    Goal("car|church|face", ".*: by the median", 0.7),
)
"""The judge is allowed .03 less than the CLIP that is searched with. The first that fits counts."""


def goal_of(model: str, figure: str) -> Goal | None:
    """What a figure is meant to reach; None for one that only informs."""
    fits = (
        goal
        for goal in GOALS
        if re.fullmatch(goal.model, model) and re.fullmatch(goal.figure, figure)
    )
    return next(fits, None)


def wanted(model: str, figure: str, value: float) -> str:
    """For people: `>= 0.95`, and whether it is reached; empty where nothing is wanted."""
    goal = goal_of(model, figure)
    if goal is None:
        return ""
    bound = f"{'<=' if goal.most else '>='} {goal.bound:g}"
    return bound if goal.met(value) else f"{bound}, not reached"
