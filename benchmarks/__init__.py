"""Measurements, each a command that prints a table: `python -m benchmarks.NAME`.

A claim of speed or quality in the docs names the command that prints it. Times are compared within
one run only, as ratios against a named rival.
"""

import os

os.environ["GLASSHOUSE_REMEMBER_MB"] = "0"  # what is asked twice must be computed twice
