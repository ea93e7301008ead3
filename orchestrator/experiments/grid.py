"""An experiment's file: what is held fixed, what is varied, and what is shown of it.

    about = "GA against DE"
    compare = "algorithm"                # the axis whose levels are set against each other
    show = ["convergence", "comparison"] # tables and figures, see `views`
    random = 512                         # random genomes by which scores become z-scores

    [settings]                           # of every run, by the names that a run records
    generator = "mini-car"

    [grid]                               # an axis each; every combination is a run
    prompt = ["a yellow car in the city"]
    seeds = 10                           # 0 to 9, innermost

    [[grid.algorithm]]                   # a level may be several settings under one name;
    name = "GA"                          # a list among them is varied within it
    algorithm = "ga"

    [scale.tiny]                         # what `--scale tiny` changes: any of the above
    grid.seeds = 2

A cell is one combination, hence one run. Runs look at no baseline of their own: the cells of random
genomes tell realism and every score besides. What a key may be is read from `RunSettings`; a key
that is none is refused with the nearest that is one.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import tomllib
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from orchestrator.profiles import FIXED
from orchestrator.runs.slug import slug
from orchestrator.runs.storage import storing, to_json
from orchestrator.settings import RunSettings, captioning
from protocol.errors import BadRequestError, ConfigError
from protocol.naming import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

FULL: Final = "full"
"""The scale that the file itself describes."""
MOST_CELLS: Final = 100_000
REFERENCE_POPULATION: Final = 64
REFERENCE_SEED: Final = 2**31 - 1
"""Of random genomes that scores are compared with: no search has it."""
NOT_SET: Final = {"runs", "own", "seed"}
"""What an experiment decides itself."""
SETTINGS: Final = {one.name for one in fields(RunSettings)} - NOT_SET


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, once a scale was chosen.

    Attributes:
        about: what it is, one line.
        source: which tables or figures of the papers it repeats.
        compare: the axis whose levels are set against each other.
        show: names of views.
        reach: z-scores of which it is told what they cost.
        sheets: generations of which populations are shown.
        random: random genomes for each target and ensemble; 0 for none.
        score: `z` for z-scores; `similarity` where levels have other generators, whose random
            genomes differ, so that only cosines to one prompt compare.
        judge: a CLIP that no search sees; empty for none.
        also: further prompts that pictures are compared with.
        classifier: reads what pictures show, or level -> its own; empty for none.
        populations: whether it reads whole last populations.
        attribute: of the classifier, of which prompts name a class.
        leakage: the thing whose exact masks tell where colours leak to; empty for none.
        settings: of every run.
        grid: axis -> its levels.
    """

    about: str
    show: tuple[str, ...]
    reach: tuple[float, ...] = (3.0, 5.0, 6.0)
    source: str = ""
    compare: str = ""
    sheets: tuple[int, ...] = ()
    random: int = 512
    score: Literal["z", "similarity"] = "z"
    judge: str = ""
    also: tuple[str, ...] = ()
    classifier: str | dict[str, str] = ""
    populations: bool = False
    attribute: str = ""
    leakage: str = ""
    settings: dict[str, Any] = {}
    grid: dict[str, Any] = {}

    def reader(self, factors: Mapping[str, str]) -> str:
        """The classifier of a cell with these factors; empty for none."""
        if isinstance(self.classifier, str):
            return self.classifier
        own = (self.classifier[level] for level in factors.values() if level in self.classifier)
        return next(own, "")


@dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Attributes:
        factors: axis -> name of its level, in the order of the axes; the seed is one of them.
        settings: of the run, but for its folder.
        reference: whether it is no search but the random genomes that others are compared with.
    """

    factors: Mapping[str, str]
    settings: RunSettings
    reference: bool = False

    @property
    def title(self) -> str:
        """For people."""
        return ", ".join(["random"] * self.reference + list(self.factors.values()))

    @property
    def name(self) -> str:
        """Its folder's: readable, and another one for other settings."""
        recorded = to_json({**self.settings.recorded(), "runs": ""})
        digest = hashlib.blake2b(recorded, digest_size=4).hexdigest()
        return f"{slug(self.title)}-{digest}"

    @property
    def target(self) -> str:
        """Equal for cells whose scores compare, which have one reference."""
        return reference_of(self.settings)


def reference_of(settings: RunSettings) -> str:
    """All that makes scores of random genomes what they are."""
    s = settings
    drawn = (str(s.truncation_psi), str(s.temperature))
    looks = (s.generator, s.clip, s.profile, s.template, *drawn)
    return "\n".join((s.prompt, s.caption, *s.likes, *looks))


