"""`orchestrator evaluate`: what judges say of any pictures, as one table.

Figures are of pictures, whoever made them. Those of a run come from one search and are alike, so
they are one sample and get no intervals; those of a folder, or random ones, are independent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from msgspec import UNSET

from orchestrator.evaluation.evaluator import Float32, Images
from orchestrator.evaluation.target import embed_target
from orchestrator.fleet.offers import catalogue
from orchestrator.fleet.replicas import Replicas
from orchestrator.measuring.asking import Reading, classify, draw, embed_pictures, embed_texts
from orchestrator.measuring.claims import asked_for
from orchestrator.measuring.figures import (
    Figure,
    mean,
    retrieval_ranks,
    share,
    vendi_score,
)
from orchestrator.measuring.judges import judges
from orchestrator.measuring.sets import Described, set_figures
from orchestrator.measuring.subjects import Subject, read_subject
from orchestrator.profiles import find_profile
from orchestrator.runs.storage import storing
from orchestrator.search import sample
from orchestrator.settings import RunSettings
from orchestrator.targets import read_prompts
from protocol.errors import BadRequestError
from protocol.messages import GeneratorInfo, Preprocessing, Role

DISTRACTORS = 99
DEFAULT_CLASSIFIER = "mini-object-classifier"
DEFAULT_CLIP = "mini-clip"
DEFAULT_JUDGE = "mini-judge-clip"
NONE = "none"
MOST_SHOWN = 3


@dataclass(frozen=True)
class Question:
    """What to measure, and by whom.

    Attributes:
        path: a folder of pictures, a run, or a generator's name or endpoint.
        prompt: what they should show; a run's own where this is empty.
        clip: the CLIP that the search used, or might have; a run's own where this is empty.
        judge: another CLIP that no search saw, "none" to leave it out. Where this is empty, that of
            the drawn world if `clip` is of the drawn world, and none otherwise.
        classifiers: models; the first one's features describe pictures. Where there are none, the
            one of the drawn world and the generator's own.
        against: pictures to compare the whole set with.
        distractors: a file of prompts, one a line; the built-in ones without.
        random: so many random genomes are drawn: those that a generator is measured by, or by whose
            deviations the scores of a run are reckoned.
        device: where services that have to be started compute.
    """

    path: Path | str
    prompt: str = ""
    clip: str = ""
    judge: str = ""
    classifiers: tuple[str, ...] = ()
    against: Path | None = None
    distractors: Path | None = None
    random: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Shown:
    """What one head of a classifier sees in the pictures.

    Attributes:
        by: the classifier.
        head: its question.
        asked: the class that the prompt asks for; empty where it leaves that open.
        shares: class -> share of the pictures, the commonest first.
    """

    by: str
    head: str
    asked: str
    shares: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """What was found.

    Attributes:
        path: of the pictures.
        prompt: what they should show.
        pictures: how many there are.
        of_a_run: whether they are one population, and no independent sample.
        figures: the table.
        shown: what the classifiers see.
    """

    path: str
    prompt: str
    pictures: int
    of_a_run: bool
    figures: list[Figure]
    shown: list[Shown]


def evaluate(question: Question) -> Evaluation:
    """Ask all judges about all pictures.

    Raises:
        GlasshouseError: no pictures, or a judge that cannot be had or cannot answer.
    """
    subject = read_subject(question.path, question.random)
    against = read_subject(question.against) if question.against else None
    if against is not None and against.grown is not None:
        raise BadRequestError(f"--against wants a folder of pictures, but {against.path} is a run")
    own = subject.grown.settings if subject.grown and not question.prompt else None
    asked = own or RunSettings(question.prompt)
    distractors = _distractors(question.distractors)
    question = _settled(question, subject)
    with judges(_wanted(question, subject), device=question.device) as found:
        pictures, drawn = _pictures(question, subject, found)
        table = _Table(found, pictures, asked, interval=subject.grown is None)
        table.compare(found["clip"], drawn, distractors, _look(question, subject))
        if "judge" in found:
            table.compare(found["judge"], drawn, distractors)
        table.classify([found[model] for model in question.classifiers])
        table.differ(found.get("judge", found["clip"]))
        table.compare_sets(found[question.classifiers[0]], against)
    return Evaluation(
        str(question.path),
        asked.target,
        len(pictures),
        subject.grown is not None,
        table.figures,
        table.shown,
    )


class _Table:
    """The figures, gathered judge by judge."""

    def __init__(
        self,
        found: Mapping[str, Replicas],
        pictures: Sequence[Images],
        asked: RunSettings,
        *,
        interval: bool,
    ) -> None:
        self.figures: list[Figure] = []
        self.shown: list[Shown] = []
        self._embedded: dict[str, Float32] = {}
        self._readings: dict[str, Reading] = {}
        self._found = found
        self._pictures = pictures
        self._asked = asked
        self._parts = read_prompts(asked.prompt)
        self._interval = interval

    def compare(
        self,
        clip: Replicas,
        random: Sequence[Images],
        distractors: Sequence[str],
        look: Preprocessing = UNSET,
    ) -> None:
        """With what is asked for, by one CLIP."""
        by, asked = clip.info.model, self._asked
        seen = self._embedded[by] = embed_pictures(clip, self._pictures, look)
        if not asked.target:
            self._add(Figure("similarity", by=by, refused="no prompt is known; say it: --prompt"))
            return
        target = embed_target(clip, asked)[0].astype(np.float64)
        scores = seen.astype(np.float64) @ target
        self._add(
            mean("similarity, mean", scores, by=by, interval=self._interval),
            Figure("similarity, best", float(scores.max()), count=len(scores), by=by),
        )
        if random:
            drawn = embed_pictures(clip, random, look).astype(np.float64) @ target
            above = (float(scores.max()) - drawn.mean()) / drawn.std(ddof=1)
            name = "best above random, deviations"
            self._add(Figure(name, float(above), count=len(drawn), by=by))
        if len(self._parts) != 1 or asked.likes:
            refused = "a target of several prompts or pictures has no rank among single prompts"
            self._add(Figure("R-precision", by=by, refused=refused))
            return
        others = [text for text in distractors if text != self._parts[0].text][:DISTRACTORS]
        rivals = embed_texts(clip, [asked.template.replace("{}", text) for text in others])
        ranks = retrieval_ranks(seen, target.astype(np.float32), rivals)
        name = f"R-precision, 1 of {1 + len(others)}"
        self._add(
            share(name, ranks == 1, by=by, interval=self._interval),
            Figure("rank of the prompt, median", float(np.median(ranks)), count=len(ranks), by=by),
        )

    def classify(self, classifiers: Sequence[Replicas]) -> None:
        """What is seen, and whether it is what was asked for, by every classifier."""
        readings = {one.info.model: classify(one, self._pictures) for one in classifiers}
        self._readings = readings
        prompt = self._parts[0].text if len(self._parts) == 1 else ""
        labels = {
            f"{by}/{head}": names
            for by, reading in readings.items()
            for head, names in reading.labels.items()
        }
        asked = asked_for(prompt, labels)  # of all at once: a word means one thing
        for by, reading in readings.items():
            wanted = {
                head: asked[f"{by}/{head}"] for head in reading.labels if f"{by}/{head}" in asked
            }
            self._accuracy(by, reading, wanted)
            for head in reading.labels:
                self.shown.append(_shown(by, reading, head, wanted.get(head)))

    def _accuracy(self, by: str, reading: Reading, wanted: Mapping[str, int]) -> None:
        if not wanted:
            refused = "the prompt names none of its classes" if self._parts else "no prompt"
            self._add(Figure("shows what was asked for", by=by, refused=refused))
            return
        hits = {head: reading.found(head) == index for head, index in wanted.items()}
        for head, index in wanted.items():
            name = f"shows {head} {_short(reading.labels[head][index])}"
            self._add(share(name, hits[head], by=by, interval=self._interval))
        if len(hits) > 1:
            every = np.logical_and.reduce(list(hits.values()))
            self._add(share("shows all of these", every, by=by, interval=self._interval))

    def differ(self, clip: Replicas) -> None:
        """How different the pictures are."""
        by = clip.info.model
        score = vendi_score(self._embedded[by])
        self._add(
            Figure("Vendi score, different pictures", score, count=len(self._pictures), by=by)
        )

    def compare_sets(self, classifier: Replicas, against: Subject | None) -> None:
        """The whole set, by one classifier's features and its head of the most classes."""
        reading = self._readings[classifier.info.model]
        head = max(reading.labels, key=lambda name: len(reading.labels[name]))
        other = classify(classifier, against.pictures).features if against is not None else None
        by, logits = classifier.info.model, reading.logits[head]
        self._add(*set_figures(Described(by, reading.features, logits, self._pictures, other)))

    def _add(self, *figures: Figure) -> None:
        self.figures += figures


