"""Bad files and bad hubs through the command: one sentence, exit code 6, nothing half-written."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from protocol.errors import WeightsError
from services.fetching.pull import add
from services.fetching.sandbox import Known, convert
from tests import tiny
from tests.services.fetching.conftest import Site

ROOT = Path(__file__).parents[3]
GIGABYTES = 10 * 10**9


def text(path: Path) -> None:
    path.write_text("no model at all\n" * 100)


def zeros(path: Path) -> None:
    """Ten gigabytes that take no room on the disk."""
    with path.open("wb") as file:
        file.truncate(GIGABYTES)


def cut(path: Path) -> None:
    torch.save({"g_ema": {"x": torch.zeros(1000)}}, path)
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // 2)


def bomb(path: Path) -> None:
    """A file of torch's whose one storage is 128 MB of zeros in half a megabyte."""
    honest = path.with_suffix(".honest")
    torch.save({"g_ema": {"x": torch.zeros(1 << 25)}}, honest)
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(path, "w") as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name), zipfile.ZIP_DEFLATED, 1)
    honest.unlink()
    assert path.stat().st_size < 1 << 20


def overlap(path: Path) -> None:
    """A bomb without compression: two entries of the archive's list share the same bytes."""
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("archive/data.pkl", bytes(1000))
        packed.filelist += [packed.filelist[0]] * 50


def other(path: Path) -> None:
    save_file({"other": torch.zeros(3)}, path)


def cut_tensors(path: Path) -> None:
    other(path)
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size - 5)


Make = Callable[[Path], None]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (text, "it is none of: NVIDIA's"),
        (zeros, "it has 10.0 GB, but the largest that is read has"),
        (cut, "damaged or cut off zip archive"),
        (bomb, "compressed, encrypted or overlapping"),
        (overlap, "compressed, encrypted or overlapping"),
        (other, "it is none of: NVIDIA's"),
        (cut_tensors, "it is none of: NVIDIA's"),
    ],
)
def test_what_is_no_network_is_not_imported(tmp_path: Path, make: Make, said: str) -> None:
    from services.importing import import_file

    make(tmp_path / "bad.safetensors")
    with pytest.raises(WeightsError, match=said) as refused:
        import_file(tmp_path / "bad.safetensors", tmp_path / "models", "bad")
    assert "\n" not in refused.value.message
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (text, "neither whole safetensors nor a state dict"),
        (zeros, "neither whole safetensors nor a state dict"),
        (cut, "damaged or cut off zip archive"),
        (bomb, "compressed, encrypted or overlapping"),
        (overlap, "compressed, encrypted or overlapping"),
        (other, "does not hold the weights of open_clip_config.json"),
        (cut_tensors, "neither whole safetensors nor a state dict"),
    ],
)
def test_what_is_no_clip_is_not_imported(tmp_path: Path, make: Make, said: str) -> None:
    from services.fetching.open_clips import LOCAL_CONFIG, import_clip

    tiny.save_published_clip(tmp_path)
    make(tmp_path / "bad.safetensors")
    (tmp_path / "models").mkdir()
    with pytest.raises(WeightsError, match=said) as refused:
        import_clip(tmp_path / "bad.safetensors", tmp_path / "models", "bad", LOCAL_CONFIG)
    assert "\n" not in refused.value.message
    assert "weights_only" not in refused.value.message
    assert not list((tmp_path / "models").iterdir())


def test_a_clip_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    from services.fetching.open_clips import LOCAL_CONFIG, import_clip

    class Code:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path(tmp_path / "ran").touch, ())

    tiny.save_published_clip(tmp_path)
    torch.save({"visual.proj": Code()}, tmp_path / "bad.pt")
    with pytest.raises(WeightsError, match=r"bad\.pt") as refused:
        import_clip(tmp_path / "bad.pt", tmp_path, "bad", LOCAL_CONFIG)
    assert "weights_only" not in refused.value.message
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_ours_that_was_cut_off_is_not_registered(
    models: Path, tmp_path: Path
) -> None:
    mine = tiny.save_generator(tmp_path / "mine.safetensors")
    with mine.open("rb+") as file:
        file.truncate(mine.stat().st_size - 100)
    with pytest.raises(WeightsError, match="cut off or damaged"):
        add("mine", mine, Known(), lambda _: None)
    assert not models.exists()


def test_the_sandbox_gives_up_with_a_sentence_where_memory_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `ulimit -v` sets it, so low that not even torch can be imported."""
    text(tmp_path / "bad.pkl")
    program = tmp_path / "sitecustomize.py"
    program.write_text("import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 28,) * 2)\n")
    monkeypatch.setattr(
        "services.fetching.sandbox._environment",
        lambda staging: {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "TMPDIR": str(staging)},
    )
    with pytest.raises(WeightsError, match="not enough memory to convert"):
        convert(tmp_path / "bad.pkl", tmp_path / "models", "bad", Known(), lambda _: None)
    assert not list((tmp_path / "models").iterdir())


def orchestrator(models: Path, hub: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "models", *words],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "GLASSHOUSE_MODELS": str(models),
            "HF_ENDPOINT": hub,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(models.with_name("hub")),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], models: Path, said: str) -> None:
    lines = [line for line in done.stderr.splitlines() if line.startswith("orchestrator: ")]
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr
    assert len(lines) == 1
    assert said in lines[0]
    assert not models.exists() or not list(models.iterdir())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, "GatedRepo"), "accept its licence first"),
        ((404, "RepoNotFound"), "there is no repository openai-community/gpt2 on the hub"),
        (None, "when there is a network"),
    ],
    ids=["gated", "missing", "no network"],
)
def test_a_hub_that_refuses_is_one_sentence_to_the_user(
    site: Site, models: Path, answer: tuple[int, str] | None, said: str
) -> None:
    if answer:
        site.status["/openai-community/gpt2/resolve/main/model.safetensors"] = answer
    hub = site.address if answer else "http://127.0.0.1:1"
    refused(orchestrator(models, hub, "pull", "gpt2"), models, said)


def test_a_bad_file_is_one_sentence_to_the_user(models: Path, tmp_path: Path) -> None:
    zeros(tmp_path / "zeros.pkl")
    done = orchestrator(models, "", "add", "mine", "--file", str(tmp_path / "zeros.pkl"))
    refused(done, models, "it has 10.0 GB, but the largest")
