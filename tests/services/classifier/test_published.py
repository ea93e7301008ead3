"""Classifiers of others: transformers' from a folder, torchvision's by name."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from protocol.errors import BadRequestError, WeightsError
from protocol.messages import ClassifierInfo, Classify, Head, Labels
from protocol.tensors import Array, TensorWriter
from protocol.texts import unpack_texts
from services.catalogue import classifier_model, find_model
from services.classifier.torchvision_classifier import load
from services.fetching.pull import pull
from services.loading import load_role
from services.models.checkpoints import Checkpoint, save_checkpoint
from services.models.torchvision_ops import ensure_torchvision
from services.runtime.role import Role
from services.runtime.worker import pad

ensure_torchvision()
LABELS = {0: "tench, Tinca tinca", 1: "llama", 2: "wall clock"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny vision transformer as the hub has them."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    path = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
        id2label=LABELS,
        label2id={name: index for index, name in LABELS.items()},
    )
    ViTForImageClassification(config).save_pretrained(path)
    processor = ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[0.1, 0.2, 0.3])
    processor.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def role(folder: Path) -> Role:
    return load_role(find_model(str(folder), "classifier"), "cpu")


def pictures(*shape: int) -> Array:
    return np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)


def asked(role: Role, images: Array) -> tuple[Array, ...]:
    writer = TensorWriter()
    rows = role.prepare(Classify(images=writer.add(images)), lambda _: images)
    padded = pad(rows.values, role.info.batch_rows)
    return tuple(output[: len(images)] for output in role.compute(rows.options, padded))


def labels(role: Role) -> list[str]:
    rows = role.prepare(Labels(), lambda _: np.empty(0))
    return unpack_texts(role.compute(rows.options, rows.values)[0])


def test_a_folder_says_what_it_knows(role: Role, folder: Path) -> None:
    assert role.info.about == ClassifierInfo(32, (Head("class", 3),), 16)
    assert labels(role) == list(LABELS.values())
    assert role.info.model == str(folder)
    assert role.info.digest.startswith("blake2b:")


def test_it_answers_what_transformers_does_with_its_own_transforms(
    role: Role, folder: Path
) -> None:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    images = pictures(3, 50, 40)
    processor = AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    network = AutoModelForImageClassification.from_pretrained(folder, attn_implementation="eager")
    with torch.inference_mode():
        seen = processor(list(images), return_tensors="pt")
        wanted = network(**seen, output_hidden_states=True)
        first = network.vit.layernorm(wanted.hidden_states[-1])[:, 0]
    logits, features = asked(role, images)
    np.testing.assert_allclose(logits, wanted.logits, atol=1e-5)
    np.testing.assert_allclose(features, first, atol=1e-5)


def test_a_row_does_not_know_its_batch(role: Role) -> None:
    images = pictures(9, 32, 48)
    together = asked(role, images)
    for place in (0, 4, 8):
        for one, many in zip(asked(role, images[place : place + 1]), together, strict=True):
            np.testing.assert_array_equal(one[0], many[place])


def test_the_digest_is_of_everything_that_decides(folder: Path, tmp_path: Path) -> None:
    from services.classifier.hugging_face_classifier import folder_checkpoint

    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert folder_checkpoint(tmp_path).digest == folder_checkpoint(folder).digest
    said = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**said, "do_rescale": False}))
    assert folder_checkpoint(tmp_path).digest != folder_checkpoint(folder).digest


def changed(folder: Path, place: Path, **entries: object) -> Path:
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    said = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**said, **entries}))
    return place


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"model_type": "of_nobody"}, "no image classifier"),
        ({"model_type": "gpt2"}, "no image classifier"),
        ({"num_hidden_layers": 2}, "tensors are missing"),
    ],
)
def test_a_folder_of_something_else_is_refused(
    folder: Path, tmp_path: Path, entries: dict[str, object], why: str
) -> None:
    place = changed(folder, tmp_path, **entries)
    with pytest.raises(WeightsError, match=why):
        load_role(find_model(str(place), "classifier"), "cpu")


def test_pickled_weights_and_code_are_not_touched(folder: Path, tmp_path: Path) -> None:
    place = changed(folder, tmp_path, auto_map={"AutoModelForImageClassification": "evil.Model"})
    (place / "evil.py").write_text("raise SystemExit('it was run')\n")
    load_role(find_model(str(place), "classifier"), "cpu")  # transformers' own network, no other
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"holds no model\.safetensors"):
        load_role(find_model(str(place), "classifier"), "cpu")


def test_torchvisions_network_and_transforms(tmp_path: Path) -> None:
    from torchvision import models

    torch.manual_seed(0)
    network = models.resnet18(weights=None).eval()
    path = tmp_path / "resnet18.safetensors"
    config = {"model": "resnet18", "weights": "IMAGENET1K_V1"}
    save_checkpoint(path, "torchvision-classifier", config, network.state_dict(), {})
    role = load_role(find_model(str(path), "classifier"), "cpu")
    assert role.info.about == ClassifierInfo(224, (Head("class", 1000),), 512)
    assert labels(role)[:2] == ["tench", "goldfish"]
    images = pictures(1, 60, 80)
    transform = models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    with torch.inference_mode():
        wanted = network(transform(torch.from_numpy(images).permute(0, 3, 1, 2)))
    logits, features = asked(role, images)
    np.testing.assert_allclose(logits, wanted, atol=1e-4)
    assert features.shape == (1, 512)


def test_googlenet_shifts_its_input_as_its_weights_want_it() -> None:
    """torchvision does so for weights of its own alone; Inception, too."""
    from torchvision import models

    tensors = models.GoogLeNet(init_weights=False).state_dict()
    config = {"model": "googlenet", "weights": "IMAGENET1K_V1"}
    checkpoint = Checkpoint("torchvision-classifier", config, tensors, {}, "")
    assert load(checkpoint, torch.device("cpu"))._network.transform_input


def test_densenets_old_names_are_read() -> None:
    """Its published files have `norm.1` where the network has `norm1`."""
    from torchvision import models

    old = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])\.")
    network = models.densenet121(weights=None)
    tensors = {
        old.sub(r"\1.\2.", name): tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")  # of which old files have none
    }
    assert tensors.keys() != network.state_dict().keys()
    config = {"model": "densenet121", "weights": "IMAGENET1K_V1"}
    loaded = load(
        Checkpoint("torchvision-classifier", config, tensors, {}, ""), torch.device("cpu")
    )
    assert loaded.feature_size == 1024


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"model": "resnet18", "weights": "OF_NOBODY"}, "cannot make 'resnet18'"),
        ({"model": "of_nobody", "weights": "IMAGENET1K_V1"}, "cannot make 'of_nobody'"),
        ({"model": "resnet18", "weights": "IMAGENET1K_V1"}, "cannot make 'resnet18'"),
    ],
)
def test_torchvision_refuses_in_a_sentence(
    tmp_path: Path, config: dict[str, str], why: str
) -> None:
    path = tmp_path / "wrong.safetensors"
    save_checkpoint(path, "torchvision-classifier", config, {"fc.bias": torch.zeros(3)}, {})
    with pytest.raises(WeightsError, match=why):
        load_role(find_model(str(path), "classifier"), "cpu")


def test_names_say_where_classifiers_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLASSHOUSE_MODELS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    resnet = find_model("torchvision:resnet50", "classifier")
    assert (resnet.source, resnet.place) == (
        "torchvision",
        tmp_path / "torchvision:resnet50.safetensors",
    )
    hub = find_model("microsoft/resnet-50", "classifier")
    assert (hub.source, hub.place) == ("hub:microsoft/resnet-50", tmp_path / "microsoft--resnet-50")
    for model in (resnet, hub):
        with pytest.raises(WeightsError, match=f"orchestrator models pull {model.name}"):
            _ = model.path
    assert classifier_model("mini-nothing") is None
    with pytest.raises(BadRequestError, match="OWNER/NAME of the hub"):
        find_model("mini-nothing", "classifier")


def test_torchvision_is_asked_for_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLASSHOUSE_MODELS", str(tmp_path))
    with pytest.raises(BadRequestError, match="torchvision has no model 'of_nobody'"):
        pull("torchvision:of_nobody", print)
    with pytest.raises(BadRequestError, match="is no image classifier"):
        pull("torchvision:fcn_resnet50", print)
