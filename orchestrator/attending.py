"""What the user asks of a living run by keys, done between two generations.

Favourites and bans change what is bred from: they are steps of the journal, so a resumed run
repeats them. A swap goes the way that `orchestrator swap` goes, through the run's folder.
"""

import threading

from orchestrator.course import Course
from orchestrator.interrupts import Interrupts
from orchestrator.keeping import Keeper
from orchestrator.runs import RunFolder
from orchestrator.runs.swaps import Wish, ask
from orchestrator.terminal import Display
from orchestrator.terminal.controls import Request
from protocol.errors import GlasshouseError
from protocol.naming import model_key


class Attendant:
    """Does what the keys ask for.

    Args:
        display: whose keys.
        interrupts: told to finish.
        course: the search.
        keeper: keeps pictures.
        folder: of the run.

    Attributes:
        paused: whether the run is to wait.
        favourites: genomes that the user likes, by their bytes.
    """

    def __init__(
        self,
        display: Display,
        interrupts: Interrupts,
        course: Course,
        keeper: Keeper,
        folder: RunFolder,
    ) -> None:
        self.paused = False
        self.favourites: frozenset[bytes] = frozenset()
        self._display = display
        self._interrupts = interrupts
        self._course = course
        self._keeper = keeper
        self._folder = folder
        self._deeds = {
            "pause": self._pause,
            "save": self._save,
            "finish": self._finish,
            "favourite": self._favour,
            "ban": self._ban,
            "swap": self._swap,
        }

    def heed(self) -> list[str]:
        """Do all that was asked for; returns a line about each.

        Raises:
            StorageError: the journal or a picture cannot be written.
        """
        return [self._deeds[request.action](request) for request in self._display.requests()]

    def _pause(self, _: Request) -> str:
        self.paused = not self.paused
        return "paused; p goes on" if self.paused else "going on"

    def _save(self, _: Request) -> str:
        if not self._course.history.scored:
            return "there is nothing to save yet"
        self._keeper.now()
        return f"saved generation {self._course.history.generation}"

    def _finish(self, _: Request) -> str:
        self._interrupts.stop = True
        return "finishing"

    def _favour(self, request: Request) -> str:
        name = self._keeper.favourite(request.genome)
        if not name:
            return "this picture has left the population"
        self.favourites |= {request.genome}
        done = self._course.favour(request.genome)
        self._note("favourite", picture=name)
        return f"{name}: {done}"

    def _ban(self, request: Request) -> str:
        done = self._course.ban(request.genome)
        self.favourites -= {request.genome}
        self._note("ban")
        return done

    def _swap(self, request: Request) -> str:
        wish = Wish("generator", model_key(request.model))
        threading.Thread(target=self._wish, args=(wish,), name="swap", daemon=True).start()
        return f"{request.model} is coming"

    def _wish(self, wish: Wish) -> None:
        """Ask as another process would, and tell the user what came of it."""
        try:
            said = ask(self._folder, wish)
        except GlasshouseError as error:
            said = error.message
        self._display.message(said)

    def _note(self, event: str, **more: str) -> None:
        generation = self._course.history.generation
        self._folder.append_event({"event": event, "generation": generation, **more})
