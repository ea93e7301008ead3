"""pymoo's test problems as a scorer service: the pictures are the bytes of numbers, not pictures.

Twelve bytes of a row of pixels are three float32; the first number says which problem, the second
which of its objectives, the rest are a genome.
"""

from typing import Any

import numpy as np
from pymoo.problems import get_problem

GENES = 10
SIDES = (1, 16)  # height and width: 16 pixels of 3 bytes hold GENES + 2 float32
PROBLEMS = ("sphere", "rastrigin", "zdt1", "zdt2", "zdt3")


def problem(name: str) -> Any:
    return get_problem(name, n_var=GENES)


def values(name: str, genomes: np.ndarray) -> np.ndarray:
    """(n, m) float64 of (n, GENES) float32, rounded to float32 as a service answers."""
    found = problem(name).evaluate(genomes.astype(np.float64), return_values_of=["F"])
    return np.asarray(found, np.float32).astype(np.float64)


def as_pictures(name: str, objective: int, genomes: np.ndarray) -> np.ndarray:
    """(n, 1, 16, 3) uint8."""
    rows = np.zeros((len(genomes), GENES + 2), "<f4")
    rows[:, 0], rows[:, 1], rows[:, 2:] = PROBLEMS.index(name), objective, genomes
    return rows.view(np.uint8).reshape(len(genomes), *SIDES, 3)


def score(images: np.ndarray) -> np.ndarray:
    """What a scorer is: (n, 1, 16, 3) uint8 to n numbers, each from its own row."""
    rows = np.ascontiguousarray(images).reshape(len(images), -1).view("<f4")
    return np.array([values(PROBLEMS[int(row[0])], row[None, 2:])[0, int(row[1])] for row in rows])
