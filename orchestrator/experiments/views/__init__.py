"""Every table and figure by name; each is made from the results alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.experiments.views.anytime import anytime, reaching
from orchestrator.experiments.views.captions import captions
from orchestrator.experiments.views.comparison import comparison
from orchestrator.experiments.views.confusion import confusion
from orchestrator.experiments.views.convergence import convergence
from orchestrator.experiments.views.fronts import fronts
from orchestrator.experiments.views.leaks import leaks
from orchestrator.experiments.views.matrix import matrix
from orchestrator.experiments.views.range import spread
from orchestrator.experiments.views.sheets import best, sheets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.experiments.material import View

VIEWS: Final[Mapping[str, View]] = {
    "anytime": anytime,
    "best": best,
    "captions": captions,
    "comparison": comparison,
    "confusion": confusion,
    "convergence": convergence,
    "fronts": fronts,
    "leaks": leaks,
    "matrix": matrix,
    "range": spread,
    "reaching": reaching,
    "sheets": sheets,
}