@dataclass(frozen=True)
class Experiment:
    """A grid, laid out.

    Attributes:
        name: of its file.
        document: what the file says at this scale.
        scale: which.
        cells: every run, references first.
    """

    name: str
    document: Document
    scale: str
    cells: tuple[Cell, ...] = field(repr=False)


def bundled() -> dict[str, Path]:
    """The experiments that come along, by name."""
    folder = Path(str(files("orchestrator.experiments"))) / "files"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find(named: str) -> Path:
    """A file, or the one that comes along under that name.

    Raises:
        BadRequestError: there is neither.
    """
    path, known = Path(named), bundled()
    if named in known:
        return known[named]
    if path.is_file():
        return path
    raise BadRequestError(
        f"there is no experiment file {named}{did_you_mean(path.stem, known)} "
        "see: orchestrator experiment ls"
    )


def read_experiment(
    path: Path, scale: str = FULL, changes: Mapping[str, object] | None = None
) -> Experiment:
    """Lay out the experiment in a file.

    Args:
        path: the file.
        scale: which of its scales.
        changes: settings that every run is to have instead, and `seeds`; none that is varied.

    Raises:
        BadRequestError: it cannot be read, or a cell asks for what no run can do.
        ConfigError: it does not say what an experiment says.
    """
    document = _document(path, scale)
    changes = dict(changes or {})
    if seeds := changes.pop("seeds", None):
        document = msgspec.structs.replace(document, grid={**document.grid, "seeds": seeds})
    cells = tuple(_cells(document, changes, path.parent))
    if document.compare and document.compare not in document.grid:
        raise ConfigError(
            f"compare names '{document.compare}', but the axes of the grid are "
            f"{', '.join(document.grid)}"
        )
    if isinstance(document.classifier, dict):
        levels = {level for cell in cells for level in cell.factors.values()}
        _check_keys(document.classifier, levels, "the grid")
    whole = (*_references(document, cells), *cells)
    alike = [name for name, count in Counter(cell.name for cell in whole).items() if count > 1]
    if alike:
        raise ConfigError(f"two cells of the grid are the same run, {alike[0]}; leave one out")
    return Experiment(path.stem, document, scale, whole)


def _document(path: Path, scale: str) -> Document:
    try:
        with storing("read an experiment", path):
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    scales = raw.pop("scale", {})
    if not isinstance(scales, dict) or not all(isinstance(one, dict) for one in scales.values()):
        raise ConfigError(f"{path}: a scale is a table, [scale.NAME], got {scales!r}")
    if scale != FULL:
        if scale not in scales:
            raise ConfigError(f"--scale is one of {', '.join([FULL, *scales])}, not '{scale}'")
        raw = _merged(raw, scales[scale])
    _check_keys(raw, {one.name for one in msgspec.structs.fields(Document)}, "an experiment")
    try:
        document = msgspec.convert(raw, Document)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path} is no experiment: {error}") from error
    from orchestrator.experiments.views import VIEWS

    _check_keys(document.show, VIEWS, "a view")
    _check_keys(document.settings, SETTINGS, "settings")
    return document


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One table over another; tables within are merged, all else is replaced."""
    both = {key: (below.get(key), value) for key, value in above.items()}
    return {**below} | {
        key: _merged(old, new) if isinstance(old, dict) and isinstance(new, dict) else new
        for key, (old, new) in both.items()
    }


def _check_keys(
    found: Sequence[str] | Mapping[str, Any], known: Collection[str], what: str
) -> None:
    for key in found:
        if key not in known:
            raise ConfigError(f"{what} has no '{key}'{did_you_mean(key, known)}")


def _cells(document: Document, changes: Mapping[str, object], beside: Path) -> Iterator[Cell]:
    """Every combination of the axes' levels, the seeds innermost."""
    grid = dict(document.grid)
    seeds = grid.pop("seeds", 1)
    if not isinstance(seeds, int) or not 0 < seeds <= MOST_CELLS:
        raise ConfigError(f"seeds is how many, from 1 to {MOST_CELLS:,}, not {seeds!r}")
    axes = [_levels(axis, levels) for axis, levels in grid.items()]
    if math.prod(map(len, axes)) * seeds > MOST_CELLS:
        raise ConfigError(f"the grid has more than {MOST_CELLS:,} cells; make it smaller")
    _check_changes(changes, axes)
    for levels, seed in itertools.product(itertools.product(*axes), range(seeds)):
        factors, values = dict[str, str](), dict(document.settings)
        for named, own in levels:
            factors |= named
            values |= own
        settings = _settings({**values, **changes, "seed": seed}, beside)
        yield Cell({**factors, "seed": str(seed)}, settings)


