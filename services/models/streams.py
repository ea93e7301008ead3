"""Randomness of a row's own: the same genome draws the same numbers, whoever shares its batch."""

import hashlib

import torch
from torch import Tensor


def row_streams(genomes: Tensor, seed: int = 0) -> list[torch.Generator]:
    """A generator of random numbers on the CPU for each of (n, size) genomes, seeded by its bytes.

    Args:
        genomes: rows; of equal ones the streams are equal.
        seed: for other streams, 0 or more.
    """
    rows = genomes.detach().cpu().float().numpy()
    return [torch.Generator().manual_seed(_row_seed(row.tobytes(), seed)) for row in rows]


def _row_seed(genome: bytes, seed: int) -> int:
    digest = hashlib.blake2b(genome, digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") >> 1
