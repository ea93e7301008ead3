"""What does a request of 64 bytes cost against a raw ping-pong of pyzmq over ipc?

`describe` passes the service's I/O thread only; `embed` is a row through queue and compute thread.

    python -m benchmarks.roundtrip --repeats 7 --times 500
"""

import tempfile
from pathlib import Path

import numpy as np
import typer

from benchmarks.roles import Seeing, connect, serving
from benchmarks.timing import in_turn, ping_pong, show
from protocol.client import Client
from protocol.messages import Describe, EmbedImages
from protocol.tensors import TensorWriter


def main(repeats: int = 7, times: int = 500) -> None:
    """Print the table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(clip=Seeing(1, 4)) as endpoints,
        ping_pong(f"ipc://{Path(folder, 'echo.sock')}", bytes(64)) as raw,
        Client("benchmark") as client,
    ):
        clip = connect(client, endpoints["clip"], "clip")
        writer = TensorWriter()
        call = EmbedImages(images=writer.add(np.zeros((1, 4, 4, 3), np.uint8)))
        found = in_turn(
            repeats,
            times,
            ping_pong=raw,
            describe=lambda: client.call(clip, Describe()).answer(),
            embed=lambda: client.call(clip, call, writer.frames).answer(),
        )
    show("one request of about 64 bytes and its reply", found, "ping_pong")


if __name__ == "__main__":
    typer.run(main)
