"""Model cards: what each bundled model is, how it came about, what it reaches, what it draws."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from torch import Tensor

from miniatures.evaluation.goals import Row, wanted
from services.models.checkpoints import load_checkpoint

BUFFER: Final = re.compile(
    r"(resample_filter|noise_const|w_avg|weight_[uv]|num_batches_tracked|running_(mean|var)s?)$"
)
HEAD = """# The miniatures: {what}

Written by `python -m miniatures evaluate`; do not edit. What is wanted is in
`miniatures/evaluation/goals.py`; figures without a goal only inform."""


def write_cards(path: Path, what: str, weights: Path, rows: Iterable[Row]) -> None:
    """A Markdown page with a heading for each model that has figures."""
    parts = [HEAD.format(what=what)]
    for model, found in groupby(rows, key=itemgetter(0)):
        file = weights / f"{model}.safetensors"
        parts += [f"## {model}", *(_card(file) if file.is_file() else ()), *_figures(found)]
        parts += [
            f"![{one.stem}]({one.name})" for one in sorted(path.parent.glob(f"{model}*.webp"))
        ]
    path.write_text("\n\n".join(parts) + "\n")


def _card(file: Path) -> Iterator[str]:
    """What the file says of itself."""
    checkpoint = load_checkpoint(file)
    parameters = parameter_count(checkpoint.tensors)
    card = checkpoint.card
    size = file.stat().st_size
    yield f"{card['what'][0].upper()}{card['what'][1:]}."
    yield (
        f"- {checkpoint.architecture}, {parameters / 1e6:.1f} M parameters, {size / 1e6:.1f} MB, "
        f"`{checkpoint.digest[:20]}`\n"
        f"- training: {card['training']}\n- data: {card['data']}\n- licence: {card['licence']}"
    )


def parameter_count(tensors: Mapping[str, Tensor]) -> int:
    """How many numbers are learnt: of tensors by name, those that are no buffers."""
    return sum(tensor.numel() for name, tensor in tensors.items() if not BUFFER.search(name))


def _figures(rows: Iterable[Row]) -> Iterator[str]:
    """Remarks, then the table."""
    known = list(rows)
    yield from (f"- {figure}" for _, figure, value in known if value is None)
    lines = [
        f"| {figure} | {value:.3f} | {wanted(model, figure, value)} |"
        for model, figure, value in known
        if value is not None
    ]
    if lines:
        yield "\n".join(["| figure | value | wanted |", "|---|--:|---|", *lines])
