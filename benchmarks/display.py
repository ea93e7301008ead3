"""What does the live display cost the machine that searches?

A display on a pseudo-terminal that another process reads is given a new generation ten times a
second, every picture of it new: more than any run does. Measured is the processor time of the
thread that draws, which also encodes the pictures.

    python -m benchmarks.display --seconds 8
"""

import os
import pty
import subprocess
import termios
import time
from typing import cast

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from orchestrator.terminal import Images, ServiceStatus, Snapshot, make_display
from orchestrator.terminal.live import LiveDisplay

SIZES = ((120, 40), (80, 24))
IMAGES: tuple[Images, ...] = ("off", "half", "kitty", "sixel")
GENERATIONS = 300
UPDATE_S = 0.1
ENVIRON = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


def snapshot(rng: np.random.Generator) -> Snapshot:
    """A run of two objectives in its 300th generation, with pictures that nobody has seen."""
    coarse = rng.integers(0, 256, (16, 8, 8, 3), np.uint8)
    best = tuple(0.3 + 0.15 * np.sort(rng.random(GENERATIONS)))
    roles = ("generator", "clip", "discriminator")
    services = [ServiceStatus(role, f"mini-{role}", "ipc:///x", "ready", 16, 80, 90, 9600, "0" * 40)
                for role in roles]  # fmt: skip
    return Snapshot(
        target="a yellow car in the city", generator="mini-car", algorithm="nsga2", population=32,
        folder="runs/0001-a-yellow-car-in-the-city", phase="searching", generation=GENERATIONS,
        generations=400, evaluations=32 * GENERATIONS, elapsed_s=120.0, best=best,
        mean=tuple(value - 0.05 for value in best), second=best, second_name="realism",
        points=tuple(map(tuple, rng.random((32, 2)).tolist())), diversity=0.2, first_diversity=0.5,
        thumbnails=coarse.repeat(8, 1).repeat(8, 2), scores=tuple(np.linspace(0.45, 0.4, 32)),
        services=tuple(services), log=("one", "two", "three"),
    )  # fmt: skip


class Counted(LiveDisplay):
    """A display that counts its frames."""

    frames = 0

    def _draw(self) -> None:
        super()._draw()
        self.frames += 1


def measure(images: Images, columns: int, rows: int, seconds: float) -> tuple[float, float]:
    """Frames a second, and the share of a core that they took."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (rows, columns))
    nowhere = subprocess.DEVNULL
    reader = subprocess.Popen(["cat"], stdin=master, stdout=nowhere, stderr=nowhere)  # noqa: S607
    rng = np.random.default_rng(0)
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        display = make_display("live", images, stream, ENVIRON, None)
        display.__class__ = Counted
        counted = cast("Counted", display)
        counted.start()
        counted.update(snapshot(rng))
        thread = counted._thread  # noqa: SLF001 # whose time is measured
        if thread is None or thread.ident is None:
            raise RuntimeError("the display does not draw")
        time.sleep(min(1.0, seconds))
        clock = time.pthread_getcpuclockid(thread.ident)
        used, frames, began = time.clock_gettime(clock), counted.frames, time.monotonic()
        while time.monotonic() - began < seconds:
            counted.update(snapshot(rng))
            time.sleep(UPDATE_S)
        lasted = time.monotonic() - began
        found = (counted.frames - frames) / lasted, (time.clock_gettime(clock) - used) / lasted
        counted.stop()
        if counted.draw_errors:
            raise RuntimeError(f"{counted.draw_errors} frames could not be drawn")
    reader.kill()
    reader.wait()
    os.close(master)
    return found


def main(seconds: float = 8.0) -> None:
    """Measure every way to show pictures, at two sizes of terminal."""
    table = Table("terminal", "--images", "frames/s", "ms a frame", "share of a core",
                  title="the live display, a new generation ten times a second")  # fmt: skip
    for columns, rows in SIZES:
        for images in IMAGES:
            rate, share = measure(images, columns, rows, seconds)
            table.add_row(
                f"{columns}x{rows}",
                images,
                f"{rate:.1f}",
                f"{1000 * share / rate:.1f}" if rate else "-",
                f"{share:.1%}",
            )
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
