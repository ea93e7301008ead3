"""Words for a picture, from the command's settings to the files, over real services."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.captions import ranked_captions
from orchestrator.fleet.launcher import LocalLauncher, ServiceSpec
from orchestrator.gallery import Individual
from orchestrator.picking import last_population
from orchestrator.reports.comparison import table
from orchestrator.reports.page import page
from orchestrator.reports.reading import read_story
from orchestrator.runs.history import Score
from orchestrator.runs.listing import details, summary
from orchestrator.settings import CAPTIONER, RunSettings, captioning
from orchestrator.verify import verify_run
from protocol.errors import BadRequestError, ConfigError
from tests import tiny
from tests.orchestrator.ensemble import digest, events, grow, resume

Fleet = dict[str, str]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Endpoints of a generator that writes, one that draws, and a clip."""
    folder = tmp_path_factory.mktemp("fleet")
    models = {
        "writer": ("generator", tiny.save_gpt2(folder / "gpt2.safetensors")),
        "painter": ("generator", tiny.save_generator(folder / "generator.safetensors")),
        "clip": ("clip", tiny.save_clip(folder / "clip.safetensors")),
    }
    with pytest.MonkeyPatch.context() as patch, LocalLauncher(folder) as launcher:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        started = {
            name: launcher.start(ServiceSpec(role, str(path), threads=1))  # type: ignore[arg-type] # a role
            for name, (role, path) in models.items()
        }
        launcher.wait_ready(list(started.values()), lambda: None)
        yield {name: service.endpoint for name, service in started.items()}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "photo.png"
    Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def settings(fleet: Fleet, photo: Path, tmp_path: Path) -> RunSettings:
    plain = RunSettings(
        "", fleet["writer"], fleet["clip"], population=20, generations=4, seed=1,
        runs=tmp_path / "runs", save_every=2,
    )  # fmt: skip
    return captioning(plain, photo)


def test_a_run_grows_captions(settings: RunSettings) -> None:
    folder = grow(settings)
    assert folder.name == "0001-a-caption-of-photo-png"
    told = json.loads((folder / "captions.json").read_text())
    captions = told["captions"]
    assert told["picture"] == settings.caption
    scores = [caption["similarity"] for caption in captions]
    assert scores == sorted(scores, reverse=True)
    texts = [caption["text"] for caption in captions]
    assert len(set(texts)) == len(texts) > 1
    assert all(text.startswith("a picture of") for text in texts)
    lines = (folder / "captions.txt").read_text().splitlines()
    assert lines == [f"{c['similarity']:.4f}  {c['text']}" for c in captions]
    assert (folder / "best.txt").read_text().splitlines() == lines[:1]
    kept = sorted(path.name for path in (folder / "captions").iterdir())
    assert kept == ["000001.txt", "000002.txt", "000004.txt"]
    assert not list(folder.glob("*.webp"))
    told_of = events(folder)
    assert [event["best"] for event in told_of][-1] == pytest.approx(scores[0])
    assert told_of[-1]["captions"][0] == texts[0]  # type: ignore[index] # a list
    assert summary(folder).prompt == "a caption of photo.png"
    assert any("--caption" in line for line in details(folder))
    story = read_story(folder)
    told_as_page = page([story])
    assert f"<td>{texts[0]}</td>" in told_as_page
    assert "no grids" not in told_as_page.partition("<script>")[0]
    assert "best similarity" in table([story, story])
    with pytest.raises(BadRequestError, match=r"captions\.txt"):
        last_population(folder)


def test_a_resumed_run_and_one_in_one_go_are_the_same(settings: RunSettings) -> None:
    whole = grow(settings)
    parts = resume(grow(replace(settings, generations=2)), generations=4)
    assert digest(parts) == digest(whole)
    assert (parts / "captions.txt").read_text() == (whole / "captions.txt").read_text()


