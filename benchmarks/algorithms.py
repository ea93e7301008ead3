"""Which algorithm should be the default? Equal evaluations on the miniatures, in one process.

    python -m benchmarks.algorithms                          # 12 prompts, 5 seeds: hours
    python -m benchmarks.algorithms --seeds 1 --jobs 1       # then the same with more, say

Kill it when you like: every search that ended is a line of the file of results, and the same
command goes on with those that are missing, seed by seed, so that what is there is balanced.
Results of other models (by their digests) are left in the file and not counted. Tables are printed
and, with `--write docs`, kept there as `search-results.md` with `search-results.webp`.

Every search runs `--evaluations`, the published GA two and a half times as many. No discriminator
is asked: the search is for similarity alone. How pictures are judged: `benchmarks/contest.py`.
"""

import itertools
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table as Printed

from benchmarks.contest import CLIPS, Choice, Outcome, Stage, compete
from benchmarks.search import contact_sheet
from benchmarks.standings import Outcomes, by_choice, curves, tables
from miniatures.evaluation.main_job import Prompt, prompts
from miniatures.training import WEIGHTS
from orchestrator.experiments.material import Table
from orchestrator.experiments.plotting import markdown
from orchestrator.experiments.views.drawing import webp

CHOICES: Final = (
    Choice("ga", "z", 32),
    Choice("glass-ga", "z", 16, longer=2.5),
    Choice("thesis-de", "z", 16),
    Choice("random", "z", 32),
    Choice("sep-cma-es", "z", 22),
    Choice("sep-cma-es", "w", 22),
    Choice("ga", "w", 32),
)
"""The default first: it is held against all others."""
RESULTS: Final = Path("benchmarks/results/algorithms.jsonl")


@dataclass(frozen=True)
class Task:
    """One search that is to be done."""

    stage: Stage
    choice: Choice
    prompt: Prompt
    seed: int
    evaluations: int

    @property
    def key(self) -> tuple[object, ...]:
        """What its outcome is known by."""
        return (*self._where, self.choice.title, self.stage.models, self.evaluations)

    @property
    def _where(self) -> tuple[str, str, int]:
        return self.stage.thing, self.prompt.text, self.seed


def key_of(outcome: Outcome) -> tuple[object, ...]:
    """Of the task that it is the outcome of."""
    where = outcome.thing, outcome.prompt, outcome.seed
    return (*where, outcome.choice, outcome.models, outcome.marks[-1])


def read(path: Path) -> list[Outcome]:
    """The outcomes in a file; a line that was cut short by a kill is taken off it."""
    if not path.is_file():
        return []
    whole = path.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    if kept != whole:
        os.truncate(path, len(kept))
    return [msgspec.json.decode(line, type=Outcome) for line in kept.splitlines()]


