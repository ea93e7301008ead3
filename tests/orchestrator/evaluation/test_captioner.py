"""Pictures to caption as users have them, and texts on their way to clip."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.evaluation.captioner import MOST_TEXT_BYTES, portions, read_picture
from protocol.errors import BadRequestError, StorageError
from protocol.frames import MAX_HEADER_BYTES, encode
from protocol.messages import EmbedTexts, Request


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), max_size=60))
def test_texts_are_asked_about_in_order_and_fit_their_message(texts: list[str]) -> None:
    found = list(portions(texts))
    assert [text for _, part in found for text in part] == [text or " " for text in texts]
    assert [start for start, _ in found] == [
        sum(len(part) for _, part in found[:index]) for index in range(len(found))
    ]
    for _, part in found:
        request = Request(id=bytes(16), ttl_s=1.0, call=EmbedTexts(texts=tuple(part)))
        assert len(encode(request)[0]) < MAX_HEADER_BYTES


def test_the_longest_texts_go_one_by_one() -> None:
    assert [len(part) for _, part in portions(["x" * 1024] * 20)] == [7, 7, 6]
    assert MOST_TEXT_BYTES >= 1024


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type] # Pillow's own options
    return path


def test_pictures_of_every_kind_become_upright_opaque_rgb(tmp_path: Path) -> None:
    red = Image.new("RGB", (30, 20), "red")
    exif = Image.Exif()
    exif[274] = 6  # taken with the camera on its side
    turned, _ = read_picture(save(tmp_path / "turned.jpg", red, exif=exif))
    assert turned.shape == (30, 20, 3)
    clear, _ = read_picture(save(tmp_path / "clear.png", Image.new("RGBA", (4, 4), (0, 0, 0, 0))))
    assert clear.dtype == np.uint8
    assert (clear == 255).all()
    grey, _ = read_picture(save(tmp_path / "grey.webp", Image.new("L", (4, 4), 70)))
    assert np.ptp(grey[0, 0]) == 0


def test_another_picture_has_another_digest(tmp_path: Path) -> None:
    first = save(tmp_path / "a.png", Image.new("RGB", (4, 4), "red"))
    other = save(tmp_path / "b.png", Image.new("RGB", (4, 4), "blue"))
    assert read_picture(first)[1] == read_picture(first)[1] != read_picture(other)[1]


def test_what_is_no_picture_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError, match=r"read a picture at .*none.png: no such file"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(StorageError, match="is a directory"):
        read_picture(tmp_path)
    text = tmp_path / "text.png"
    text.write_text("a yellow car")
    whole = save(tmp_path / "whole.png", Image.effect_noise((64, 64), 50.0))
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:900])
    for path in (text, cut):
        with pytest.raises(BadRequestError, match="not a picture that can be read"):
            read_picture(path)
    for limit in (3_000, 1_000):  # Pillow warns above it, and refuses above twice of it
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(BadRequestError, match=f"more than {limit:,} pixels"):
            read_picture(whole)
