"""The figures of the bundled models, measured on what they have never seen.

Each figure is a function of the models that it needs; a model that is missing is said to be.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from miniatures.classifier_training import DOMAINS as CLASSIFIED
from miniatures.classifiers import OBJECT, classifier_path
from miniatures.domains import DOMAINS
from miniatures.evaluation.captions import caption_figures
from miniatures.evaluation.classifiers import classifier_figures
from miniatures.evaluation.clips import clip_figures
from miniatures.evaluation.discriminators import discriminator_figures
from miniatures.evaluation.generators import biggan_figures, generator_figures
from miniatures.evaluation.goals import Row
from miniatures.evaluation.speed import clip_speed, generator_speed
from services.models.attribute_classifier import load_classifier
from services.models.clip import load_clip

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Section:
    """Some figures of one model."""

    model: str
    others: tuple[str, ...]
    """Models that are needed besides."""
    measure: Callable[[Path], Figures]
    """From the folder of the weights."""

    def missing(self, weights: Path) -> list[str]:
        """Files that it needs and that are not there."""
        names = (f"{model}.safetensors" for model in (self.model, *self.others))
        return [name for name in names if not (weights / name).is_file()]


def _clip(model: str) -> list[Section]:
    def path(weights: Path) -> Path:
        return weights / f"{model}.safetensors"

    return [
        Section(model, (), lambda weights: clip_figures(load_clip(path(weights)))),
        Section(model, (), lambda weights: clip_speed(path(weights))),
    ]


def _classifier(domain: str) -> Section:
    def measure(weights: Path) -> Figures:
        return classifier_figures(load_classifier(classifier_path(domain, weights)), domain)

    return Section(classifier_path(domain).stem, (), measure)


def _generator(thing: str) -> list[Section]:
    model = f"mini-{thing}"
    judges = (classifier_path(thing).stem, classifier_path(OBJECT).stem)
    return [
        Section(model, judges, partial(generator_figures, thing=thing)),
        Section(model, (), lambda weights: generator_speed(weights / f"{model}.safetensors")),
        Section(f"{model}-discriminator", (model,), partial(discriminator_figures, thing=thing)),
    ]


SECTIONS: Final = (
    *_clip("mini-clip"),
    *_clip("mini-judge-clip"),
    *(_classifier(domain) for domain in CLASSIFIED),
    *(section for thing in DOMAINS for section in _generator(thing)),
    Section("mini-biggan", (classifier_path(OBJECT).stem,), biggan_figures),
    Section(
        "mini-captions", (), lambda weights: caption_figures(weights / "mini-captions.safetensors")
    ),
)


def all_figures(weights: Path, wanted: str = "") -> Iterator[Row]:
    """Model, figure and value of all that can be measured with the models in a folder.

    Args:
        weights: the folder.
        wanted: only models whose names contain this.

    Yields:
        Row by row as they are measured; for a section whose models are not all there, one row that
        names the missing files, without a value.
    """
    for section in SECTIONS:
        if wanted not in section.model:
            continue
        if missing := section.missing(weights):
            yield section.model, f"not measured: {', '.join(missing)} missing", None
            continue
        for figure, value in section.measure(weights).items():
            yield section.model, figure, value