Level = tuple[dict[str, str], dict[str, Any]]
"""Its factors and its settings."""


def _check_changes(changes: Mapping[str, object], axes: Iterable[Iterable[Level]]) -> None:
    for factors, own in itertools.chain.from_iterable(axes):
        if varied := next((key for key in changes if key in own), None):
            (axis, level), *_ = factors.items()
            raise ConfigError(
                f"{varied} cannot be changed: the level '{level}' of {axis} has its own; "
                "leave it out, or edit a copy of the file"
            )


def _levels(axis: str, levels: Any) -> list[Level]:
    if not isinstance(levels, list) or not levels:
        raise ConfigError(f"the axis '{axis}' of the grid wants a list of levels, got {levels!r}")
    found = []
    for level in levels:
        if not isinstance(level, dict):
            _check_keys([axis], SETTINGS, "the grid")
            found.append(({axis: str(level)}, {axis: level}))
            continue
        values = dict(level)
        name = values.pop("name", None)
        if not isinstance(name, str):
            raise ConfigError(f"a level of the axis '{axis}' has no name; say name = \"...\"")
        _check_keys(values, SETTINGS, f"the level '{name}' of {axis}")
        varied = {key: value for key, value in values.items() if key not in LISTS}
        varied = {key: value for key, value in varied.items() if isinstance(value, list)}
        for combination in itertools.product(*varied.values()):
            chosen = dict(zip(varied, combination, strict=True))
            named = {axis: name, **{key: str(value) for key, value in chosen.items()}}
            found.append((named, {**values, **chosen}))
    return found


LISTS: Final = {"measures", "likes"}
"""Settings that are lists themselves."""


def _settings(values: Mapping[str, Any], beside: Path) -> RunSettings:
    """One cell's settings; a path of a picture is meant from the experiment's folder.

    Raises:
        ConfigError: a value is of another kind.
        BadRequestError: a prompt and a picture to caption.
    """
    given = dict(values)
    parameters, picture = given.get("parameters", {}), given.pop("caption", "")
    if not isinstance(parameters, dict) or not isinstance(picture, str):
        raise ConfigError(
            "an experiment's settings: parameters is a table, such as {best_of = 64}, "
            f"and caption the path of a picture, got {parameters!r} and {picture!r}"
        )
    given["parameters"] = {key: str(value) for key, value in parameters.items()}
    try:
        settings = msgspec.convert({"prompt": "", "baseline": False, **given}, RunSettings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"an experiment's settings: {error}") from error
    likes = tuple(str(beside / like) for like in settings.likes)
    settings = replace(settings, likes=likes)
    return captioning(settings, beside / picture) if picture else settings


def _references(document: Document, cells: Sequence[Cell]) -> Iterator[Cell]:
    """Random genomes for every target, drawn and judged as the searches' own are.

    A judge looks in its own way whatever the profile, at these as at what was grown.
    """
    if not document.random:
        return
    found: dict[str, Cell] = {}
    population = min(REFERENCE_POPULATION, document.random)
    alike: dict[str, list[Cell]] = {}
    for cell in cells:
        alike.setdefault(cell.target, []).append(cell)
    clips = [(group, clip) for group in alike.values() for clip in _clips(document, group[0])]
    for group, clip in clips:
        first = group[0].settings
        judged = {cell.settings.discriminator for cell in group} - {"none"}
        settings = replace(
            first,
            clip=clip,
            profile=first.profile if clip == first.clip else FIXED.name,
            algorithm="random",
            parameters={},
            measures=(),
            refine=0,
            space="",
            weights=(),
            diversity=False,
            scorer="none",
            population=population,
            generations=-(-document.random // population),
            seed=REFERENCE_SEED,
            discriminator=min(judged, default="none"),
        )
        factors = {"target": first.target, "generator": first.generator}
        cell = Cell(factors, settings, reference=True)
        found.setdefault(cell.name, cell)
    yield from found.values()


def _clips(document: Document, cell: Cell) -> list[str]:
    """The search's CLIP and the judge; what a judge says of captions is told by rank alone."""
    judged = document.judge and not cell.settings.caption
    return [cell.settings.clip, *[document.judge] * bool(judged)]
