"""Many searches on one clip service: what do they get together, and does one suffer by another?

The model takes a fixed time a batch. The rivals: the model called in a loop without any service,
and a small search that has the service to itself.

    python -m benchmarks.sharing --seconds 3 --batch-ms 20
"""

import statistics
import threading
import time

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.roles import Seeing, connect, serving
from protocol.client import Client, Service
from protocol.messages import EmbedImages
from protocol.session import Pending
from protocol.tensors import TensorWriter

ROWS, SIDE, IN_FLIGHT = 16, 32, 2


def submit(client: Client, clip: Service, rows: int) -> Pending:
    """One request for rows of noise."""
    writer = TensorWriter()
    call = EmbedImages(images=writer.add(np.zeros((rows, SIDE, SIDE, 3), np.uint8)))
    return client.submit(clip, call, writer.frames)


def search(endpoint: str, stop: threading.Event, start: threading.Barrier, done: list[int]) -> None:
    """Keep two micro-batches under way until told to stop; the rows that came back go to `done`."""
    with Client("search") as client:
        clip = connect(client, endpoint, "clip")
        start.wait()
        waiting = [submit(client, clip, ROWS) for _ in range(IN_FLIGHT)]
        while not stop.is_set():
            for pending in client.wait(waiting):
                pending.answer()
                waiting.remove(pending)
                waiting.append(submit(client, clip, ROWS))
                done.append(ROWS)


def together(endpoint: str, searches: int, seconds: float) -> list[float]:
    """Rows a second of each of some equal searches."""
    stop, start = threading.Event(), threading.Barrier(searches + 1)
    done: list[list[int]] = [[] for _ in range(searches)]
    threads = [threading.Thread(target=search, args=(endpoint, stop, start, mine)) for mine in done]
    for thread in threads:
        thread.start()
    start.wait()
    time.sleep(seconds / 4)
    before = [sum(mine) for mine in done]
    began = time.perf_counter()
    time.sleep(seconds)
    rows = [sum(mine) - its for mine, its in zip(done, before, strict=True)]
    elapsed = time.perf_counter() - began
    stop.set()
    for thread in threads:
        thread.join()
    return [its / elapsed for its in rows]


def alone(role: Seeing, seconds: float) -> float:
    """Rows a second of the model in a loop."""
    batch = np.zeros((ROWS, SIDE, SIDE, 3), np.uint8)
    began, rows = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        role.compute("see", batch)
        rows += ROWS
    return rows / (time.perf_counter() - began)


def small_beside_large(endpoint: str, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of a 16-row request, alone and just behind one of 1,024 rows."""
    with Client("small") as small, Client("large") as large:
        mine, other = (connect(client, endpoint, "clip") for client in (small, large))

        def timed() -> float:
            began = time.perf_counter()
            small.wait([submit(small, mine, ROWS)])
            return time.perf_counter() - began

        free = [timed() for _ in range(repeats)]
        beside = []
        for _ in range(repeats):
            waiting = [submit(large, other, 1024)]
            large.pump(0.1)  # until it is being computed
            beside.append(timed())
            large.wait(waiting)
    return free, beside


def jain(shares: list[float]) -> float:
    """Jain's index of fairness, 1 for equal shares."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def main(seconds: float = 3.0, batch_ms: float = 20.0, repeats: int = 5) -> None:
    """Print the tables."""
    role = Seeing(ROWS, SIDE, batch_ms)
    table = Table(
        "searches", "rows/s", "of the model alone", "Jain index", title=f"{batch_ms:.0f} ms a batch"
    )
    with serving(clip=role) as endpoints:
        for searches in (1, 2, 4, 8):
            rival = alone(role, seconds / 2)
            shares = together(endpoints["clip"], searches, seconds)
            total = sum(shares)
            table.add_row(
                str(searches), f"{total:.0f}", f"{total / rival:.3f}", f"{jain(shares):.4f}"
            )
        free, beside = small_beside_large(endpoints["clip"], repeats)
    Console().print(table)
    ratio = statistics.median(beside) / statistics.median(free)
    typer.echo(f"16 rows beside 1,024: {ratio:.1f} times as long as alone")


if __name__ == "__main__":
    typer.run(main)
