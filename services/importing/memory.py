"""How much memory there is."""

import sys
from pathlib import Path

KIB = 1024


def available_bytes() -> int:
    """What the kernel says could be used now without swapping; no limit where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return sys.maxsize
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * KIB if found else sys.maxsize
