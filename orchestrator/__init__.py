"""Drives the search: starts or finds services, asks, evaluates, tells, shows and keeps.

Imports `protocol`; never `services` (it starts them as processes) and never torch. From Python it
is used through `Search` and `connect` (`library.py`), which are imported when they are asked for,
so that the command line stays quick.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.library import Connection, Search, connect

__all__ = ["Connection", "Search", "connect"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from orchestrator import library

    return getattr(library, name)
