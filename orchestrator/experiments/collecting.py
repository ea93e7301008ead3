"""From a run's folder to its rows of the results.

Scores are the journal's; time and diversity are what the run told of each generation. Seconds are
of the search alone, over all its sittings, on a machine that it may have shared.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zipfile import BadZipFile

import msgspec
import numpy as np
from PIL import Image

from orchestrator.captions import JSON
from orchestrator.experiments.results import Collected
from orchestrator.runs import RunFolder
from orchestrator.runs.history import GROWING
from orchestrator.runs.journal import NAME, Journal
from orchestrator.runs.pictures import read_recipe
from orchestrator.runs.storage import storing
from protocol.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from orchestrator.evaluation.evaluator import Float32
    from orchestrator.runs.journal import Step

MOST_SIDE: Final = 256
"""Pixels along the longer side of a picture that results keep."""


def collect(folder: Path, *, every_genome: bool, sheets: Collection[int]) -> Collected:
    """What the run in `folder` came to.

    Args:
        folder: of a run that is done.
        every_genome: keep the scores of all genomes and not of the last population alone.
        sheets: generations whose grids are kept.

    Raises:
        GlasshouseError: it is no run, or damaged.
    """
    told = {event["generation"]: event for event in RunFolder.open(folder).events()
            if event.get("event") == "generation"}  # fmt: skip
    with Journal.open(folder / NAME) as journal:
        steps = [step for step in journal.steps() if step.kind in GROWING]
    if not steps:
        raise StorageError(f"{folder} says that it is done, but its journal is empty; delete it")
    generations = list(_generations(steps, told))
    known = {key: row for step in steps for key, row in _rows(step)}
    last = (
        list(known.values())
        if every_genome
        else [known[genome.tobytes()] for genome in last_genomes(folder)]
    )
    last.sort(key=lambda row: -row[0])
    offered = max(last, key=lambda row: row[0])
    if (folder / "best.png").is_file():
        recipe = read_recipe(folder / "best.png")
        offered = recipe["similarity"], recipe["realism"]
    return Collected(
        folder=f"{folder.parent.name}/{folder.name}",
        evaluations=sum(len(step.genomes) for step in steps),
        seconds=generations[-1][2],
        similarity=offered[0],
        realism=offered[1],
        text=_caption(folder),
        generations=generations,
        population=[(place, *row) for place, row in enumerate(last)],
        pictures=list(_pictures(folder, sheets)),
    )


def _rows(step: Step) -> Iterator[tuple[bytes, tuple[float, float | None]]]:
    """Each genome's bytes, and its similarity and realism."""
    realism = [None] * len(step.genomes) if step.realism is None else step.realism.tolist()
    scores = zip(step.similarity.tolist(), realism, strict=True)
    return zip((genome.tobytes() for genome in step.genomes), scores, strict=True)


def _generations(
    steps: list[Step], told: Mapping[int, Mapping[str, Any]]
) -> Iterator[tuple[Any, ...]]:
    """Generation, evaluations, seconds and best so far, then mean and diversity of survivors."""
    evaluations, best, before, clock = 0, -np.inf, 0.0, 0.0
    for step in steps:
        event = told.get(step.generation, {})
        now = float(event.get("elapsed_s") or clock)
        if now < clock:  # another sitting, which counts from nothing again
            before += clock
        clock = now
        evaluations += len(step.genomes)
        best = max(best, float(step.similarity.max()))
        mean, diversity = event.get("mean"), event.get("diversity")
        yield step.generation, evaluations, before + clock, best, mean, diversity


def last_genomes(folder: Path) -> Float32:
    """(n, size) float32, the last population of the run in `folder`, as it was saved.

    Raises:
        StorageError: it cannot be read.
    """
    path = max((folder / "populations").glob("*.npz"), default=folder / "populations")
    try:
        with storing("read a population", path):
            content = io.BytesIO(path.read_bytes())
        with np.load(content) as population:
            genomes: Float32 = population["genomes"].astype(np.float32)
            return genomes
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise StorageError(
            f"{path} is damaged ({error}); delete the run and grow it again"
        ) from error


def _caption(folder: Path) -> str | None:
    path = folder / JSON
    if not path.is_file():
        return None
    with storing("read captions", path):
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    return str(found["captions"][0]["text"])


def _pictures(folder: Path, sheets: Collection[int]) -> Iterator[tuple[str, int, bytes]]:
    """The best picture, the picks of a front, the last population, and the grids asked for.

    Where captions were grown, the picture that they are of.
    """
    captioned = RunFolder.open(folder).read_run()["settings"].get("caption")
    if captioned and Path(captioned).is_file():
        yield "captioned", 0, _small(Path(captioned))
    for path in sorted(folder.glob("*.png")):
        yield path.stem, 0, _small(path)
    latest = folder / "latest.webp"
    if latest.is_file():
        with storing("read a picture", latest):
            yield "population", 0, latest.read_bytes()
    for number in sorted(sheets):
        path = folder / "grids" / f"{number:06d}.webp"
        if path.is_file():
            with storing("read a picture", path):
                yield "sheet", number, path.read_bytes()


def _small(path: Path) -> bytes:
    """A picture as PNG, no longer than MOST_SIDE; without its recipe, which its run keeps."""
    with storing("read a picture", path), Image.open(path) as image:
        small = image.convert("RGB")
        small.thumbnail((MOST_SIDE, MOST_SIDE))
        file = io.BytesIO()
        small.save(file, "PNG")
    return file.getvalue()
