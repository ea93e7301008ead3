"""What does it cost to get a batch of pictures from generator to clip?

By slot and by relay: the same two requests (generate, embed) of an orchestrator to two services
whose models cost nothing. The rivals: one memcpy of the pictures into a warm buffer plus one raw
round trip, and the relay.

    python -m benchmarks.handoff --rows 64 --side 256
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import typer

from benchmarks.roles import SPACE, Drawing, Seeing, connect, serving
from benchmarks.timing import in_turn, ping_pong, show
from protocol.client import Client
from protocol.messages import EmbedImages, Generate, Pictures
from protocol.tensors import Slot, TensorWriter


def main(rows: int = 64, side: int = 256, repeats: int = 7, times: int = 30) -> None:
    """Print the table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(generator=Drawing(rows, side), clip=Seeing(rows, side)) as endpoints,
        ping_pong(f"ipc://{Path(folder, 'echo.sock')}", bytes(64)) as raw,
        Client("benchmark") as client,
    ):
        generator = connect(client, endpoints["generator"], "generator")
        clip = connect(client, endpoints["clip"], "clip")
        if not client.can_hand_off(generator, [clip]):
            raise SystemExit("no shared memory here; see GLASSHOUSE_SHM in protocol/slots.py")
        pictures = np.full((rows, side, side, 3), 7, np.uint8)
        warm = pictures.copy()
        cpu: dict[bool, list[float]] = {True: [], False: []}

        def pass_on(*, slots: bool) -> None:
            started = time.process_time()
            writer = TensorWriter()
            genomes = writer.add(np.zeros((rows, SPACE.size), np.float32))
            call = Generate(space="z", genomes=genomes)
            drawn = client.submit(generator, call, writer.frames, slots=slots)
            client.wait([drawn])
            answer, writer = drawn.answer(), TensorWriter()
            result = answer.reply.result
            if not isinstance(result, Pictures) or isinstance(result.images, Slot) is not slots:
                raise TypeError(result)
            ref = result.images if slots else writer.add(answer.tensor(result.images))
            client.call(clip, EmbedImages(images=ref), writer.frames).answer()
            client.release(generator, drawn)
            cpu[slots].append(time.process_time() - started)

        def copy_and_ping() -> None:
            np.copyto(warm, pictures)
            raw()

        found = in_turn(
            repeats,
            times,
            memcpy_and_ping=copy_and_ping,
            slot=lambda: pass_on(slots=True),
            relay=lambda: pass_on(slots=False),
        )
    show(f"{pictures.nbytes / 1e6:.1f} MB from generator to clip", found, "memcpy_and_ping")
    by_slot, relayed = (np.median(cpu[slots]) * 1e3 for slots in (True, False))
    typer.echo(f"relay / slot: {np.median(found['relay']) / np.median(found['slot']):.1f} in time")
    typer.echo(f"CPU of the orchestrator: {by_slot:.2f} ms by slot, {relayed:.2f} ms by relay")


if __name__ == "__main__":
    typer.run(main)
