"""The bundled weights load, are small, and know what a newcomer would ask for first."""

import random
from pathlib import Path

import pytest
import torch

from miniatures.discriminator_training import load_discriminator, load_generator, samples, spoilt
from miniatures.evaluation.clips import embed, prompts, values_of, zero_shot
from miniatures.evaluation.measures import area_under_curve
from miniatures.sheets import sheet
from miniatures.training import (
    CAR_DISCRIMINATOR_WEIGHTS,
    CAR_WEIGHTS,
    CLIP_WEIGHTS,
    WEIGHTS,
    pixels_of,
)
from miniatures.world import VALUES, Scene, random_scene, render_all
from services.models.checkpoints import load_checkpoint
from services.models.clip import ClipModel, load_clip

CPU = torch.device("cpu")
TAUGHT = {
    "thing": ("car", "house", "tree"),
    "colour": VALUES["colour"],
    "setting": VALUES["setting"][:6],
    "time": VALUES["time"],
}
"""What the bundled files know of the world, which grows before they do."""


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return load_clip(CLIP_WEIGHTS)


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.safetensors")), ids=lambda path: path.stem)
def test_cards_say_what_it_is(path: Path) -> None:
    card = load_checkpoint(path).card
    assert {"name", "what", "training", "data", "licence"} <= card.keys()
    assert card["name"] == path.stem


def test_all_weights_together_are_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.glob("*.safetensors")) < 40e6


def test_a_yellow_car_is_rather_a_yellow_car_than_a_blue_one(clip: ClipModel) -> None:
    scenes = [
        Scene(colour="yellow", setting=setting, time=time)
        for setting in VALUES["setting"]
        for time in VALUES["time"]
    ]
    similarity = (
        embed(clip, torch.from_numpy(render_all(scenes)))
        @ clip.embed_texts(["a yellow car", "a blue car"]).T
    )
    assert (similarity[:, 0] > similarity[:, 1]).all()


def test_words_it_has_never_seen_do_not_turn_its_head(clip: ClipModel) -> None:
    plain, strange = clip.embed_texts(
        ["a yellow car in the city", "a yellow zorky car in the city"]
    )
    assert float(plain @ strange) > 0.8


def taught_scenes(rng: random.Random, things: tuple[str, ...], *, held_out: bool) -> list[Scene]:
    """96 scenes of what the bundled files were taught."""
    scenes: list[Scene] = []
    while len(scenes) < 96:
        scene = random_scene(rng, rng.choice(things), held_out=held_out)
        if scene.setting in TAUGHT["setting"]:
            scenes.append(scene)
    return scenes


@pytest.mark.parametrize("attribute", TAUGHT)
def test_zero_shot_on_held_out_scenes(clip: ClipModel, attribute: str) -> None:
    things = TAUGHT["thing"] if attribute == "thing" else ("car",)
    scenes = taught_scenes(random.Random(11), things, held_out=True)
    known = [VALUES[attribute].index(value) for value in TAUGHT[attribute]]
    texts = clip.embed_texts([prompts(attribute)[index] for index in known])
    found = (embed(clip, torch.from_numpy(render_all(scenes))) @ texts.T).argmax(dim=1)
    truth = torch.tensor([TAUGHT[attribute].index(getattr(scene, attribute)) for scene in scenes])
    assert float((found == truth).float().mean()) > 0.9


def test_random_samples_are_cars_of_many_colours(clip: ClipModel) -> None:
    pictures = samples(load_generator(CAR_WEIGHTS), 96, 1, CPU)
    found = embed(clip, pictures)
    assert float((zero_shot(clip, found, "thing") == 0).float().mean()) > 0.9
    assert len(zero_shot(clip, found, "colour").unique()) >= 9
    assert len(zero_shot(clip, found, "setting").unique()) >= 6


def test_random_samples_are_faces_of_all_kinds(clip: ClipModel) -> None:
    pictures = samples(load_generator(WEIGHTS / "mini-face.safetensors"), 96, 1, CPU)
    found = embed(clip, pictures)
    face = VALUES["thing"].index("face")
    assert float((zero_shot(clip, found, "thing") == face).float().mean()) > 0.9
    for attribute in ("kind", "hair"):
        among = len(values_of(attribute, "face"))
        assert len(zero_shot(clip, found, attribute, "face").unique()) == among


def test_the_discriminator_prefers_whole_drawings() -> None:
    rng = random.Random(3)
    scenes = taught_scenes(rng, ("car",), held_out=False)[:32]
    drawn = pixels_of(torch.from_numpy(render_all(scenes)))
    critic = load_discriminator(CAR_DISCRIMINATOR_WEIGHTS)
    torch.manual_seed(0)
    with torch.inference_mode():
        assert area_under_curve(critic(drawn), critic(spoilt(rng, drawn))) > 0.8


def test_sheets_have_lines_between() -> None:
    page = sheet(torch.zeros(5, 8, 8, 3, dtype=torch.uint8).numpy(), columns=3)
    assert page.size == (26, 17)
