from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from orchestrator.terminal import ServiceStatus, Snapshot


@pytest.fixture
def snapshot() -> Snapshot:
    """A run in its twelfth generation."""
    generations = np.arange(12)
    return Snapshot(
        target="a yellow car in the city",
        generator="mini-cars",
        algorithm="sep-CMA-ES",
        seed=7,
        population=16,
        folder="runs/0007-a-yellow-car-in-the-city",
        phase="searching",
        generation=12,
        generations=60,
        evaluations=192,
        elapsed_s=24.0,
        best=tuple(0.2 + 0.01 * generations),
        mean=tuple(0.18 + 0.01 * generations),
        second=tuple(0.9 - 0.01 * generations),
        diversity=0.2,
        first_diversity=0.3,
        thumbnails=np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3), np.uint8),
        scores=tuple(0.31 - 0.001 * np.arange(16)),
        services=(
            ServiceStatus(
                "generator", "mini-cars", "ipc:///a", "busy", 8, 41.2, 63.0, 192, "ab" * 8
            ),
            ServiceStatus("clip", "mini-clip", "ipc:///b", "ready", 0, 18.9, 20.0, 192, "cd" * 8),
            ServiceStatus("discriminator", "mini-cars", "ipc:///c", "starting"),
        ),
        log=("one", "two", "three", "four"),
    )


@pytest.fixture
def terminal() -> Callable[..., Any]:
    """Makes consoles that believe they are terminals of a given size and write to memory."""

    def make(columns: int, rows: int, color_system: Any = "truecolor") -> Console:
        return Console(
            file=StringIO(),
            force_terminal=True,
            width=columns,
            height=rows,
            color_system=color_system,
            _environ={},
        )

    return make
