"""What a run that writes captions keeps for people, where others keep pictures.

`captions.txt` has the captions of the population and the best of all, best first, each once, with
its similarity to the picture; `captions.json` the same with the genomes. `captions/000060.txt` are
those of earlier generations, as grids are of pictures.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.gallery import Individual
from orchestrator.keeping import Keeper, ranked
from orchestrator.runs.storage import storing, to_json, write_whole

TEXT, JSON, FOLDER = "captions.txt", "captions.json", "captions"


@dataclass(frozen=True)
class Caption:
    """One text, however many genomes say it.

    Attributes:
        text: on one line.
        similarity: to the picture.
        generation: in which it was first scored, of its best genome.
        genomes: how many of the population say it.
        genome: one of them.
    """

    text: str
    similarity: float
    generation: int
    genomes: int
    genome: tuple[float, ...]


def ranked_captions(individuals: Iterable[Individual]) -> list[Caption]:
    """Every caption once, most similar first; texts that differ in case or spaces are one."""
    found: dict[str, list[Individual]] = {}
    for one in ranked(individuals):
        found.setdefault(" ".join(one.text.casefold().split()), []).append(one)
    return [
        Caption(
            text=alike[0].text,
            similarity=alike[0].score.similarity,
            generation=alike[0].score.generation,
            genomes=len(alike),
            genome=tuple(float(gene) for gene in alike[0].genome),
        )
        for alike in found.values()
    ]


class CaptionKeeper(Keeper):
    """Writes the captions of one run."""

    def end(self) -> None:
        """The last population and its captions."""
        self.now()

    def best(self, name: str = "best") -> None:
        """The champion, under that name."""
        self._write(f"{name}.txt", [self._course.champion()])

    def favourite(self, genome: bytes) -> str:
        """A survivor that the user likes, in a file of its own; its name, if it is there."""
        for individual in self._course.individuals():
            if individual.genome.tobytes() == genome:
                name = self.favourite_name(genome)
                self._write(f"{name}.txt", [individual])
                return f"{name}.txt"
        return ""

    def _save_grid(self, *, keep: bool) -> None:
        everyone = [*self._course.individuals(), self._course.champion()]
        captions = self._write(TEXT, everyone)
        about = {"picture": self.settings.caption, "command": self.settings.command()}
        write_whole(self._folder.path / JSON, to_json({**about, "captions": captions}, indent=2))
        if keep:
            folder = self._folder.path / FOLDER
            with storing("make a folder", folder):
                folder.mkdir(exist_ok=True)
            self._write(f"{FOLDER}/{self._course.history.generation:06d}.txt", everyone)

    def _write(self, name: str, individuals: Iterable[Individual]) -> list[Caption]:
        captions = ranked_captions({one.genome.tobytes(): one for one in individuals}.values())
        lines = [f"{one.similarity:.4f}  {one.text}\n" for one in captions]
        write_whole(self._folder.path / name, "".join(lines).encode())
        return captions


def caption_results(folder: Path, best: Individual, said: str) -> list[str]:
    """Lines that say what was found, how good it is as `said`, and where."""
    return [
        f"best caption  {best.text}  ({said})",
        f"captions      {folder / TEXT}",
        f"run folder    {folder}",
    ]