def append(path: Path, outcome: Outcome) -> None:
    """One line more, on the disk."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(outcome) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def run_all(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome]:
    """The outcomes as they come, from so many threads of one core each.

    Raises:
        BaseException: what a search raised.
    """
    waiting: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()

    def work() -> None:
        torch.set_num_threads(1)
        while task := waiting.get():
            try:
                done.put(compete(task.stage, task.choice, task.prompt, task.seed, task.evaluations))
            except BaseException as error:  # noqa: BLE001 # raised where it is waited for
                done.put(error)

    for task in [*tasks, *[None] * jobs]:
        waiting.put(task)
    for _ in range(jobs):
        threading.Thread(target=work, daemon=True).start()
    for _ in tasks:
        found = done.get()
        if isinstance(found, BaseException):
            raise found
        yield found


def planned(
    stages: Sequence[Stage], choices: Sequence[Choice], count: int, seeds: int, evaluations: int
) -> list[Task]:
    """Every search, the things in turn, the first seed of all before the second of any."""
    each = -(-count // len(stages))
    asked = {stage.thing: prompts(stage.thing, each) for stage in stages}
    pairs = [(stage, place) for place in range(each) for stage in stages][:count]
    return [
        Task(stage, choice, asked[stage.thing][place], seed, round(evaluations * choice.longer))
        for seed, (stage, place), choice in itertools.product(range(seeds), pairs, choices)
    ]


def main(  # noqa: PLR0913 # one parameter an option
    results: Annotated[Path, typer.Argument(help="The file of results.")] = RESULTS,
    *,
    things: Annotated[str, typer.Option(help="Joined with commas.")] = "car,church,face",
    count: Annotated[int, typer.Option("--prompts", help="In all.")] = 12,
    seeds: int = 5,
    evaluations: int = 3_200,
    jobs: Annotated[int, typer.Option(help="Searches at a time.")] = os.cpu_count() or 1,
    only: Annotated[str, typer.Option(help="Titles of choices, joined with commas.")] = "",
    weights: Path = WEIGHTS,
    write: Annotated[Path | None, typer.Option(help="Folder for the tables and curves.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="A file for the pictures.")] = None,
    show: Annotated[bool, typer.Option(help="Search nothing more, only show.")] = False,
) -> None:
    """Go on where it stopped; one line a search, then the tables."""
    torch.set_num_threads(1)
    choices = [one for one in CHOICES if not only or one.title in only.split(",")]
    stages = [Stage(weights, thing) for thing in things.split(",")]
    tasks = planned(stages, choices, count, seeds, evaluations)
    results.parent.mkdir(parents=True, exist_ok=True)
    known = {key_of(one): one for one in read(results)}
    missing = [task for task in tasks if task.key not in known]
    print(f"{len(tasks) - len(missing)} of {len(tasks)} searches are in {results}", flush=True)  # noqa: T201
    for one in run_all([] if show else missing, jobs):
        append(results, one)
        known[key_of(one)] = one
        print(line(one), flush=True)  # noqa: T201
    outcomes = [known[task.key] for task in tasks if task.key in known]
    found = by_choice(outcomes, choices)
    longest = round(evaluations * max(choice.longer for choice in choices))
    made = list(tables(found, evaluations, longest)) if found else []
    for table in made:
        Console(width=120).print(printed(table))
    if write is not None and made:
        keep(write, made, found, stages)
    if sheet is not None and found:
        draw(found).save(sheet)


def line(one: Outcome) -> str:
    """For people."""
    scores = f"{one.search[-1]:+.2f} judge {one.judge[-1]:+.2f}"
    shown = "" if one.fulfilled[-1] else ", not all that was asked for"
    return f"{one.prompt}, seed {one.seed}, {one.choice}: {scores}{shown} ({one.seconds:.0f} s)"


def printed(table: Table) -> Printed:
    """For the terminal."""
    found = Printed(*table.head, title=table.title, caption=table.note)
    for row in table.rows:
        found.add_row(*row)
    return found


def keep(folder: Path, made: Sequence[Table], found: Outcomes, stages: Sequence[Stage]) -> None:
    """`search-results.md` and `search-results.webp`."""
    names = {"judge": "judge CLIP", "search": "CLIP of the search"}
    lines = ["# Search: results", "", "Written by `python -m benchmarks.algorithms`; do not edit."]
    for table in made:
        lines += ["", f"## {table.title}", "", *markdown(table)]
    lines += ["", "![best so far](search-results.webp)", "", "Models, by their digests:", ""]
    clips = [f"{names[who]} ({CLIPS[who]})" for who in CLIPS]
    for stage in stages:
        what = [f"mini-{stage.thing}", *clips, "classifier of things", "classifier"]
        pairs = zip(what, stage.models.split(" "), strict=True)
        lines.append(f"* {stage.thing}: " + ", ".join(f"{name} `{one}`" for name, one in pairs))
    (folder / "search-results.md").write_text("\n".join(lines) + "\n")
    (folder / "search-results.webp").write_bytes(webp(curves(found)))


def draw(found: Outcomes) -> Image.Image:
    """The last picture of each search, a row for each prompt and seed that all choices have."""
    rows = sorted(set.intersection(*map(set, found.values())))
    shown = [(title, known[unit]) for unit in rows for title, known in found.items()]
    words = [f"{title}: {one.prompt}"[:26] for title, one in shown]
    images = [np.asarray(Image.open(BytesIO(one.picture)).convert("RGB")) for _, one in shown]
    return contact_sheet(words, images, len(found))


if __name__ == "__main__":
    typer.run(main)
