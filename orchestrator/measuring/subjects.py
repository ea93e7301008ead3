"""What is measured: pictures of a folder, the last population of a run, or a generator."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from orchestrator.evaluation.captioner import read_picture
from orchestrator.evaluation.evaluator import Float32, Images
from orchestrator.fleet.replicas import Replicas
from orchestrator.measuring.asking import draw
from orchestrator.picking import last_population
from orchestrator.runs.journal import Conditions
from orchestrator.runs.storage import storing
from orchestrator.settings import RunSettings
from protocol.errors import BadRequestError, StorageError, WeightsError

WANTED = "name a folder of pictures, a run such as runs/latest, or a generator with --random N"


@dataclass(frozen=True, eq=False)
class Grown:
    """The survivors of a run, still to be drawn again.

    Attributes:
        settings: of the run.
        conditions: under what its genomes are drawn.
        genomes: (n, size) float32, best first by the search's own similarity.
    """

    settings: RunSettings
    conditions: Conditions
    genomes: Float32

    def draw(self, generator: Replicas, genomes: Float32) -> list[Images]:
        """Pictures of genomes, as the run drew them.

        Raises:
            WeightsError: the generator is another than the run's.
            GlasshouseError: it cannot answer.
        """
        grew = {model.role: model for model in self.conditions.models}["generator"]
        if generator.info.digest != grew.digest:
            raise WeightsError(
                f"the run was grown with another version of {grew.model}; put the old file back"
            )
        space, psi = self.conditions.space.name, self.conditions.truncation_psi
        return draw(generator, genomes, space, psi)


@dataclass(frozen=True, eq=False)
class Subject:
    """Pictures to measure.

    Attributes:
        path: where they are.
        pictures: those of a folder, in the order of their names.
        grown: of a run, what to draw; None for others.
        generator: of a run, or whose random pictures are meant; empty for a folder.
    """

    path: Path
    pictures: Sequence[Images] = ()
    grown: Grown | None = None
    generator: str = ""


def read_subject(where: Path | str, random: int = 0) -> Subject:
    """What lies there; where nothing does and random pictures are wanted, a generator of that name.

    Raises:
        BadRequestError: neither a run that grew pictures nor a folder of pictures.
        StorageError: a picture cannot be read.
    """
    path = Path(where)
    if (path / "run.json").is_file():
        return _run(path)
    if random and not path.exists():
        return Subject(path, generator=str(where))
    if not path.exists():
        raise StorageError(f"Could not read {path}: no such file or directory; {WANTED}.")
    return Subject(path, pictures=[read_picture(file)[0] for file in _files(path)])


def _files(path: Path) -> list[Path]:
    """The pictures of a folder by name."""
    endings = Image.registered_extensions()
    with storing("read a folder of pictures", path):
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in endings)
    if not found:
        raise BadRequestError(
            f"{path} holds no pictures (PNG, JPEG, WebP, ...) and is no run; {WANTED}"
        )
    return found


def _run(path: Path) -> Subject:
    found = last_population(path)
    grown = Grown(found.settings, found.conditions, found.genomes)
    return Subject(path, grown=grown, generator=found.settings.generator)
