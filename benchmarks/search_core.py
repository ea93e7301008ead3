"""What a generation costs when drawing and looking cost nothing: ask, tell and journal.

CPU time and wall time of one generation, medians, in one thread; beside it pymoo's MixedVariableGA
(its ask and tell alone, genomes as dicts) on the same space in the same run.

    python -m benchmarks.search_core
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import typer
from pymoo.core.mixed import MixedVariableGA
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.core.variable import Binary, Real
from rich.console import Console
from rich.table import Table

from orchestrator.runs import versions
from orchestrator.runs.journal import About, Conditions, Journal, Step
from orchestrator.search import make_algorithm
from protocol.latent import LatentSpace, Segment

REALS = LatentSpace("z", (Segment("z", "real", 512, -10, 10, "normal"),))
MIXED = LatentSpace(
    "z+bits",
    (
        Segment("z", "real", 128, -2, 2, "truncated_normal"),
        Segment("bits", "binary", 1000, 0, 1, "uniform", 0.005),
    ),
)
CASES = (
    ("ga", REALS, 64, 15),
    ("sep-cma-es", REALS, 64, 15),
    ("ga", MIXED, 64, 15),
    ("ga", MIXED, 1024, 180),
)
"""Algorithm, space, population, and the milliseconds that a generation may cost."""

Generation = Callable[[], None]


@dataclass(frozen=True)
class Cost:
    """Medians of one generation, in milliseconds."""

    cpu_ms: float
    wall_ms: float


def cost(generation: Generation, repeats: int) -> Cost:
    """Of a generation, after two that do not count."""
    cpu, wall = [], []
    for _ in range(repeats + 2):
        began = time.process_time(), time.perf_counter()
        generation()
        cpu.append(time.process_time() - began[0])
        wall.append(time.perf_counter() - began[1])
    return Cost(1000 * statistics.median(cpu[2:]), 1000 * statistics.median(wall[2:]))


def ours(name: str, space: LatentSpace, population: int, folder: Path) -> Generation:
    """Ask, a free score, one row of the journal on the disk, tell."""
    algorithm = make_algorithm(
        name, space, population=population, seed=1, parameters={"best_of": 0}
    )
    path = folder / f"{name}-{space.name}-{population}.sqlite"
    journal = Journal.create(path, About({}, 1, versions()))
    conditions = Conditions("", space, 1.0, ())

    def generation() -> None:
        genomes = algorithm.ask()
        values = np.square(genomes, dtype=np.float64).sum(axis=1)
        step = Step(
            "generation",
            algorithm.generation + 1,
            conditions,
            genomes,
            values[:, None],
            values,
            None,
            0.0,
        )
        journal.append(step)
        algorithm.tell(step.objectives)

    return generation


def theirs(space: LatentSpace, population: int) -> Generation:
    """Ask, a free score, tell."""
    kinds: dict[str, Callable[[Segment], object]] = {
        "real": lambda s: Real(bounds=(s.low, s.high)),
        "binary": lambda _: Binary(),
    }
    variables: dict[str, Any] = {
        f"{segment.name}{gene}": kinds[segment.kind](segment)
        for segment in space.segments
        for gene in range(segment.size)
    }
    algorithm = MixedVariableGA(pop_size=population)
    algorithm.setup(Problem(vars=variables, n_obj=1), termination=NoTermination(), seed=1)
    names = [name for name in variables if name.startswith("z")]

    def generation() -> None:
        batch = algorithm.ask()
        values = [sum(one.X[name] ** 2 for name in names) for one in batch]
        batch.set("F", np.array(values)[:, None])
        algorithm.tell(infills=batch)

    return generation


def main(*, repeats: int = 12) -> None:
    """Print the table."""
    table = Table(
        *("search", "CPU ms", "wall ms", "at most", "MixedVariableGA, CPU ms", "times"),
        title="one generation of ask, tell and journal",
    )
    with TemporaryDirectory() as folder:
        for name, space, population, most in CASES:
            found = cost(ours(name, space, population, Path(folder)), repeats)
            row = [f"{name} {population} x {space.size:,} {space.name}"]
            row += [f"{found.cpu_ms:.1f}", f"{found.wall_ms:.1f}", str(most)]
            if space is MIXED:
                rival = cost(theirs(space, population), max(2, min(repeats, 256 // population)))
                row += [f"{rival.cpu_ms:.0f}", f"{rival.cpu_ms / found.cpu_ms:.1f}"]
            table.add_row(*row)
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
