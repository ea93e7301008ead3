"""Fixtures that many tests share: tiny models, a private runtime folder, no leftovers."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint for each role, with random weights."""
    from tests import tiny

    folder = tmp_path_factory.mktemp("models")
    return {
        "generator": tiny.save_generator(folder / "generator.safetensors"),
        "clip": tiny.save_clip(folder / "clip.safetensors"),
        "discriminator": tiny.save_discriminator(folder / "discriminator.safetensors"),
    }


@pytest.fixture
def runtime_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A runtime folder of the test's own; at the end no socket and no child may be left."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = tmp_path / "glasshouse"
    yield folder
    left = [path.name for path in folder.glob("*")] if folder.exists() else []
    assert left == []
    assert psutil.Process().children(recursive=True) == []