def _settled(question: Question, subject: Subject) -> Question:
    """With the defaults that fit the pictures."""
    grown = subject.grown
    if question.random and not subject.generator:
        raise BadRequestError("--random draws genomes of a run, but this is a folder of pictures")
    clip = question.clip or (grown.settings.clip if grown else DEFAULT_CLIP)
    classifiers = question.classifiers
    if not classifiers:
        own = f"{subject.generator}-classifier"
        known = {row.name for row in catalogue() if row.here} if subject.generator else set()
        classifiers = (DEFAULT_CLASSIFIER, *([own] if own in known else ()))
    judge = question.judge or (DEFAULT_JUDGE if clip == DEFAULT_CLIP else NONE)
    return replace(question, clip=clip, judge=judge, classifiers=tuple(dict.fromkeys(classifiers)))


def _wanted(question: Question, subject: Subject) -> dict[str, tuple[Role, str]]:
    wanted: dict[str, tuple[Role, str]] = {"clip": ("clip", question.clip)}
    if question.judge != NONE:
        wanted["judge"] = ("clip", question.judge)
    for model in question.classifiers:
        wanted[model] = ("classifier", model)
    if subject.generator:
        wanted["generator"] = ("generator", subject.generator)
    return wanted


def _look(question: Question, subject: Subject) -> Preprocessing:
    """How the search's own CLIP looked at its pictures; any other looks in its own way."""
    settings = subject.grown.settings if subject.grown else None
    if settings is None or question.clip != settings.clip:
        return UNSET
    return find_profile(settings.profile).preprocessing


