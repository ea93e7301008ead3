"""The search from Python, without the terminal: `from orchestrator import Search, connect`.

    with connect(generator="mini-car", clip="mini-clip") as ensemble:
        search = Search("a yellow car in the city", ensemble, population=32, seed=5)
        for _ in range(60):
            genomes = search.ask()  # (population, size) float32
            found = search.evaluate(genomes)  # pictures, embeddings, similarity, realism
            search.tell(found)
        print(search.best.score.similarity, search.baseline())

or `search.run(generations=60, callback=show, callbacks_each=10)`. What a search may be told is what
`orchestrator run` may (`RunSettings`), and the same settings and seed ask for the same genomes. No
folder, no journal and no display: who wants those runs the command. Not for several threads.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from orchestrator.baseline import Baseline
from orchestrator.evaluation.evaluator import Evaluation
from orchestrator.evaluation.setup import set_up
from orchestrator.fleet.assemble import Finder, assemble
from orchestrator.fleet.launcher import LocalLauncher
from orchestrator.gallery import Gallery, Individual
from orchestrator.keeping import ranked
from orchestrator.run import plan_of
from orchestrator.runs.history import History
from orchestrator.search import Genomes
from orchestrator.settings import RunSettings
from protocol.client import Client
from protocol.errors import BadRequestError, ConfigError

NAMED = ("generator", "clip", "discriminator", "scorer", "device", "threads", "own")


class Connection:
    """The services of one generator and one CLIP; `connect` makes it, and closing it ends them.

    Attributes:
        settings: which services they are.
        client: speaks to them.
        ensemble: the services.
    """

    def __init__(self, settings: RunSettings) -> None:
        logs = Path(tempfile.mkdtemp(prefix="glasshouse-logs-"))
        with ExitStack() as failing:  # what they said stays where they cannot start
            launcher = failing.enter_context(LocalLauncher(logs))
            self.client = failing.enter_context(Client())
            roles = Finder(launcher, self.client, settings).find_all()
            self.ensemble = assemble(roles, lambda: None)
            self._open = failing.pop_all()
        self._open.callback(shutil.rmtree, logs, ignore_errors=True)
        self.settings = settings

    def close(self) -> None:
        """End the conversations, and the services that were started for them."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


def connect(  # one parameter an option of the command
    generator: str = "mini-car",
    clip: str = "mini-clip",
    discriminator: str = "none",
    scorer: str = "none",
    *,
    device: str = "cpu",
    threads: int = 0,
    own: bool = False,
) -> Connection:
    """Living services of these models, or ones that are started; waits until all are ready.

    Args:
        generator: a model's name, a .safetensors file, or endpoints; as `orchestrator run` has it.
        clip: the same.
        discriminator: the same; "none" to leave realism out.
        scorer: endpoints of your own judge; "none" to leave it out.
        device: where services that are started compute.
        threads: CPU threads of each of them; 0 for a fair share.
        own: start services even where living ones could be shared.

    Raises:
        GlasshouseError: one of them cannot start or be reached, in the sentence that says why.
    """
    return Connection(
        RunSettings(
            "-",
            generator,
            clip,
            discriminator,
            scorer=scorer,
            device=device,
            threads=threads,
            own=own,
        )
    )


