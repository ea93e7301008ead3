"""`models`: which models there are, and how their files come to this machine.

`service models` and `orchestrator models` are this, the second through a process of its own,
because the orchestrator knows no services (docs/architecture.md).
"""

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protocol.errors import mistakes_in_one_sentence

if TYPE_CHECKING:
    from services.catalogue import Model

app = typer.Typer(
    help="List models, fetch them, or register files of your own.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

HEADINGS = ("NAME", "ROLE", "HERE", "PICTURES", "LATENT SPACE", "MB", "LICENCE", "FROM")
LEAST_COLUMNS = 3  # names, roles and whether they are here stay in the narrowest terminal
GAP = "  "
OpenClip = Annotated[
    str,
    typer.Option(
        "--open-clip", metavar="MODEL[:TAG]", help="Of a CLIP: open_clip's name of its network."
    ),
]
BarRows = Annotated[
    int,
    typer.Option("--bar-rows", min=0, help="Black rows above and below the pictures, left out."),
]


@app.callback()
def models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with digests.")] = False,
    all_clips: Annotated[
        bool, typer.Option("--all", help="Also every CLIP that open_clip knows.")
    ] = False,
) -> None:
    """List the models that can be served, and whether they are on this machine.

    orchestrator models pull stylegan2-ffhq
    """
    if context.invoked_subcommand is not None:
        return
    from services.catalogue import all_models

    found = all_models()
    if all_clips:
        from services.fetching.open_clips import open_clip_models

        found += open_clip_models()
    print(_json(found) if as_json else _table(found, _terminal_width()))


@app.command()
def show(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="As `models` lists them.")],
) -> None:
    """Show all that is known of models: licence, source, digest, place.

    orchestrator models show stylegan2-ffhq
    """
    from services.fetching.pull import row_of

    print("\n\n".join(_card(row_of(name)) for name in names))


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="As `models` lists them.")],
) -> None:
    """Fetch models from where they were published, verify them, and convert them once.

    orchestrator models pull stylegan2-church clip-vit-b32
    """
    from services.fetching.pull import pull as fetch

    for name in names:
        _print(fetch(name, _say))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of the catalogue, or one of your own.")],
    file: Annotated[Path, typer.Option("--file", "-f", help="The model's file.")],
    open_clip: OpenClip = "",
    bar_rows: BarRows = 0,
) -> None:
    """Register a file of yours; one in another format is converted once.

    orchestrator models add stylegan2-ffhq --file stylegan2-ffhq-config-f.pkl
    """
    from services.fetching.pull import add as register
    from services.fetching.sandbox import Known

    _print(register(name, file, Known(open_clip, bar_rows), _say))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A model's file in a format of others.")],
    name: Annotated[str, typer.Option("--name", help="What to call it; FILE's by default.")] = "",
    folder: Annotated[Path, typer.Option("--folder", help="Where to put it.")] = Path(),
    open_clip: OpenClip = "",
    bar_rows: BarRows = 0,
) -> None:
    """Convert FILE once to checkpoints that services load, in a process that can do nothing else.

    orchestrator models import network-snapshot-025000.pkl --name my-faces
    """
    from services.fetching.sandbox import Known, convert

    _print(convert(file, folder, name or file.stem, Known(open_clip, bar_rows), _say))


def run(program: str) -> None:
    """Run as a command of its own, called `program`; mistakes end in one sentence."""
    with mistakes_in_one_sentence(program.split(maxsplit=1)[0]):
        app(prog_name=program)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _print(files: list[Path]) -> None:
    for file in files:
        print(file)


def _json(models: "list[Model]") -> str:
    rows = [{**asdict(row), "here": row.here, "place": str(row.place)} for row in models]
    return json.dumps(rows, indent=2)


def _table(models: "list[Model]", width: int = 0) -> str:
    """As many columns as fit into `width`; all if it is 0."""
    rows = [HEADINGS, *(_cells(model) for model in models)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    shown = len(HEADINGS)
    while width and shown > LEAST_COLUMNS and sum(widths[:shown]) + len(GAP) * (shown - 1) > width:
        shown -= 1
    lines = [
        GAP.join(cell.ljust(room) for cell, room in zip(row[:shown], widths, strict=False)).rstrip()
        for row in rows
    ]
    if hidden := [heading.lower() for heading in HEADINGS[shown:]]:
        lines += ["", f"also {', '.join(hidden)}: orchestrator models show NAME"]
    return "\n".join(lines)


def _terminal_width() -> int:
    """Of the terminal that is written to; 0 where it is none, such as a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _card(model: "Model") -> str:
    """All that is known of one model, a line each."""
    facts = dict(zip(HEADINGS, _cells(model), strict=True))
    lines = [
        ("about", model.about),
        *((heading.lower(), facts[heading]) for heading in HEADINGS[1:]),
        ("with it", ", ".join(model.beside)),
        ("sha-256", model.sha256 or ("as the hub says" if model.source.startswith("hub:") else "")),
        ("place", str(model.place) if model.weights else ""),
    ]
    told = (f"  {what:13} {said}" for what, said in lines if said)
    return "\n".join([model.name, *told])


def _cells(model: "Model") -> tuple[str, ...]:
    from services.catalogue import PACKAGE

    size = model.place.stat().st_size if model.place.is_file() else model.size_bytes
    return (
        model.name,
        model.role,
        "package" if model.source.startswith(PACKAGE) else "yes" if model.here else "no",
        model.resolution,
        model.space,
        f"{size / 1e6:.0f}" if size else "",
        model.licence,
        model.source or "a file of yours",
    )


if __name__ == "__main__":
    run("orchestrator models")
