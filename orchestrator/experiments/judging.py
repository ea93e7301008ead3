"""What others say of what was grown: CLIPs that compare it with every target, and a classifier.

Pictures are judged as they were drawn, whole and without compression: the best is read from its
run, and a population that a classifier is to read is drawn again from its genomes. A cell is judged
once, and again when more is asked: every cell is compared with the targets of all, so that ranks
and mismatched pairs can be had.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.evaluation.captioner import read_picture
from orchestrator.evaluation.setup import set_up
from orchestrator.evaluation.target import embed_target
from orchestrator.experiments.collecting import last_genomes
from orchestrator.experiments.growing import CELLS, finished
from orchestrator.experiments.leaking import leakage
from orchestrator.experiments.results import ASKED, BEST, NAME, Results
from orchestrator.fleet.ensemble import Ensemble
from orchestrator.measuring.asking import classify, embed_pictures, embed_texts
from orchestrator.measuring.claims import asked_for
from orchestrator.measuring.judges import judges
from orchestrator.profiles import FIXED, find_profile
from orchestrator.runs.pictures import read_pixels
from orchestrator.settings import RunSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.evaluation.evaluator import Float32, Images
    from orchestrator.experiments.grid import Document
    from orchestrator.experiments.results import Unit
    from orchestrator.fleet.replicas import Replicas
    from orchestrator.measuring.asking import Reading
    from protocol.messages import Role

PORTION: Final = 32
"""Cells whose pictures are in memory at a time."""


@dataclass(frozen=True)
class Grown:
    """One cell that is to be judged.

    Attributes:
        unit: its results.
        settings: of its run.
        folder: of its run.
    """

    unit: Unit
    settings: RunSettings
    folder: Path


def judge(folder: Path) -> None:
    """Judge every cell that was not asked all yet that is asked now.

    Args:
        folder: of the experiment.

    Raises:
        GlasshouseError: a judge cannot be started or does not answer.
    """
    with Results(folder / NAME) as results:
        document, units = results.document, results.units()
        targets = {unit.pair[0]: read_settings(unit.settings) for unit in units}
        targets |= {text: RunSettings(text) for text in document.also if text not in targets}
        left: dict[str, list[Grown]] = {}
        for unit in [one for one in units if not one.reference]:
            found = finished(folder / CELLS / unit.cell)
            if found is not None and _lacking(results, document, unit, targets):
                one = Grown(unit, read_settings(unit.settings), found)
                left.setdefault(one.settings.clip, []).append(one)
        for clip, cells in left.items():
            wanted = _wanted(document, clip, cells)
            with judges(wanted, device=cells[0].settings.device) as services:
                bench = _Bench(results, document, services, targets)
                for start in range(0, len(cells), PORTION):
                    bench.judge(cells[start : start + PORTION])


def _lacking(results: Results, document: Document, unit: Unit, targets: Iterable[str]) -> bool:
    """Whether something that the document asks of a cell was not asked yet."""
    clips = {unit.settings["clip"], document.judge} - {""}
    seen = {row[:2] for row in results.rows("looks", unit.cell)}
    read = {row[0] for row in results.rows("readings", unit.cell)}
    reader = document.reader(unit.factors)
    return (
        not seen.issuperset(itertools.product(clips, targets))
        or bool(reader and not read)
        or bool(reader and document.populations and max(read) == BEST)
        or bool(document.leakage and not results.rows("measures", unit.cell))
    )


def _wanted(document: Document, clip: str, cells: Sequence[Grown]) -> dict[str, tuple[Role, str]]:
    """Names of services -> role and model."""
    wanted: dict[str, tuple[Role, str]] = {clip: ("clip", clip)}
    if document.judge:
        wanted[document.judge] = ("clip", document.judge)
    readers = {document.reader(one.unit.factors) for one in cells} - {""}
    wanted |= {reader: ("classifier", reader) for reader in readers}
    if document.populations:
        models = {one.settings.generator for one in cells}
        wanted |= {model: ("generator", model) for model in models}
    return wanted


@dataclass(frozen=True)
class _Bench:
    """The judges of cells that were grown with one CLIP.

    Attributes:
        results: where their opinions go.
        document: of the experiment.
        services: judges by model.
        targets: that everything is compared with, by name, with the settings of a run for each.
    """

    results: Results
    document: Document
    services: Mapping[str, Replicas]
    targets: Mapping[str, RunSettings]

    def judge(self, cells: Sequence[Grown]) -> None:
        """Judge some cells."""
        for one in cells:
            if reader := self.document.reader(one.unit.factors):
                reading = classify(self.services[reader], self._pictures(one))
                self.results.add("readings", one.unit.cell, _readings(reading, one.settings.prompt))
        if self.document.leakage:
            folders = [one.folder for one in cells]
            for one, values in zip(cells, leakage(folders, self.document.leakage), strict=True):
                self.results.add("measures", one.unit.cell, values.items())
        looks: dict[str, list[tuple[str, str, float]]] = defaultdict(list)
        for name, clip in self.services.items():
            if clip.role == "clip":
                for one, row in zip(cells, self._similarity(name, clip, cells), strict=True):
                    told = zip(self.targets, row.tolist(), strict=True)
                    looks[one.unit.cell] += [(name, *pair) for pair in told]
        for cell, rows in looks.items():
            self.results.add("looks", cell, rows)

    def _similarity(self, name: str, clip: Replicas, cells: Sequence[Grown]) -> Float32:
        """(cells, targets) cosines of pictures to prompts, or of words to pictures.

        A judge looks in its own way, the CLIP of the searches as it did in each of them; prompts
        are put into the template of the cell.
        """
        if cells[0].settings.caption:
            pictures = [read_picture(Path(target))[0] for target in self.targets]
            wanted, grown = embed_pictures(clip, pictures), [one.unit.text for one in cells]
            return embed_texts(clip, grown) @ wanted.T
        found = np.empty((len(cells), len(self.targets)), np.float32)
        own = name == cells[0].settings.clip
        alike: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, one in enumerate(cells):
            alike[one.settings.profile if own else FIXED.name, one.settings.template].append(row)
        for (profile, template), rows in alike.items():
            shown = [read_pixels(cells[row].folder / "best.png") for row in rows]
            seen = embed_pictures(clip, shown, find_profile(profile).preprocessing)
            found[rows] = seen @ self._embedded(clip, template).T
        return found

    def _embedded(self, clip: Replicas, template: str) -> Float32:
        """(targets, d) float32, as searches with this template follow them."""
        asked = [replace(one, template=template) for one in self.targets.values()]
        return np.stack([embed_target(clip, one)[0] for one in asked])

    def _pictures(self, one: Grown) -> list[Images]:
        """The best, and the last population if that is to be read too."""
        if not self.document.populations:
            return [read_pixels(one.folder / "best.png")]
        settings = one.settings
        clip = self.services[settings.clip]
        ensemble = Ensemble(self.services[settings.generator], clip)
        drawn = set_up(clip.client, ensemble, settings).evaluate(last_genomes(one.folder)).images
        return [read_pixels(one.folder / "best.png"), *drawn]


def _readings(reading: Reading, prompt: str) -> Iterator[tuple[int, str, str, float | None]]:
    """Place, attribute, value, and the share of the softmax that it has."""
    for head, index in asked_for(prompt, reading.labels).items():
        yield ASKED, head, _name(reading, head, index), None
    for head, logits in reading.logits.items():
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        for row, index in enumerate(reading.found(head)):
            yield row + BEST, head, _name(reading, head, index), float(shares[row, index])


def _name(reading: Reading, head: str, index: int) -> str:
    """The first of a class's names."""
    return reading.labels[head][index].partition(",")[0]
