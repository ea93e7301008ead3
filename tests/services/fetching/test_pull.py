"""From a name to a checkpoint: through the hub's client and the sandbox, and nothing half-done."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import huggingface_hub.constants
import huggingface_hub.file_download
import pytest
import torch
from safetensors.torch import save_file

from protocol.errors import BadRequestError, GlasshouseError, WeightsError
from services import catalogue
from services.catalogue import MODELS, Model, all_models, find_model
from services.fetching import commands
from services.fetching.open_clips import LOCAL_CONFIG, open_clip_models
from services.fetching.pull import add, pull
from services.fetching.sandbox import Known
from services.models.checkpoints import load_checkpoint
from tests import tiny
from tests.services.fetching.conftest import Site
from tests.services.importing import writers

ROOT = Path(__file__).parents[3]
TINY = Model(
    name="tiny-clip",
    role="clip",
    weights="tiny-clip.safetensors",
    about="as open_clip publishes them",
    source="hub:someone/tiny/open_clip_model.safetensors",
    beside=(LOCAL_CONFIG,),
    open_clip=LOCAL_CONFIG,
)


@pytest.fixture
def hub(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The server as a hub that huggingface_hub asks, with one more row in the catalogue."""
    for module in (huggingface_hub.constants, huggingface_hub.file_download):
        monkeypatch.setattr(module, "ENDPOINT", site.address, raising=False)
    template = site.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(
        huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(catalogue, "MODELS", (*MODELS, TINY))
    return site


def publish(hub: Site, file: Path, name: str = "") -> None:
    for revision in ("main", "c" * 40):
        hub.files[f"/someone/tiny/resolve/{revision}/{name or file.name}"] = file.read_bytes()


def quiet(_line: str) -> None:
    pass


def orchestrator(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "models", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_list_says_what_is_here(models: Path) -> None:
    models.mkdir()
    tiny.save_clip(models / "mine.safetensors")
    header = b'{"__metadata__":{"architecture":["stylegan2-generator"]}}'  # which is no text
    (models / "odd.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    done = orchestrator("--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["mini-car"]["here"]
    assert (rows["mine"]["here"], rows["mine"]["role"]) == (True, "clip")
    assert not rows["stylegan2-ffhq"]["here"]
    assert len(rows["stylegan2-ffhq"]["sha256"]) == 64


@pytest.mark.parametrize("width", [40, 80, 120, 200, 0])
@pytest.mark.usefixtures("models")
def test_the_table_fits_its_terminal(width: int) -> None:
    """And says where the rest can be read; names and whether they are here always stay."""
    lines = commands._table(all_models(), width).splitlines()
    rows = lines[:-2] if width else lines
    assert lines[0].startswith("NAME")
    assert "HERE" in lines[0]
    assert max(map(len, rows if width == 40 else lines)) <= max(width or 999, 60)
    assert ("FROM" in lines[0]) == (width == 0)
    assert len(rows) == 1 + len(all_models())
    assert (width == 0) != lines[-1].endswith("orchestrator models show NAME")


@pytest.mark.usefixtures("models")
def test_a_model_is_shown_with_all_that_is_known_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    commands.show(["stylegan2-car", "gpt2", "mini-car"])
    car, gpt2, mini = capsys.readouterr().out.split("\n\n")
    for part in ("generator", "384x512", "NVIDIA", "https://", "e1618eee2b3ce87c", "car.safetens"):
        assert part in car
    for part in ("as the hub says", "tokenizer.json"):
        assert part in gpt2
    assert "sha-256" not in mini


@pytest.mark.usefixtures("models")
def test_mistakes_are_one_sentence_with_their_exit_code() -> None:
    done = orchestrator("pull", "stylegan9")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "orchestrator: there is no model 'stylegan9'; see: orchestrator models\n"
    )


def test_every_open_clip_model_has_a_row() -> None:
    names = {model.name for model in open_clip_models()}
    assert {"ViT-B-32-quickgelu:openai", "ViT-B-16-SigLIP2:webli"} <= names
    assert len(names) > 150


@pytest.mark.usefixtures("models")
def test_a_model_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(
        WeightsError, match=r"orchestrator models pull stylegan2-ffhq,.* --file PATH"
    ):
        _ = find_model("stylegan2-ffhq", "generator").path


def test_a_pulled_model_is_here_and_leaves_no_download(
    hub: Site, models: Path, tmp_path: Path
) -> None:
    weights = tiny.save_published_clip(tmp_path)
    publish(hub, weights)
    publish(hub, weights.with_name(LOCAL_CONFIG))
    made = pull("tiny-clip", quiet)
    assert made == [models / "tiny-clip.safetensors"]
    assert load_checkpoint(made[0]).architecture == "published-clip"
    assert [path.name for path in models.iterdir()] == ["tiny-clip.safetensors"]
    assert not list(models.with_name("downloads").glob("*"))
    said: list[str] = []
    pull("tiny-clip", said.append)
    assert said == ["tiny-clip is here already"]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "GatedRepo", "accept its licence"),
        (404, "RepoNotFound", "no repository"),
        (404, "EntryNotFound", "lacks one of the files"),
        (503, "", "answered 503"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(
    hub: Site, models: Path, status: int, code: str, said: str
) -> None:
    for revision in ("main", "c" * 40):
        hub.status[f"/someone/tiny/resolve/{revision}/open_clip_model.safetensors"] = (status, code)
    with pytest.raises(WeightsError, match=said):
        pull("tiny-clip", quiet)
    assert not models.exists()


@pytest.mark.usefixtures("hub")
def test_without_a_network_the_hub_is_one_sentence(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "http://127.0.0.1:1/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", nowhere)
    monkeypatch.setattr(
        huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", nowhere, raising=False
    )
    with pytest.raises(WeightsError, match="when there is a network"):
        pull("tiny-clip", quiet)
    assert not models.exists()


@pytest.mark.parametrize("cut", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_an_interrupted_pull_of_a_classifier_goes_on(
    hub: Site, models: Path, tmp_path: Path, cut: str
) -> None:
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).write_text(name)
        publish(hub, tmp_path / name)
    for revision in ("main", "c" * 40):
        hub.status[f"/someone/tiny/resolve/{revision}/{cut}"] = (503, "")
    with pytest.raises(WeightsError, match="answered 503"):
        pull("someone/tiny", quiet)
    assert not find_model("someone/tiny", "classifier").here
    hub.status.clear()
    assert pull("someone/tiny", quiet) == [models / "someone--tiny"]
    assert find_model("someone/tiny", "classifier").here


def test_weights_of_another_model_are_refused(hub: Site, models: Path, tmp_path: Path) -> None:
    weights = tiny.save_published_clip(tmp_path)
    publish(hub, weights.with_name(LOCAL_CONFIG))
    save_file({"logit_scale": torch.zeros(())}, tmp_path / "other.safetensors")
    publish(hub, tmp_path / "other.safetensors", weights.name)
    with pytest.raises(WeightsError, match=f"does not hold the weights of {LOCAL_CONFIG}"):
        pull("tiny-clip", quiet)
    assert not list(models.iterdir())


def test_a_checkpoint_of_ours_is_registered_as_it_is(models: Path, tmp_path: Path) -> None:
    mine = tiny.save_generator(tmp_path / "x.safetensors")
    assert add("my-dots", mine, Known(), quiet) == [models / "my-dots.safetensors"]
    assert (models / "my-dots.safetensors").read_bytes() == mine.read_bytes()
    assert find_model("my-dots", "generator").here


@pytest.mark.usefixtures("models")
def test_another_file_than_the_published_one_is_said_to_be_one(tmp_path: Path) -> None:
    """It serves all the same: the official networks come in other files, too."""
    writers.rosinality(tmp_path / "cat.pt", writers.generator(), None)
    said: list[str] = []
    add("stylegan2-cat", tmp_path / "cat.pt", Known(), said.append)
    assert any("is not the published file of stylegan2-cat" in line for line in said)
    assert find_model("stylegan2-cat", "generator").here


@pytest.mark.parametrize(
    ("name", "file", "error", "said"),
    [
        ("clip-vit-b32", "x.safetensors", WeightsError, "holds a generator"),
        ("mini-car", "x.safetensors", BadRequestError, "comes with Glasshouse"),
        ("other", "none.pkl", WeightsError, "there is no file"),
        ("../other", "x.safetensors", BadRequestError, "leave out slashes"),
    ],
)
def test_what_cannot_be_added_is_one_sentence(
    models: Path, tmp_path: Path, name: str, file: str, error: type[GlasshouseError], said: str
) -> None:
    tiny.save_generator(tmp_path / "x.safetensors")
    with pytest.raises(error, match=said):
        add(name, tmp_path / file, Known(), quiet)
    assert not list(models.glob("*"))


def test_openais_archive_is_refused_with_the_way_out(models: Path, tmp_path: Path) -> None:
    archive = tmp_path / "ViT-B-32.pt"
    with zipfile.ZipFile(archive, "w") as parts:  # as torch.jit.save lays it out
        parts.writestr("ViT-B-32/code/__torch__.py", "")
        parts.writestr("ViT-B-32/constants.pkl", "")
    with pytest.raises(WeightsError, match=r"TorchScript.*orchestrator models pull clip-vit-b32"):
        add("clip-vit-b32", archive, Known(), quiet)
    assert not list(models.glob("*"))


@pytest.mark.usefixtures("models")
def test_a_tag_that_open_clip_does_not_know_is_refused() -> None:
    with pytest.raises(BadRequestError, match="--all"):
        pull("ViT-B-32:nonsense", quiet)