class Search:
    """One search over the services of a connection.

    Args:
        target: what the pictures should show; several prompts with weights are joined by " | ".
        ensemble: the services.
        settings: any other field of `RunSettings`: algorithm, parameters, population, space, seed,
            weights, likes, ...

    Attributes:
        settings: all of them.

    Raises:
        GlasshouseError: settings that cannot be grown, or services that do not fit together.
    """

    def __init__(self, target: str, ensemble: Connection, **settings: Any) -> None:
        self.settings = _settings(target, ensemble.settings, settings)
        self._history = History(plan_of(self.settings))
        self._setup = set_up(ensemble.client, ensemble.ensemble, self.settings)
        self._history.begin(self._setup.conditions)
        self._gallery = Gallery()
        self._asked: Genomes | None = None

    def ask(self) -> Genomes:
        """The next batch, (population, size) float32.

        Raises:
            BadRequestError: the last one was not told yet.
        """
        self._asked = self._history.algorithm.ask()
        return self._asked.copy()

    def evaluate(self, genomes: Genomes) -> Evaluation:
        """Draw and judge any genomes, (n, size) float32; what is known is not asked about again.

        Raises:
            GlasshouseError: a service refuses, or none of a role is left.
        """
        return self._gallery.evaluated(genomes, self._history, self._setup.evaluate)

    def tell(self, evaluation: Evaluation) -> None:
        """Learn from the batch that was asked for, row for row.

        Raises:
            BadRequestError: nothing was asked for, or another number of rows.
        """
        asked, history = self._asked, self._history
        if asked is None:
            raise BadRequestError("this search was told without an ask; ask and evaluate first")
        if len(evaluation.similarity) != len(asked):
            raise BadRequestError(
                f"wanted an evaluation of the {len(asked)} genomes that were asked for, "
                f"but it is of {len(evaluation.similarity)}"
            )
        number, objectives = history.generation + 1, history.plan.objectives
        survivors = self._gallery.individuals(list(history.survivors), history)
        step = self._setup.step("generation", number, asked, evaluation, objectives, survivors)
        self._asked = None
        history.take(step)
        self._gallery.add(asked, evaluation)
        self._gallery.keep([history.champion, *history.survivors])

    def run(
        self,
        generations: int,
        callback: Callable[["Search"], object] | None = None,
        callbacks_each: int = 1,
    ) -> Individual:
        """So many generations more; returns the best of all.

        Args:
            generations: how many.
            callback: called with this search after every `callbacks_each` of them, and the last.
            callbacks_each: generations between two calls.

        Raises:
            ConfigError: fewer than one.
            GlasshouseError: a service is lost or refuses.
        """
        if generations < 1 or callbacks_each < 1:
            raise ConfigError(
                f"generations and callbacks_each are 1 or more, but got {generations} "
                f"and {callbacks_each}"
            )
        for done in range(1, generations + 1):
            self.tell(self.evaluate(self.ask()))
            if callback is not None and (done % callbacks_each == 0 or done == generations):
                callback(self)
        return self.best

    @property
    def generation(self) -> int:
        """How many were told."""
        return self._history.generation

    @property
    def best(self) -> Individual:
        """The best of all so far: genome, image, embedding, score.

        Raises:
            BadRequestError: before the first generation.
        """
        return self._known([self._history.champion] if self._history.scored else [])[0]

    @property
    def population(self) -> list[Individual]:
        """The survivors, most similar first.

        Raises:
            BadRequestError: before the first generation.
        """
        return ranked(self._known(list(self._history.survivors)))

    @property
    def curves(self) -> Mapping[str, np.ndarray]:
        """Best and mean similarity of each generation's survivors, (generations,) float64."""
        return {"best": np.array(self._history.best), "mean": np.array(self._history.mean)}

    def baseline(self) -> Baseline:
        """How 512 random latents score; `over` tells a similarity in deviations over them.

        Raises:
            GlasshouseError: a service is lost or refuses.
        """
        while (found := self._setup.chance.measure(self.settings.population)) is None:
            pass
        return found

    def _known(self, genomes: list[Genomes]) -> list[Individual]:
        if not genomes:
            raise BadRequestError("nothing was grown yet; ask, evaluate and tell first, or run")
        return self._gallery.individuals(genomes, self._history)


def _settings(target: str, models: RunSettings, changes: Mapping[str, Any]) -> RunSettings:
    """The settings of a search over services that are there.

    Raises:
        ConfigError: what is none of its fields, or said elsewhere, or of runs alone.
    """
    elsewhere = dict.fromkeys(NAMED, "connect names it") | {
        "prompt": "it is the first argument",
        "generations": "run takes it",
        **dict.fromkeys(("refine", "runs", "save_every"), "the command has it: orchestrator run"),
    }
    allowed = RunSettings.__dataclass_fields__.keys() - elsewhere
    for name in changes.keys() - allowed:
        where = elsewhere.get(name, f"known: {', '.join(sorted(allowed))}")
        raise ConfigError(f"a search has no setting '{name}'; {where}")
    changes = {
        **changes,
        "parameters": {k: str(v) for k, v in changes.get("parameters", {}).items()},
    }
    return replace(models, prompt=target, **changes)
