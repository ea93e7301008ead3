"""Search: algorithms that propose genomes and learn from their objective values.

`make_algorithm` gives an `Algorithm` with `ask` and `tell`; everything else here describes
algorithms, moves between latent spaces and flat arrays, or picks from a front. Importing this
package imports neither pymoo nor cma.
"""

from orchestrator.search.algorithm import Algorithm, Objectives, Population, Settings
from orchestrator.search.catalogue import AlgorithmInfo, Parameter, describe_algorithms
from orchestrator.search.choice import check_choice, make_algorithm
from orchestrator.search.pareto import (
    Picks,
    knee,
    knee_and_extremes,
    most_real,
    non_dominated,
)
from orchestrator.search.refinement import Refinement, check_refinable
from orchestrator.search.space import Genomes, repair, row_hashes, sample

__all__ = [
    "Algorithm",
    "AlgorithmInfo",
    "Genomes",
    "Objectives",
    "Parameter",
    "Picks",
    "Population",
    "Refinement",
    "Settings",
    "check_choice",
    "check_refinable",
    "describe_algorithms",
    "knee",
    "knee_and_extremes",
    "make_algorithm",
    "most_real",
    "non_dominated",
    "repair",
    "row_hashes",
    "sample",
]
