"""Experiments: a grid of runs over one fleet, their results in one file, and what it shows."""
