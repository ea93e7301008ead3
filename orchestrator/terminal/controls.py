"""What the keys of the live display mean: keys in, requests to the run out.

A plain state machine: `press` takes one key and what is on the screen, and returns what the run is
asked to do, if anything. Two keys need a second one: `x` asks which picture to ban, `g` which
generator to swap to. Any other key than those offered leaves such a question. The run takes
requests up between two generations; each that changes what is bred is written to its journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.terminal.snapshot import Snapshot

Action = Literal["pause", "save", "finish", "favourite", "ban", "swap"]

HELP = (
    "keys",
    "p      pause, and go on",
    "s      save the population, the best picture and the grid now",
    "1 - 9  favourite: keep this picture, and breed from it as from the best",
    "x      ban: then 1 - 9, a picture that is not to be bred from again",
    "g      swap the generator of this run",
    "q      finish this generation, save and exit (as Ctrl-C)",
    "?      this help",
)


@dataclass(frozen=True)
class Request:
    """What the user asks of the run.

    Attributes:
        action: what to do.
        genome: which picture, by the bytes of its genome; for favourite and ban.
        model: which generator, by name, path or endpoint; for swap.
    """

    action: Action
    genome: bytes = b""
    model: str = ""


@dataclass(frozen=True)
class Offer:
    """One generator to swap to: what to ask for, and a line about it."""

    model: str
    about: str


class Controls:
    """Turns keys into requests.

    Args:
        offers: says which generators there are; may take a second.

    Attributes:
        question: what the next key answers; empty when it is free.
        panel: a title and lines to show over the curves: the help or the menu; empty for none.
    """

    def __init__(self, offers: Callable[[], Sequence[Offer]]) -> None:
        self.question = ""
        self.panel: tuple[str, ...] = ()
        self._offers = offers
        self._choices: list[Request] = []

    def press(self, key: str, snapshot: Snapshot) -> Request | None:
        """What this key asks for, given what is on the screen."""
        asked, choices = self.question, self._choices
        helped = bool(self.panel) and not asked
        self.question, self.panel, self._choices = "", (), []
        if asked:
            return choices[int(key) - 1] if key in _digits(len(choices)) else None
        if key == "?":
            self.panel = () if helped else HELP
        elif key == "x":
            self._ask("ban which picture?", _pictures("ban", snapshot))
        elif key == "g":
            self._menu()
        elif key in _digits(len(snapshot.genomes)):
            return Request("favourite", genome=snapshot.genomes[int(key) - 1])
        elif key in {"p", "s", "q"}:
            actions: dict[str, Action] = {"p": "pause", "s": "save", "q": "finish"}
            return Request(actions[key])
        return None

    def _menu(self) -> None:
        offers = list(self._offers())[:9]
        self._ask("swap to which generator?", [Request("swap", model=one.model) for one in offers])
        width = max((len(one.model) for one in offers), default=0)
        lines = [f"{n}  {one.model:{width}}  {one.about}" for n, one in enumerate(offers, 1)]
        nobody = ["no generator is running or installed besides this run's own"]
        self.panel = ("generators", *(lines or nobody))

    def _ask(self, question: str, choices: list[Request]) -> None:
        if choices:
            self.question = f"{question} 1 - {len(choices)}, any other key: none"
            self._choices = choices


def _pictures(action: Action, snapshot: Snapshot) -> list[Request]:
    return [Request(action, genome=genome) for genome in snapshot.genomes[:9]]


def _digits(count: int) -> str | tuple[()]:
    """The keys `1` to `9` that mean something where there are `count` choices."""
    return "123456789"[:count] or ()
