"""A service in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from services.runtime.server import Server


@contextmanager
def serving(server: Server) -> Iterator[str]:
    """Its endpoint, while it serves."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.endpoint
    finally:
        server.drain("the test is over", within_s=1.0)
        thread.join(120)
