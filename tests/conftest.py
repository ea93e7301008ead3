"""Fixtures that many tests share: tiny models, a private runtime folder, no leftovers."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

import benchmarks  # noqa: F401 # which turns the memory for answers off: see below

os.environ.pop("GLASSHOUSE_REMEMBER_MB", None)  # measurements ask twice; services remember

# Tests send signals, which a shell that started them in the background may have them ignore.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

# A loaded machine must not change a verdict: properties have no deadline of their own.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the session's own: what random latents look like is measured once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


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
def shm_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the test's own for shared memory."""
    folder = Path(tempfile.mkdtemp(prefix="glasshouse-test-", dir="/dev/shm"))
    monkeypatch.setenv("GLASSHOUSE_SHM", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def keys_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of the test's own for keys, which nobody has made yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "glasshouse"


@pytest.fixture
def runtime_folder(monkeypatch: pytest.MonkeyPatch, shm_folder: Path) -> Iterator[Path]:
    """A runtime folder of the test's own; at the end no socket, pool or child may be left.

    It is not in `tmp_path`, whose name leaves no room for a socket's where tests run side by side.
    """
    before = psutil.Process().children(recursive=True)
    base = Path(tempfile.mkdtemp(prefix="gh-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    folder = base / "glasshouse"
    yield folder
    left = [path.name for path in folder.glob("*")] if folder.exists() else []
    left += [path.name for path in shm_folder.glob("*")]
    shutil.rmtree(base)
    assert left == []
    children = psutil.Process().children(recursive=True)
    assert [child for child in children if child not in before] == []
