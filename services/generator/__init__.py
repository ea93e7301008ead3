"""Generators: genomes in, pictures out. One file an architecture; `role` serves any of them."""
