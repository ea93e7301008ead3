"""From an empty machine to a model that is loaded: every kind of source, files of real formats."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.messages import DiscriminatorInfo, GeneratorInfo
from services import catalogue
from services.catalogue import MODELS, Model, find_model
from services.fetching.pull import pull
from services.loading import load_role
from tests.services.fetching.conftest import Site
from tests.services.importing import writers
from tests.services.importing.test_published import save_biggan, save_gpt2

ROOT = Path(__file__).parents[3]


def row(name: str) -> Model:
    return next(model for model in MODELS if model.name == name)


def offer(monkeypatch: pytest.MonkeyPatch, *rows: Model) -> None:
    """Rows in place of those of the same names."""
    names = {model.name for model in rows}
    others = [model for model in MODELS if model.name not in names]
    monkeypatch.setattr(catalogue, "MODELS", (*others, *rows))


def info_of(name: str) -> GeneratorInfo:
    about = load_role(find_model(name, "generator"), "cpu").info.about
    assert isinstance(about, GeneratorInfo)
    return about


@pytest.mark.parametrize("asked", ["stylegan2-car", "stylegan2-car-discriminator"])
def test_nvidias_file_becomes_a_generator_and_a_discriminator(
    site: Site, models: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    content = writers.nvidia_tensorflow(writers.generator(), writers.discriminator(), "")
    site.files["/car.pkl"] = content
    changes = {
        "source": f"{site.address}/car.pkl",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bar_rows": 2,
    }
    names = ("stylegan2-car", "stylegan2-car-discriminator")
    offer(monkeypatch, *(replace(row(name), **changes) for name in names))
    made = pull(asked, lambda _: None)
    assert {path.parent for path in made} == {models}
    assert sorted(path.stem for path in made) == sorted(names)
    about = info_of("stylegan2-car")
    assert (about.height, about.width) == (12, 16)
    judge = load_role(find_model("stylegan2-car-discriminator", "discriminator"), "cpu")
    assert judge.info.about == DiscriminatorInfo(height=12, width=16)


def test_biggans_two_files_become_a_generator(
    site: Site, models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = save_biggan(tmp_path)
    config = weights.with_name("biggan-deep-16-config.json")
    for file in (weights, config):
        site.files[f"/{file.name}"] = file.read_bytes()
    beside = (f"{site.address}/{config.name}",)
    source = f"{site.address}/{weights.name}"
    offer(monkeypatch, replace(row("biggan-deep-128"), source=source, beside=beside))
    assert pull("biggan-deep-128", lambda _: None) == [models / "biggan-deep-128.safetensors"]
    assert info_of("biggan-deep-128").spaces[0].name == "z+embedding"


def test_a_users_pull_of_gpt2_writes_captions(site: Site, models: Path, tmp_path: Path) -> None:
    """The command as it is typed, with huggingface_hub's own way to name another hub."""
    folder = tmp_path / "published"
    folder.mkdir()
    save_gpt2(folder, whole_tokenizer=True)
    for name in ("vocab.json", "merges.txt"):  # there on the hub, and not needed
        (folder / name).write_text(json.dumps({}))
    for file in folder.iterdir():
        for revision in ("main", "c" * 40):
            place = f"/openai-community/gpt2/resolve/{revision}/{file.name}"
            site.files[place] = file.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "models", "pull", "gpt2"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HF_ENDPOINT": site.address,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path / "hub"),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(models / "gpt2.safetensors")]
    assert [path.name for path in models.iterdir()] == ["gpt2.safetensors"]
    role = load_role(find_model("gpt2", "generator"), "cpu")
    assert isinstance(role.info.about, GeneratorInfo)
    assert role.info.about.writes
