"""How long does a swap to a generator that is up already keep a run waiting?

Two bundled generators of one latent space and the rest of a fleet stay up; a run over them is told,
from outside as `orchestrator swap` tells it, to change from one to the other and back. The pause is
the time from one generation's line in `events.jsonl` to the next around a swap, less the usual time
between two; beside it stands what scoring the survivors alone must take: the new model's batches.

    python -m benchmarks.swap --swaps 6
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.runs import RunFolder
from orchestrator.runs.swaps import Wish, ask

GENERATORS = ("mini-face", "mini-car")
POPULATION, BATCH = 32, 16
COMMAND = [sys.executable, "-m", "orchestrator"]


def main(swaps: int = 6, population: int = POPULATION) -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory(prefix="gh-") as base:
        os.environ["XDG_RUNTIME_DIR"] = base
        generators = [f"--generator={name}" for name in GENERATORS]
        fleet = [*generators, "--clip=mini-clip", "--discriminator=mini-car-discriminator"]
        subprocess.run([*COMMAND, "up", *fleet], check=True, capture_output=True)  # noqa: S603 # ours
        try:
            found, batch_ms = swapped(Path(base) / "runs", swaps, population)
        finally:
            subprocess.run([*COMMAND, "down"], check=True, capture_output=True)  # noqa: S603 # ours
    table = Table("", "median ms", "least to most", title=f"{swaps} swaps, population {population}")
    for name, values in {**found, "a batch of the generator": [batch_ms]}.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        table.add_row(name, f"{middle:.0f}", f"{low:.0f} to {high:.0f}")
    Console(width=100).print(table)


def swapped(runs: Path, swaps: int, population: int) -> tuple[dict[str, list[float]], float]:
    """Milliseconds of usual generations, of those around a swap, and of pauses; and of a batch."""
    words = ["run", "a yellow car", "-g", "1000000", "-p", str(population), "--runs", str(runs)]
    words += ["--ui", "quiet", "--no-baseline"]
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL) as run:  # noqa: S603 # ours
        while not (runs / "latest" / "events.jsonl").exists():
            time.sleep(0.1)
        folder = RunFolder.open(runs / "latest")
        for number in range(swaps):
            wait_for(folder, 6)
            ask(folder, Wish("generator", GENERATORS[number % 2]))
        wait_for(folder, 3)
        seen = subprocess.run(  # noqa: S603 # ours
            [*COMMAND, "ps", "--json"], check=True, capture_output=True
        )
        run.terminate()
    batches = [one["batch_ms"] for one in json.loads(seen.stdout) if one["role"] == "generator"]
    return intervals(folder), statistics.mean(batches)


def wait_for(folder: RunFolder, more: int) -> None:
    """Until the run has told of so many more generations."""
    until = told(folder) + more
    while told(folder) < until:
        time.sleep(0.1)


def told(folder: RunFolder) -> int:
    """Generations in the event log."""
    return sum(event.get("event") == "generation" for event in folder.events())


def intervals(folder: RunFolder) -> dict[str, list[float]]:
    """Milliseconds between generations, by whether a swap lay between."""
    usual: list[float] = []
    around: list[float] = []
    before, swap = None, False
    for event in folder.events():
        if event["event"] == "swap":
            swap = True
        elif event["event"] == "generation":
            if before is not None:
                (around if swap else usual).append(1000 * (event["elapsed_s"] - before))
            before, swap = event["elapsed_s"], False
    middle = statistics.median(usual)
    return {
        "a usual generation": usual,
        "a generation with a swap before it": around,
        "so the run paused for": [value - middle for value in around],
    }


if __name__ == "__main__":
    typer.run(main)