def _pictures(
    question: Question, subject: Subject, found: Mapping[str, Replicas]
) -> tuple[Sequence[Images], Sequence[Images]]:
    """The pictures to measure, and random ones beside them."""
    grown = subject.grown
    if not subject.generator:
        return subject.pictures, ()
    generator = found["generator"]
    if grown is None:
        return _random(generator, question.random), ()
    rng = np.random.default_rng(grown.settings.seed)
    random = sample(grown.conditions.space, question.random, rng)
    return grown.draw(generator, grown.genomes), grown.draw(generator, random)


def _random(generator: Replicas, count: int) -> Sequence[Images]:
    """Pictures of random genomes in a generator's usual space, as it was trained."""
    about = generator.info.about
    if not isinstance(about, GeneratorInfo) or about.writes:
        raise BadRequestError(f"{generator.info.model} draws no pictures, so none can be judged")
    space = about.spaces[0]
    genomes = sample(space, count, np.random.default_rng(0))
    return draw(generator, genomes, space.name, psi=1.0)


def _shown(by: str, reading: Reading, head: str, asked: int | None) -> Shown:
    names = [_short(label) for label in reading.labels[head]]
    counts = np.bincount(reading.found(head), minlength=len(names))
    order = np.argsort(-counts, kind="stable")[:MOST_SHOWN]
    total = max(1, int(counts.sum()))
    shares = {names[index]: float(counts[index]) / total for index in order if counts[index]}
    return Shown(by, head, "" if asked is None else names[asked], shares)


def _short(label: str) -> str:
    """The first of a class's names."""
    return label.split(",", maxsplit=1)[0]


def _distractors(path: Path | None) -> list[str]:
    """Prompts to be taken for, each once.

    Raises:
        StorageError: the file cannot be read.
        BadRequestError: it holds fewer than two.
    """
    if path is None:
        content = files("orchestrator.measuring").joinpath("distractors.txt").read_text()
    else:
        with storing("read distractor prompts", path):
            content = path.read_text(errors="replace")
    found = list(dict.fromkeys(line.strip() for line in content.splitlines() if line.strip()))
    if len(found) < 2:
        raise BadRequestError(f"{path} holds {len(found)} prompts, one a line; wanted 99 or more")
    return found
