"""One search from its prompt to its pictures.

    start services -> greet them -> embed the prompt -> ask, evaluate, tell, show, keep -> save

Whatever ends a run early (a signal, a lost service, a full disk), what was grown so far is kept in
its folder where that is possible, and no service of its own is left behind.
"""

import contextlib
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from orchestrator.evaluation.evaluator import Ensemble, Evaluator, Images, embed_text
from orchestrator.fleet.assemble import Member, assemble, start_members
from orchestrator.fleet.launcher import LocalLauncher
from orchestrator.gallery import Gallery, Individual, diversity
from orchestrator.interrupts import Interrupts, StoppedError
from orchestrator.runs import RunFolder, Status
from orchestrator.search import Algorithm, check_choice, knee_and_extremes, make_algorithm
from orchestrator.settings import RunSettings
from orchestrator.terminal import Display, Snapshot
from protocol.client import Client
from protocol.errors import BadRequestError, ConfigError, GlasshouseError, StorageError
from protocol.latent import LatentSpace
from protocol.messages import GeneratorInfo

THUMBNAILS = 16


class Run:
    """Grows one prompt.

    Args:
        settings: what to do.
        display: where to show it.
        interrupts: told to stop or not.

    Attributes:
        folder: where everything is kept.
        best: the pictures to offer at the end, best first; empty before the first generation.
    """

    def __init__(self, settings: RunSettings, display: Display, interrupts: Interrupts) -> None:
        settings.check()
        info = check_choice(
            settings.algorithm,
            population=settings.population,
            seed=settings.seed,
            parameters=settings.parameters,
        )
        self._objectives = 2 if info.objectives == "several" else 1
        if self._objectives == 2 and settings.discriminator == "none":
            raise ConfigError(
                f"{info.name} trades similarity against realism and needs a discriminator; "
                "name one with --discriminator, or choose another --algorithm"
            )
        self._settings = settings
        self._display = display
        self._interrupts = interrupts
        self.folder = RunFolder.create(settings.runs, settings.prompt)
        self._members: list[Member] = []
        self._gallery = Gallery()
        self.best: list[Individual] = []
        self._space = settings.space
        self._snapshot = Snapshot(
            target=settings.prompt,
            generator=settings.generator,
            algorithm=settings.algorithm,
            seed=settings.seed,
            population=settings.population,
            folder=str(self.folder.path),
            generations=settings.generations,
            second_name="realism",
        )

    def grow(self) -> int:
        """Run the search; returns the exit code, 0 or that of the signal that ended it.

        Raises:
            GlasshouseError: why there is nothing more to show; the folder says so too.
            KeyboardInterrupt: a second Ctrl-C; services are killed.
        """
        status: Status = "failed"
        code = 1
        self._display.start()
        try:
            with LocalLauncher(self.folder.logs) as launcher, Client() as client:
                self._search(launcher, client)
            status, code = ("stopped" if self._interrupts.stop else "done"), self._exit_code()
        except StoppedError:
            status, code = "stopped", self._exit_code()
        except KeyboardInterrupt:
            status, code = "stopped", 130
            raise
        except GlasshouseError as error:
            code = error.exit_code
            raise
        finally:
            self._display.stop()
            with contextlib.suppress(StorageError):  # the error that matters is on its way already
                self.folder.finish(status, code)
        return code

    def _exit_code(self) -> int:
        return self._interrupts.exit_code if self._interrupts.stop else 0

    def _search(self, launcher: LocalLauncher, client: Client) -> None:
        self.folder.write_settings(self._recorded())
        self._began = time.monotonic()
        self._members = start_members(self._settings, launcher)
        ensemble = assemble(self._members, launcher, client, self._waiting)
        space = find_space(ensemble, self._settings.space)
        algorithm = make_algorithm(
            self._settings.algorithm,
            space,
            population=self._settings.population,
            objectives=self._objectives,
            seed=self._settings.seed,
            parameters=self._settings.parameters,
        )
        target = embed_text(client, ensemble.clip, self._settings.prompt)
        self._space = space.name
        evaluator = Evaluator(client, ensemble, target, space.name, self._settings.truncation_psi)
        self.folder.write_settings(self._recorded(), self._services())
        self._began = time.monotonic()
        try:
            self._generations(algorithm, evaluator)
        finally:
            self._save_end(algorithm)

    def _waiting(self) -> None:
        self._interrupts.check()
        self._show(elapsed_s=time.monotonic() - self._began)

    def _generations(self, algorithm: Algorithm, evaluator: Evaluator) -> None:
        for generation in range(1, self._settings.generations + 1):
            self._interrupts.check()
            genomes = algorithm.ask()
            evaluation = evaluator.evaluate(genomes)
            algorithm.tell(evaluation.objectives(algorithm.settings.objectives))
            self._gallery.add(genomes, evaluation, generation)
            population = self._gallery.keep(algorithm.population.genomes)
            self.best = self._ranked(algorithm, [*self.best[:1], *population])
            self._report(generation, algorithm, population)
            self._keep(generation, population)

    def _ranked(self, algorithm: Algorithm, individuals: list[Individual]) -> list[Individual]:
        """Best first: by similarity, or with two objectives the knee before the rest."""
        ranked = sorted(individuals, key=lambda individual: -individual.similarity)
        if algorithm.settings.objectives == 1:
            return ranked
        population = self._gallery.keep(algorithm.population.genomes)
        knee = population[knee_and_extremes(algorithm.population.objectives).knee]
        return [knee, *(one for one in ranked if one is not knee)]

    def _report(self, generation: int, algorithm: Algorithm, population: list[Individual]) -> None:
        shown = sorted(population, key=lambda individual: -individual.similarity)
        similarity = [individual.similarity for individual in shown]
        realism = [one.realism for one in shown if one.realism is not None]
        spread = diversity(population)
        before = self._snapshot
        self._show(
            phase="searching",
            generation=generation,
            evaluations=algorithm.evaluations,
            elapsed_s=time.monotonic() - self._began,
            best=(*before.best, similarity[0]),
            mean=(*before.mean, float(np.mean(similarity))),
            second=(*before.second, float(np.mean(realism))) if realism else (),
            diversity=spread,
            first_diversity=before.first_diversity or spread,
            thumbnails=np.stack([one.image for one in shown[:THUMBNAILS]]),
            scores=tuple(similarity[:THUMBNAILS]),
        )
        self.folder.append_event(self._snapshot.event())

    def _show(self, **changes: object) -> None:
        services = tuple(member.status() for member in self._members)
        self._snapshot = replace(self._snapshot, services=services, **changes)  # type: ignore[arg-type] # its own fields
        self._display.update(self._snapshot)

    def _keep(self, generation: int, population: list[Individual]) -> None:
        keep = generation == 1 or generation % self._settings.save_every == 0
        self.folder.save_grid(sorted_images(population), generation, keep=keep)
        if keep:
            self._save_best()

    def _save_end(self, algorithm: Algorithm) -> None:
        """The last population, the best picture, and with two objectives the front's ends."""
        if not self.best:
            return
        self._show(phase="saving")
        survivors = algorithm.population
        population = self._gallery.keep(survivors.genomes)
        generation = self._snapshot.generation
        self.folder.save_grid(sorted_images(population), generation, keep=True)
        self.folder.save_population(generation, survivors.genomes, survivors.objectives)
        self._save_best()
        if algorithm.settings.objectives == 2:
            self._save_front(algorithm, population)
        self._show(phase="done")

    def _save_best(self) -> None:
        self.folder.save_picture("best", self.best[0].image, self._recipe(self.best[0]))

    def _save_front(self, algorithm: Algorithm, population: list[Individual]) -> None:
        objectives = algorithm.population.objectives
        picks = knee_and_extremes(objectives)
        named = {"knee": picks.knee, "best-match": picks.first, "most-real": picks.second}
        for name, row in named.items():
            one = population[row]
            self.folder.save_picture(f"front-{name}", one.image, self._recipe(one))

    def _recipe(self, individual: Individual) -> dict[str, object]:
        """All that is needed to draw this picture again."""
        settings = self._settings
        return {
            "prompt": settings.prompt,
            "command": settings.command(),
            "seed": settings.seed,
            "algorithm": settings.algorithm,
            "parameters": dict(settings.parameters),
            "generation": individual.generation,
            "similarity": individual.similarity,
            "realism": individual.realism,
            "space": self._space,
            "truncation_psi": settings.truncation_psi,
            "models": self._services(),
            "genome": [float(gene) for gene in individual.genome],
        }

    def _services(self) -> list[dict[str, str]]:
        return [
            {"role": status.role, "model": status.model, "digest": status.digest}
            for status in (member.status() for member in self._members)
        ]

    def _recorded(self) -> dict[str, object]:
        settings = asdict(self._settings)
        return {**settings, "runs": str(self._settings.runs), "command": self._settings.command()}


