"""What a run would do, before anything is started: `orchestrator run --dry-run`.

It only looks: at the catalogue, at living services, at the folder of runs. What cannot be known
without trying (how long models take that never ran here, what a GPU will hold) is said to be
unknown, and not guessed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.begin import settled
from orchestrator.fleet.assemble import ROLES
from orchestrator.fleet.lasting import living
from orchestrator.fleet.launcher import ServiceSpec
from orchestrator.fleet.offers import Listed, catalogue
from orchestrator.fleet.status import look
from orchestrator.run import plan_of
from orchestrator.runs import RunFolder
from orchestrator.runs.folder import next_name
from orchestrator.runs.history import REFINED
from orchestrator.runs.listing import summaries
from orchestrator.runs.storage import nearest
from orchestrator.settings import RunSettings, endpoints
from orchestrator.terminal.snapshot import clock, printable
from protocol.client import Client
from protocol.errors import BadRequestError, StorageError, WeightsError
from protocol.messages import Role
from protocol.naming import did_you_mean, is_endpoint, split_model, weights_path

PROCESS_MB = 500
"""What a service takes besides its weights, torch above all; the small ones take 340 to 490."""
ANSWER_S = 5.0
MODELS = ("generator", "clip", "discriminator", "device")
ALIKE = (*MODELS, "caption", "population", "profile", "refine")
"""Settings that two runs must share for the pace of one to say something of the other's."""


@dataclass(frozen=True)
class PlannedService:
    """One model of a run.

    Attributes:
        role: of the service.
        model: as the settings name it.
        how: shared, started here or reached elsewhere; for people.
        missing: whether its file is not on this machine.
        weights_mb: size of its file; None where that is not known.
        memory_mb: of this machine's memory, that the run adds; None where that is not known.
    """

    role: Role
    model: str
    how: str
    missing: bool = False
    weights_mb: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True)
class Outlook:
    """What a run would do.

    Attributes:
        target: what it looks for; of several targets, how many.
        folder: where it would be kept, if no other run begins before.
        search: algorithm, population, generations and seed, for people.
        evaluations: genomes that it would evaluate.
        services: one for each model.
        memory_mb: that it would take here, at least; None where a part is not known.
        free_mb: that this machine has left now.
        seconds: that the search would take; None where that is not known.
        basis: the run that the seconds are reckoned from, or why they are not known.
    """

    target: str
    folder: str
    search: str
    evaluations: int
    services: tuple[PlannedService, ...]
    memory_mb: float | None
    free_mb: float
    seconds: float | None
    basis: str

    def check(self) -> None:
        """Refuse what could not begin.

        Raises:
            WeightsError: a model's file is missing.
        """
        missing = [one.model for one in self.services if one.missing]
        if missing:
            words = " ".join(dict.fromkeys(missing))
            raise WeightsError(
                f"not on this machine: {', '.join(dict.fromkeys(missing))}; "
                f"fetch with orchestrator models pull {words}"
            )


def outlook(settings: RunSettings, targets: Sequence[str] = ()) -> Outlook:
    """What a run of these settings would do; for `targets`, all of their runs together.

    Raises:
        GlasshouseError: it would be refused, and why; a named service does not answer.
    """
    settings = settled(settings)
    if not (place := nearest(settings.runs)).is_dir():
        raise StorageError(f"run folders cannot be made in {place}, a file; name another --runs")
    for target in targets or [settings.prompt]:
        plan_of(RunSettings(**{**vars(settings), "prompt": target}))
    found = [
        _service(role, getattr(settings, role), settings)
        for role in ROLES
        if getattr(settings, role) != "none"
    ]
    refined = (settings.refine + 1) * min(REFINED, settings.population + 1)
    each = settings.population * settings.generations + (refined if settings.refine else 0)
    memory = [one.memory_mb for one in found]
    seconds, basis = _pace(settings, each, several=bool(targets))
    return Outlook(
        target=f"{len(targets)} targets" if targets else settings.target,
        folder=str(settings.runs / next_name(settings.runs, (targets or [settings.target])[0])),
        search=f"{settings.algorithm}, population {settings.population}, "
        f"{settings.generations} generations"
        + (f", then {settings.refine} steps along the gradient" if settings.refine else ""),
        evaluations=each * max(1, len(targets)),
        services=tuple(found),
        memory_mb=None if None in memory else sum(filter(None, memory)),
        free_mb=os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6,
        seconds=seconds,
        basis=basis,
    )