def test_drawn_words_are_repeated_and_are_other_conditions(settings: RunSettings) -> None:
    greedy = grow(settings)
    hot = replace(settings, temperature=6.0)
    whole, parts = grow(hot), resume(grow(replace(hot, generations=2)), generations=4)
    assert digest(parts) == digest(whole) != digest(greedy)
    assert (parts / "captions.txt").read_text() != (greedy / "captions.txt").read_text()
    assert json.loads((whole / "run.json").read_text())["settings"]["temperature"] == 6.0
    assert "--temperature 6.0" in hot.command()
    assert verify_run(whole, evaluate=20).evaluated == 20


def test_a_run_can_be_verified_even_when_its_picture_is_gone(
    settings: RunSettings, photo: Path
) -> None:
    folder = grow(settings)
    assert verify_run(folder, evaluate=30).evaluated == 30
    content = photo.read_bytes()
    photo.unlink()
    assert verify_run(folder).generations == 4
    Image.new("RGB", (9, 9)).save(photo)
    with pytest.raises(BadRequestError, match="another latent space or for another prompt"):
        resume(folder, generations=6)
    photo.write_bytes(content)
    resume(folder, generations=5)


def test_the_other_kind_of_generator_is_refused(settings: RunSettings, fleet: Fleet) -> None:
    with pytest.raises(BadRequestError, match="draws pictures, but a caption wants"):
        grow(replace(settings, generator=fleet["painter"]))
    pictures = replace(settings, caption="", prompt="a car")
    with pytest.raises(BadRequestError, match="writes captions and draws nothing"):
        grow(pictures)


def test_settings_that_make_no_sense_are_refused_before_anything_starts(
    settings: RunSettings, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.png"
    wrong.write_text("no picture")
    for changes, why in [
        ({"prompt": "a car"}, "leave the prompt out"),
        ({"truncation_psi": 0.5}, "leave --truncation out"),
        ({"caption": "", "prompt": "a car", "temperature": 1.0}, "leave --temperature out"),
        ({"discriminator": "mini-car-discriminator"}, "no discriminator judges captions"),
        ({"caption": str(wrong), "prompt": "a caption of wrong.png"}, "not a picture"),
    ]:
        with pytest.raises(BadRequestError, match=why):
            grow(replace(settings, **changes))  # type: ignore[arg-type] # fields
    with pytest.raises(ConfigError, match="captions have none of"):
        grow(replace(settings, algorithm="nsga2"))
    assert not settings.runs.exists()


def test_what_is_not_named_is_as_is_usual_for_captions() -> None:
    usual = captioning(RunSettings(""), Path("photo.jpg"))
    assert (usual.generator, usual.discriminator) == (CAPTIONER, "none")
    assert usual.parameters["best_of"] == "512"
    few = captioning(RunSettings("", parameters={"best_of": "9"}), Path("photo.jpg"))
    assert few.parameters["best_of"] == "9"
    for other in (RunSettings("", algorithm="random"), RunSettings("", profile="legacy")):
        assert "best_of" not in captioning(other, Path("photo.jpg")).parameters, "it has no such"
    named = captioning(RunSettings("", generator="gpt2"), Path("photo.jpg"))
    assert named.generator == "gpt2"
    assert "--caption photo.jpg" in named.command()
    assert "a caption of" not in named.command()
    with pytest.raises(BadRequestError, match="either a prompt or --caption"):
        captioning(RunSettings("a car"), Path("photo.jpg"))


def test_captions_are_ranked_and_each_is_there_once() -> None:
    def individual(text: str, similarity: float, gene: float) -> Individual:
        score = Score(similarity, None, 3)
        nothing = np.zeros((0, 0, 3), np.uint8)
        genome = np.array([gene], np.float32)
        return Individual(genome, nothing, np.ones(1, np.float32), text, score)

    found = ranked_captions(
        [
            individual("a picture of nothing", math.nan, 4),
            individual("a picture of a dog", 0.1, 1),
            individual("A picture  of a cat", 0.3, 2),
            individual("a picture of a cat", 0.2, 3),
        ]
    )
    assert found.pop().text == "a picture of nothing"
    assert [(one.text, one.similarity, one.genomes) for one in found] == [
        ("A picture  of a cat", 0.3, 2),
        ("a picture of a dog", 0.1, 1),
    ]
    assert found[0].genome == (2.0,)