def find_space(ensemble: Ensemble, name: str) -> LatentSpace:
    """The generator's latent space of that name, or its first.

    Raises:
        BadRequestError: it has none of that name.
    """
    about = ensemble.generator.info.about
    if not isinstance(about, GeneratorInfo):
        raise BadRequestError(f"{ensemble.generator.info.model} is no generator")
    spaces = {space.name: space for space in about.spaces}
    if name and name not in spaces:
        raise BadRequestError(
            f"{ensemble.generator.info.model} has no latent space '{name}'; "
            f"it has {', '.join(spaces)}"
        )
    space = spaces[name] if name else about.spaces[0]
    space.check()
    return space


def sorted_images(individuals: list[Individual]) -> Images:
    """(n, height, width, 3) uint8, most similar first."""
    ranked = sorted(individuals, key=lambda individual: -individual.similarity)
    return np.stack([individual.image for individual in ranked])


def results(folder: Path, best: list[Individual]) -> list[str]:
    """Lines that say where the pictures are."""
    if not best:
        return [f"nothing was grown; the run's folder: {folder}"]
    return [
        f"best picture  {folder / 'best.png'}  (similarity {best[0].similarity:.3f})",
        f"population    {folder / 'latest.webp'}",
        f"run folder    {folder}",
    ]
