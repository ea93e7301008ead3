"""What does it cost to get a batch of pictures from the generator's model to clip's?

By slot and by relay, between two services whose models cost nothing: from the moment at which the
generator's model has its pictures to that at which clip's model is given them. The model writes
them into the slot itself, as the real ones' last step does, so on the way is one round trip: the
reply to the orchestrator, and its request to clip. The rivals: one memcpy of the pictures into a
warm buffer plus one raw round trip, and the relay. The last two lines are whole, with the writing:
both requests of the orchestrator, sent and answered.

On a machine that computes other things, what is measured is their time slices; `chrt -r 5` before
the command (as root) puts both sides before them.

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
from protocol.messages import Embeddings, EmbedImages, Generate, Pictures
from protocol.tensors import Array, Slot, TensorWriter
from services.runtime.role import Options


class Handing(Drawing):
    """Writes into its first picture when it was ready, in seconds of the machine's clock."""

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Pictures."""
        (pictures,) = super().compute(options, values)
        pictures.reshape(-1)[:8].view(np.float64)[0] = time.monotonic()
        return (pictures,)


class Taking(Seeing):
    """Embeds pictures as their age, in seconds."""

    def compute(self, options: Options, values: Array) -> tuple[Array, ...]:
        """Ages."""
        del options
        age_s = time.monotonic() - float(values.reshape(-1)[:8].view(np.float64)[0])
        return (np.full((len(values), 8), age_s, np.float32),)


def main(rows: int = 64, side: int = 256, repeats: int = 7, times: int = 30) -> None:
    """Print the table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(generator=Handing(rows, side), clip=Taking(rows, side)) as endpoints,
        ping_pong(f"ipc://{Path(folder, 'echo.sock')}", bytes(64)) as raw,
        Client("benchmark") as client,
    ):
        generator = connect(client, endpoints["generator"], "generator")
        clip = connect(client, endpoints["clip"], "clip")
        welcome = generator.session.welcome
        if not (welcome and welcome.pool and client.can_read(welcome.pool)):
            raise SystemExit("no shared memory here; see GLASSHOUSE_SHM in protocol/slots.py")
        pictures = np.full((rows, side, side, 3), 7, np.uint8)
        warm = pictures.copy()
        cpu: dict[bool, list[float]] = {True: [], False: []}

        def pass_on(*, slots: bool) -> float:
            """Seconds from model to model."""
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
            seen = client.call(clip, EmbedImages(images=ref), writer.frames).answer()
            client.release(generator, drawn)
            cpu[slots].append(time.process_time() - started)
            if not isinstance(seen.reply.result, Embeddings):
                raise TypeError(seen.reply.result)
            return float(seen.tensor(seen.reply.result.embeddings)[0, 0])

        def copy_and_ping() -> None:
            np.copyto(warm, pictures)
            raw()

        def both_requests(*, slots: bool) -> None:
            pass_on(slots=slots)

        found = in_turn(
            repeats,
            times,
            memcpy_and_ping=copy_and_ping,
            slot=lambda: pass_on(slots=True),
            relay=lambda: pass_on(slots=False),
            two_requests_slot=lambda: both_requests(slots=True),
            two_requests_relay=lambda: both_requests(slots=False),
        )
    show(f"{pictures.nbytes / 1e6:.1f} MB from generator to clip", found, "memcpy_and_ping")
    by_slot, relayed = (np.median(cpu[slots]) * 1e3 for slots in (True, False))
    typer.echo(f"relay / slot: {np.median(found['relay']) / np.median(found['slot']):.1f} in time")
    typer.echo(f"CPU of the orchestrator: {by_slot:.2f} ms by slot, {relayed:.2f} ms by relay")


if __name__ == "__main__":
    typer.run(main)
