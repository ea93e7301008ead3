"""The command `service`: starts one service, lists models, asks a service how it is.

Nothing heavy is imported before it is known what to do, so `--help` and mistakes answer at once.
"""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from protocol.errors import mistakes_in_one_sentence
from services.fetching.commands import app as models

app = typer.Typer(
    help="Start a Glasshouse service: one process that holds one model and answers requests.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(models, name="models")

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Catalogue name or path to a .safetensors file; with options, as in "
        "mini-car,noise=none (docs/models.md).",
    ),
]
PrecisionOption = Annotated[
    str | None, typer.Option("--precision", help="float32, bf16 or fp16; float32 by default.")
]
BindOption = Annotated[
    str,
    typer.Option("--bind", help="ipc:///path or tcp://127.0.0.1:PORT; a fresh socket by default."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu or cuda:N.")]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=0, help="CPU threads; 0 for one a core.")
]
OwnedOption = Annotated[
    bool, typer.Option("--owned", help="End when stdin closes: the parent holds the other end.")
]


def _serve(  # what the commands share
    role: str,
    model: str,
    bind: str,
    device: str,
    threads: int,
    *,
    owned: bool,
    **options: object,
) -> None:
    from protocol.naming import with_options
    from services.runtime.process import ServeOptions, serve

    told = {name: str(value) for name, value in options.items() if value is not None}
    serve(ServeOptions(role, with_options(model, told), bind, device, threads, owned))  # type: ignore[arg-type] # ours


@app.command()
def generator(
    model: ModelOption = "mini-car",
    bind: BindOption = "",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 0,
    precision: PrecisionOption = None,
    owned: OwnedOption = False,
) -> None:
    """Serve a generator: genomes in, pictures out."""
    _serve("generator", model, bind, device, threads, owned=owned, precision=precision)


@app.command()
def clip(  # noqa: PLR0917 # one parameter an option
    model: ModelOption = "mini-clip",
    bind: BindOption = "",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 0,
    precision: PrecisionOption = None,
    augment: Annotated[
        int | None,
        typer.Option(min=0, help="Random crops of each picture to look at; 0 for none."),
    ] = None,
    owned: OwnedOption = False,
) -> None:
    """Serve a CLIP: texts and pictures to vectors."""
    _serve("clip", model, bind, device, threads, owned=owned, precision=precision, augment=augment)


@app.command()
def discriminator(
    model: ModelOption = "mini-car-discriminator",
    bind: BindOption = "",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 0,
    precision: PrecisionOption = None,
    owned: OwnedOption = False,
) -> None:
    """Serve a discriminator: how real pictures look."""
    _serve("discriminator", model, bind, device, threads, owned=owned, precision=precision)


@app.command()
def classifier(
    model: ModelOption = "mini-object-classifier",
    bind: BindOption = "",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 0,
    owned: OwnedOption = False,
) -> None:
    """Serve a classifier: what pictures show."""
    _serve("classifier", model, bind, device, threads, owned=owned)


@app.command()
def scorer(
    function: Annotated[str, typer.Argument(help="Your judge, as file.py:function.")],
    height: Annotated[int, typer.Option("--height", min=1, max=4096, help="Of its pictures.")],
    width: Annotated[int, typer.Option("--width", min=1, max=4096, help="Of its pictures.")],
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="Its number is to be made small.")
    ] = False,
    bind: BindOption = "",
    owned: OwnedOption = False,
) -> None:
    """Serve a Python function of your own: pictures to numbers."""
    from protocol.messages import ScorerInfo
    from services.runtime.process import ServeOptions, serve

    about = ScorerInfo(height, width, lower_is_better)
    serve(ServeOptions("scorer", function, bind, owned=owned, scorer=about))


@app.command()
def measure(
    file: Annotated[Path, typer.Argument(help="Arrays, .npz; see services/measuring.py.")],
    figures: Annotated[list[str], typer.Argument(help="inception, frechet, kernel or lpips.")],
) -> None:
    """Print figures over a whole set of pictures as JSON, from what classifiers said of them."""
    import json
    from dataclasses import asdict

    from services.measuring import measure as found

    print(json.dumps([asdict(figure) for figure in found(file, figures)]))


@app.command()
def ping(
    role: Annotated[str, typer.Argument(help="generator, clip, classifier, ...")],
    endpoint: Annotated[str, typer.Argument(help="Where the service listens.")],
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds.")] = 5.0,
) -> None:
    """Ask a service how it is; exit code 0 if it is ready or busy."""
    from protocol.client import Client

    with Client("service ping") as client:
        service = client.connect(endpoint, role, timeout_s=timeout_s)  # type: ignore[arg-type] # refused by the service
        client.await_pong(service, timeout_s)
        pong = service.pong
        print(f"{service.state} model={service.info.model} queue={pong.queue_rows if pong else 0}")
        if service.state not in {"ready", "busy"}:
            raise typer.Exit(4)


@app.command()
def check(
    endpoint: Annotated[str, typer.Argument(help="Where the service listens.")],
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds for each answer.")
    ] = 30.0,
) -> None:
    """Check that a service, ours or yours, keeps docs/wire.md; exit code 0 if it does, else 5."""
    from protocol.errors import ProtocolError
    from services.conformance.bench import Bench, Violation
    from services.conformance.checks import run

    violations = 0
    with Bench(endpoint, timeout_s) as bench:
        try:
            bench.find_role()
        except Violation as violation:
            raise ProtocolError(f"{endpoint} cannot be checked: {violation}") from violation
        print(f"{bench.welcome.info.model} at {endpoint}, a {bench.role}")
        for name, violated in run(bench):
            violations += bool(violated)
            print(f"VIOLATED  {name}: {violated}" if violated else f"ok        {name}")
    if violations:
        raise ProtocolError(f"{violations} checks are violated; see docs/wire.md")


def main() -> None:
    """Run the command line; mistakes end in one sentence and their exit code."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    with mistakes_in_one_sentence("service"):
        app()
