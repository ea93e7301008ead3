"""One HTML page about one run or several, complete in itself: no network, no other file.

A content security policy in the page forbids every request, so that one may open a page that a
stranger sent. Pictures are data within it, charts are SVG, and forty lines of script move the
slider. Text from a run (its prompt, say) is escaped by the template.
"""

from __future__ import annotations

import base64
import io
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from orchestrator.reports import charts
from orchestrator.reports.comparison import differing, outcomes
from orchestrator.reports.reading import HIDDEN, Story
from orchestrator.terminal.snapshot import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.runs.pictures import Pixels

MOST_FRAMES = 60
FRAME_SIDE = 768
"""Pixels along a frame's longer side, at most."""
MOST_TILES = 256


def page(stories: Sequence[Story]) -> str:
    """The page about these runs, at least one."""
    environment = Environment(
        loader=PackageLoader("orchestrator.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = [charts.convergence(stories), charts.spread(stories), charts.front(stories)]
    return environment.get_template("page.html").render(
        title=stories[0].summary.prompt if len(stories) == 1 else f"{len(stories)} runs",
        version=version("glasshouse"),
        runs=[_run(story) for story in stories],
        charts=[Markup(chart) for chart in drawn if chart],  # noqa: S704 # our own SVG
        names=[story.summary.name for story in stories],
        differing=differing(stories) if len(stories) > 1 else {},
        outcomes=outcomes(stories),
    )


def _run(story: Story) -> dict[str, Any]:
    settings = {
        name: value
        for name, value in story.settings.items()
        if name not in {"prompt", "command"} and value not in ("", {}, None)
    }
    return {
        "name": story.summary.name,
        "prompt": printable(story.summary.prompt),
        "parent": story.summary.parent,
        "command": printable(str(story.settings.get("command", ""))),
        "settings": settings,
        "services": [{"role": "", "model": "", "digest": "", **one} for one in story.services],
        "swaps": story.swaps,
        "frames": _frames(story),
        "tiles": _tiles(story),
        "captions": _captions(story),
        "pictures": [_picture(path, recipe) for path, recipe in story.pictures],
        "timings": Markup(charts.timings(story)),  # noqa: S704 # our own SVG
    }


def _frames(story: Story) -> list[dict[str, Any]]:
    """Grids for the slider, evenly thinned out where there are too many."""
    numbers = sorted(story.grids)
    if len(numbers) > MOST_FRAMES:
        kept = np.linspace(0, len(numbers) - 1, MOST_FRAMES).round().astype(int)
        numbers = [numbers[index] for index in kept]
    frames = []
    for number in numbers:
        data = _frame(story.grids[number])
        if data:
            frames.append({"generation": number, "data": data})
    return frames


def _frame(path: Path) -> str:
    """A kept grid, smaller where it is large; nothing where it cannot be read."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            if max(image.size) <= FRAME_SIDE:
                return _data("webp", content)
            image.thumbnail((FRAME_SIDE, FRAME_SIDE))
            file = io.BytesIO()
            image.save(file, "WEBP", quality=80, method=2)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ""
    return _data("webp", file.getvalue())


def _tiles(story: Story) -> list[dict[str, Any]]:
    """The last population, each picture with its rank and score."""
    if story.population is None or not story.generations:
        return []
    scores = story.generations[-1].get("scores") or []
    pairs = zip(story.population[:MOST_TILES], scores, strict=False)
    return [
        {"rank": rank, "score": _score(score), "data": _data("webp", _webp(image))}
        for rank, (image, score) in enumerate(pairs, 1)
    ]


def _captions(story: Story) -> list[dict[str, Any]]:
    """The best captions of the last population, where the run wrote such."""
    last = story.generations[-1] if story.generations else {}
    pairs = zip(last.get("captions") or [], last.get("scores") or [], strict=False)
    return [{"text": printable(text), "score": _score(score)} for text, score in pairs]


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.4f}"


def _picture(path: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in recipe.items() if name not in HIDDEN}
    return {
        "name": path.name,
        "data": _data("png", path.read_bytes()),
        "fields": fields,
        "command": printable(str(recipe.get("command", ""))),
    }


def _webp(image: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", quality=85, method=2)
    return file.getvalue()


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
