"""Files that cannot be imported end in one clear sentence, and nothing is half-written."""

import dataclasses
import os
from pathlib import Path

import pytest

from protocol.errors import WeightsError
from services import importing
from services.generator.biggan_deep_generator import find_classes
from services.importing import import_file
from services.models.checkpoints import load_checkpoint, save_checkpoint
from tests import tiny
from tests.services.importing import writers

SOURCE = "print('hello')\n"


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    path = tmp_path / "net.pkl"
    path.write_bytes(writers.nvidia_torch(writers.generator(), writers.discriminator(), SOURCE))
    return path


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        import_file(path, path.parent / "out", "net")
    assert not (path.parent / "out").exists()
    assert caught.value.exit_code == 6
    return str(caught.value)


def test_names_and_places(pickled: Path) -> None:
    written = import_file(pickled, pickled.parent / "a" / "b", "ffhq")
    assert [path.name for path in written] == [
        "ffhq.safetensors",
        "ffhq-discriminator.safetensors",
    ]
    assert sorted(written) == sorted((pickled.parent / "a" / "b").iterdir())


def test_other_files(tmp_path: Path) -> None:
    for name, content in {
        "text": b"once upon a time\n" * 100,
        "zeros": bytes(100_000),
        "empty": b"",
        "pickle": b"\x80\x04}\x94.",
        "zip": b"PK\x03\x04" + bytes(100),
    }.items():
        (tmp_path / name).write_bytes(content)
        told = refused(tmp_path / name)
        assert told.startswith(f"{tmp_path / name} cannot be imported: it is ")


def test_no_file_and_no_ordinary_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(WeightsError, match="there is no such file"):
            import_file(path, tmp_path / "out", "net")


def test_gigabytes_of_zeros_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "zeros.pkl"
    with path.open("wb") as file:
        file.truncate(10_000_000_000)  # sparse
    assert "it has 10.0 GB, but the largest that is read has 4.3 GB" in refused(path)
    with path.open("r+b") as file:
        file.write(b"\x80\x04c" + b"dnnlib.tflib.network")
        file.truncate(4_000_000_000)
    assert "cannot be imported: " in refused(path)


def test_a_cut_file(pickled: Path) -> None:
    pickled.write_bytes(pickled.read_bytes()[:-1000])
    assert "its pickle is damaged or cut off" in refused(pickled)


def test_too_little_memory(pickled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "available_bytes", lambda: 1000)
    assert "GB of memory, but only 0.0 GB are free" in refused(pickled)


def test_memory_that_runs_out(pickled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("services.importing.nvidia_torch.imported_discriminator", exhausted)
    assert "not enough memory" in refused(pickled)


def test_a_full_disk_leaves_neither_file(pickled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second file does not fit: the first goes too."""
    folder = pickled.parent / "out"
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("services.models.checkpoints.os.fsync", full)
    with pytest.raises(WeightsError, match="No space left on device"):
        import_file(pickled, folder, "net")
    assert list(folder.iterdir()) == []


def test_one_of_ours_keeps_its_card(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its classes have their names there (`class=sedan`), and its licence stays what it is."""
    card = {"name": "old", "classes": list("abcdef"), "licence": "MIT"}
    config = dataclasses.asdict(tiny.BIGGAN)
    source, tensors = tmp_path / "old.safetensors", tiny.biggan().state_dict()
    save_checkpoint(source, "biggan-deep-generator", config, tensors, card)
    (written,) = import_file(source, tmp_path / "out", "new")
    found = load_checkpoint(written)
    assert found.card.items() >= {**card, "name": "new", "source_file": "old.safetensors"}.items()
    assert find_classes("c", 6, found.card["classes"]) == [2]
    assert not caplog.records


def test_another_network(tmp_path: Path) -> None:
    """A tensor too many is named, and so is one that is missing."""
    g = writers.generator()
    state = writers.rosinality_generator(g)
    import torch

    for change, told in (
        ({"style.1.weight": None}, "its tensor style.1.weight is missing"),
        ({"decoder.weight": torch.zeros(1)}, "its tensor decoder.weight is none of StyleGAN2's"),
        ({"style.1.bias": torch.full((8,), torch.nan)}, "something else than finite numbers"),
        (
            {"style.1.bias": torch.zeros(7)},
            "1 of another shape, such as mapping.fc0.bias of (7,) instead of (8,)",
        ),
        ({"input.input": torch.zeros(8, dtype=torch.int64)}, "finite numbers"),
    ):
        changed = {name: t for name, t in {**state, **change}.items() if t is not None}
        torch.save({"g_ema": changed}, tmp_path / "net.pt")
        assert told in refused(tmp_path / "net.pt")


def test_a_stylegan3_is_named_as_such(tmp_path: Path) -> None:
    tensors = {
        "synthesis.input.weight": writers.torch.zeros(4, 4),
        "mapping.fc0.weight": writers.torch.zeros(4, 4),
    }
    module = writers.module(tensors, "Generator", SOURCE, lambda _: {})
    with writers.foreign_modules():
        content = writers.pickle.dumps({"G_ema": module})
    (tmp_path / "net.pkl").write_bytes(content)
    assert "it holds a StyleGAN3 generator" in refused(tmp_path / "net.pkl")


def test_every_reader_says_what_it_reads() -> None:
    for reader in importing.READERS:
        assert reader.WHAT
        assert reader.LICENCE
