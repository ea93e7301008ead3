"""Every search algorithm by name: what it is for and what can be set.

`describe_algorithms` is what `orchestrator algorithms` prints; `choice.py` makes one.
"""

import math
from dataclasses import dataclass
from typing import Literal

from protocol.latent import SegmentKind

Wanted = Literal["one", "several", "any"]


@dataclass(frozen=True)
class Parameter:
    """One thing that can be set.

    Attributes:
        name: how it is written.
        default: its value when nothing is said; a word if `choices` are given, else a number.
        meaning: one line.
        low: least value of a number, inclusive.
        high: greatest value of a number, inclusive.
        choices: the words that are allowed.
    """

    name: str
    default: float | str
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The range or the choices, in words."""
        if self.choices:
            return " or ".join(self.choices)
        return f"from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class AlgorithmInfo:
    """One algorithm.

    Attributes:
        name: how it is chosen.
        meaning: one line.
        objectives: how many it can minimise.
        least_population: the smallest batch it works with.
        kinds: the kinds of segments it can search.
        parameters: what can be set.
        module: where its class lives, imported when one is made.
        class_name: its class.
        measures: whether it fills an archive over measures, one at least.
    """

    name: str
    meaning: str
    objectives: Wanted
    least_population: int
    kinds: tuple[SegmentKind, ...]
    parameters: tuple[Parameter, ...]
    module: str
    class_name: str
    measures: bool = False


ALL_KINDS: tuple[SegmentKind, ...] = ("real", "integer", "categorical", "binary")

BEST_OF = Parameter(
    "best_of", 128, "best-of-N start: N random genomes, of which the best begin", 0, 100_000
)
SIGMA0 = Parameter("sigma0", 0.3, "first step size, in spreads of a fresh gene", 1e-6, 10)
GENETIC = (
    BEST_OF,
    Parameter("crossover", 0.9, "share of matings that mix their parents' genes", 0, 1),
    Parameter("mutation", 0.1, "share of genes changed in a child (bits: see flip)", 0, 1),
    Parameter("flip", 0.01, "share of bits flipped in a child", 0, 1),
    Parameter("sigma", 0.3, "length of a mutation step, in spreads of a fresh gene", 1e-6, 10),
)
CELLS = Parameter("cells", 10, "cells of the archive along each measure", 2, 4_096)
PUBLISHED = (
    Parameter("eta", 3, "index of crossover and polynomial mutation; small is far", 1, 100),
    Parameter("mutation", 0.5, "share of genes changed in a child (bits: see flip)", 0, 1),
    Parameter("flip", 0.01, "share of bits flipped in a child", 0, 1),
)

ALGORITHMS: tuple[AlgorithmInfo, ...] = (
    AlgorithmInfo(
        name="sep-cma-es",
        meaning="adapts a normal distribution, gene by gene; in w the highest by its own CLIP",
        objectives="one",
        least_population=4,
        kinds=("real",),
        parameters=(BEST_OF, SIGMA0),
        module="orchestrator.search.cma_es",
        class_name="SepCmaEs",
    ),
    AlgorithmInfo(
        name="cma-es",
        meaning="the same with a full covariance: slow above some hundred genes",
        objectives="one",
        least_population=4,
        kinds=("real",),
        parameters=(BEST_OF, SIGMA0),
        module="orchestrator.search.cma_es",
        class_name="CmaEs",
    ),
    AlgorithmInfo(
        name="ga",
        meaning="genetic algorithm: breeds the best, for genes of any kind; the default",
        objectives="one",
        least_population=2,
        kinds=ALL_KINDS,
        parameters=GENETIC,
        module="orchestrator.search.ga",
        class_name="GeneticAlgorithm",
    ),
    AlgorithmInfo(
        name="de",
        meaning="differential evolution: steps along differences between members",
        objectives="one",
        least_population=4,
        kinds=("real", "integer"),
        parameters=(
            BEST_OF,
            Parameter(
                "variant",
                "rand/1",
                "where a step starts, with binomial crossover",
                choices=("rand/1", "best/1", "current-to-best/1"),
            ),
            Parameter("F", 0.3, "length of a step as a share of the difference", 0, 2),
            Parameter(
                "dither",
                "vector",
                "vector: each trial draws its F between F and 1",
                choices=("vector", "none"),
            ),
            Parameter("CR", 0.5, "share of genes taken from the step", 0, 1),
        ),
        module="orchestrator.search.de",
        class_name="DifferentialEvolution",
    ),
    AlgorithmInfo(
        name="nsga2",
        meaning="NSGA-II: a genetic algorithm that keeps the best trade-offs of several objectives",
        objectives="several",
        least_population=4,
        kinds=ALL_KINDS,
        parameters=GENETIC,
        module="orchestrator.search.nsga2",
        class_name="Nsga2",
    ),
    AlgorithmInfo(
        name="nsga3",
        meaning="NSGA-III: the same, spread evenly over the front; for three objectives and more",
        objectives="several",
        least_population=4,
        kinds=ALL_KINDS,
        parameters=GENETIC,
        module="orchestrator.search.nsga3",
        class_name="Nsga3",
    ),
    AlgorithmInfo(
        name="map-elites",
        meaning="fills an archive with the best picture for each cell of your measures",
        objectives="one",
        least_population=1,
        kinds=ALL_KINDS,
        parameters=(*GENETIC, CELLS),
        module="orchestrator.search.map_elites",
        class_name="MapElites",
        measures=True,
    ),
    AlgorithmInfo(
        name="cma-me",
        meaning="CMA-ME: fills the same archive with sep-CMA-ES",
        objectives="one",
        least_population=4,
        kinds=("real",),
        parameters=(BEST_OF, SIGMA0, CELLS),
        module="orchestrator.search.cma_me",
        class_name="CmaMe",
        measures=True,
    ),
    AlgorithmInfo(
        name="random",
        meaning="random search: keeps the best of fresh genomes; the baseline",
        objectives="any",
        least_population=1,
        kinds=ALL_KINDS,
        parameters=(),
        module="orchestrator.search.random_search",
        class_name="RandomSearch",
    ),
    AlgorithmInfo(
        name="glass-ga",
        meaning="CLIP-GLaSS's GA as published, faults and all; ga in the legacy profile",
        objectives="one",
        least_population=2,
        kinds=ALL_KINDS,
        parameters=PUBLISHED,
        module="orchestrator.search.clip_glass",
        class_name="GlassGa",
    ),
    AlgorithmInfo(
        name="glass-nsga2",
        meaning="CLIP-GLaSS's NSGA-II as published; nsga2 in the legacy profile",
        objectives="several",
        least_population=4,
        kinds=ALL_KINDS,
        parameters=PUBLISHED,
        module="orchestrator.search.clip_glass",
        class_name="GlassNsga2",
    ),
    AlgorithmInfo(
        name="thesis-de",
        meaning="the thesis's DE/rand/1/bin as it ran; de in the legacy profile",
        objectives="one",
        least_population=4,
        kinds=("real", "integer"),
        parameters=(
            Parameter("F", 0.3, "each trial draws its F between this and 1", 0, 2),
            Parameter("CR", 0.5, "share of genes taken from the step", 0, 1),
        ),
        module="orchestrator.search.thesis_de",
        class_name="ThesisDE",
    ),
)


def describe_algorithms() -> tuple[AlgorithmInfo, ...]:
    """Every algorithm with its parameters, in the order in which to show them."""
    return ALGORITHMS