def table(found: Outlook) -> str:
    """For people."""
    lines = [
        f"target        {found.target}",
        f"folder        {found.folder}",
        f"search        {found.search}",
        f"evaluations   {found.evaluations:,}",
    ]
    for one in found.services:
        size = "" if one.weights_mb is None else f", {one.weights_mb:,.0f} MB of weights"
        lines.append(f"{one.role:13} {one.model}{size}: {one.how}")
    free = f"{found.free_mb:,.0f} MB are free"
    if found.memory_mb is None:
        lines.append(f"memory        not known before every model is here; {free}")
    else:
        lines.append(f"memory        about {found.memory_mb:,.0f} MB; {free}")
    if found.seconds is None:
        lines.append(f"time          {found.basis}")
    else:
        lines.append(f"time          about {clock(found.seconds)}, {found.basis}")
    return "\n".join(map(printable, lines))


def _service(role: Role, model: str, settings: RunSettings) -> PlannedService:
    if is_endpoint(model):
        return PlannedService(role, model, _elsewhere(role, model), memory_mb=0.0)
    spec = ServiceSpec(role, model, settings.device)
    shared = [] if settings.own else living(spec)
    weights = _weights(role, model)
    if shared:
        seen = look(shared)
        names = ", ".join(f"{one.name} ({one.state})" for one in seen)
        return PlannedService(role, model, f"shares {names}", False, weights, 0.0)  # noqa: FBT003 # missing
    if weights is None:
        return PlannedService(role, model, "not on this machine", missing=True)
    on_cpu = settings.device == "cpu"
    memory = PROCESS_MB + (weights if on_cpu else 0.0)
    unknown = "" if on_cpu else ", whose own memory cannot be known before"
    how = f"started here on {settings.device}{unknown}"
    return PlannedService(role, model, how, False, weights, memory)  # noqa: FBT003 # missing


def _elsewhere(role: Role, model: str) -> str:
    """Who answers at the endpoints.

    Raises:
        GlasshouseError: nobody, or somebody else.
    """
    with Client("orchestrator run --dry-run") as client:
        services = [client.connect(one, role, timeout_s=ANSWER_S) for one in endpoints(model)]
        return "reached there: " + ", ".join(one.info.model for one in services)


def _weights(role: Role, model: str) -> float | None:
    """Megabytes of a model's file; 0 for one without a file of its own, None for a missing one.

    Raises:
        BadRequestError: the catalogue knows no such model.
    """
    if place := weights_path(model):
        if not place.is_file():
            raise BadRequestError(f"{place} is not there; name another file, or a model")
        return place.stat().st_size / 1e6
    model, _ = split_model(model)
    rows = {row.name: row for row in catalogue() if row.role == role}
    if model not in rows:
        hint = did_you_mean(model, rows)
        raise BadRequestError(f"there is no {role} model '{model}'{hint} see: orchestrator models")
    return _size(rows[model])


def _size(row: Listed) -> float | None:
    place = Path(row.place)
    if not row.here:
        return None
    return place.stat().st_size / 1e6 if place.is_file() else 0.0


def _pace(settings: RunSettings, evaluations: int, *, several: bool) -> tuple[float | None, str]:
    """Seconds by the newest run that is alike, and which one that is."""
    if several:
        return None, "not known: how much the targets slow each other was never measured here"
    wanted = settings.recorded()
    folders = summaries(settings.runs) if settings.runs.is_dir() else []
    for one in reversed(folders):
        if one.status == "damaged" or one.generator != settings.generator:
            continue
        folder = RunFolder(settings.runs / one.name)
        recorded = folder.read_run().get("settings") or {}
        told = [event for event in folder.events() if event.get("event") == "generation"]
        if not told or any(recorded.get(name) != wanted[name] for name in ALIKE):
            continue
        done, took = told[-1].get("evaluations"), told[-1].get("elapsed_s")
        if isinstance(done, int) and isinstance(took, float) and done and took:
            pace = done / took
            basis = f"at the {pace:.1f} evaluations/s of {one.name}; the start is not counted"
            return evaluations / pace, basis
    return None, f"not known: no run in {settings.runs} had these models and this population"
