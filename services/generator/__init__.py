"""Generators: genomes in, pictures out. One file a family of models; `role` serves any of them."""
