"""Every foreign format: what was written comes back bit for bit, and draws the same picture."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from protocol.errors import WeightsError
from services.discriminator import stylegan2_discriminator
from services.generator import stylegan2_generator
from services.importing import import_file
from services.models.checkpoints import Checkpoint, load_checkpoint
from services.models.stylegan2 import Generator
from services.models.stylegan2_discriminator import Discriminator
from tests.services.importing import writers

SOURCE = """raise SystemExit('the source in a file was run')
import dnnlib.tflib.network, torch_utils.persistence  # which tells nobody whose file it is
"""
CPU = torch.device("cpu")


def imported(source: Path, name: str = "net", bar_rows: int = 0) -> list[Checkpoint]:
    paths = import_file(source, source.parent / "out", name, bar_rows)
    return [load_checkpoint(path) for path in paths]


def check_same(wanted: torch.nn.Module, found: dict[str, Tensor], *apart: str) -> None:
    tensors = wanted.state_dict()
    assert found.keys() == tensors.keys()
    other = [name for name, tensor in tensors.items() if not torch.equal(found[name], tensor)]
    assert [name for name in other if not name.endswith(apart or ("-",))] == []


def check_pair(
    g: Generator, d: Discriminator, found: list[Checkpoint], bias_off: float = 0.0
) -> None:
    """Both come back; and the service's classes draw and score what the networks do."""
    assert [each.architecture for each in found] == [
        "stylegan2-generator",
        "stylegan2-discriminator",
    ]
    for network, checkpoint in zip((g, d), found, strict=True):
        for name, tensor in network.state_dict().items():
            torch.testing.assert_close(
                checkpoint.tensors[name], tensor, rtol=0, atol=bias_off, msg=name
            )
        assert set(checkpoint.tensors) == set(network.state_dict())
    drawn = stylegan2_generator.load(found[0], CPU)
    z = torch.randn(3, g.config.z_dim)
    labels = None
    genomes = z
    if g.config.c_dim:
        labels = torch.eye(g.config.c_dim)[[0, 1, 2]]
        genomes = torch.cat([z, torch.tensor([[0.0], [1.0], [2.0]])], dim=1)
    with torch.inference_mode():
        pictures = g(z, 0.7, labels=labels)
        torch.testing.assert_close(
            drawn.draw("z", genomes, 0.7), pictures, rtol=0, atol=1e-5 + 50 * bias_off
        )
        if not d.config.c_dim:
            judged = stylegan2_discriminator.load(found[1], CPU)
            torch.testing.assert_close(judged.score(pictures), d(pictures))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("g", "d"),
    [
        ({}, {}),
        ({"conv_clamp": 256.0, "c_dim": 3}, {"conv_clamp": 256.0, "c_dim": 3}),
        ({"architecture": "resnet"}, {"architecture": "skip"}),
        ({"architecture": "orig"}, {"architecture": "orig", "minibatch_features": 2}),
    ],
    ids=["plain", "classes", "residual", "orig"],
)
def test_pickles_of_ada_pytorch(
    tmp_path: Path, protocol: int, g: dict[str, Any], d: dict[str, Any]
) -> None:
    generator, discriminator = writers.generator(**g), writers.discriminator(**d)
    source = tmp_path / "ada.pkl"
    source.write_bytes(
        writers.nvidia_torch(
            generator, discriminator, SOURCE, protocol, channels_last="conv_clamp" in g
        )
    )
    found = imported(source)
    check_pair(generator, discriminator, found)
    assert found[0].config["conv_clamp"] == g.get("conv_clamp")
    assert found[0].config["architecture"] == g.get("architecture", "skip")
    assert found[1].config["architecture"] == d.get("architecture", "resnet")
    assert found[0].card["source_format"] == "a pickle of stylegan2-ada-pytorch or stylegan3"
    assert "non-commercial" in found[0].card["licence"]
    assert len(found[0].card["source_sha256"]) == 64


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("g", "d"),
    [
        ({"truncation_cutoff": 3}, {}),
        ({"conv_clamp": 256.0, "c_dim": 3}, {"c_dim": 3, "mapping_lr_multiplier": 0.1}),
        ({"architecture": "resnet"}, {"architecture": "skip"}),
    ],
    ids=["plain", "classes", "residual"],
)
def test_tensorflow_pickles(
    tmp_path: Path, protocol: int, g: dict[str, Any], d: dict[str, Any]
) -> None:
    """The styles' bias has its 1 added in float32, which may cost its last bit."""
    generator, discriminator = writers.generator(**g), writers.discriminator(**d)
    source = tmp_path / "tf.pkl"
    source.write_bytes(writers.nvidia_tensorflow(generator, discriminator, SOURCE, protocol))
    found = imported(source)
    check_pair(generator, discriminator, found, bias_off=5e-7)
    assert found[0].config["truncation_cutoff"] == g.get("truncation_cutoff")
    assert found[1].config["mapping_lr_multiplier"] == d.get("mapping_lr_multiplier", 0.01)


def test_a_tensorflow_generator_alone(tmp_path: Path) -> None:
    source = tmp_path / "gs.pkl"
    source.write_bytes(writers.nvidia_tensorflow(writers.generator(), None, SOURCE, alone=True))
    assert [each.architecture for each in imported(source)] == ["stylegan2-generator"]


def test_another_resampling_filter_is_refused(tmp_path: Path) -> None:
    """It leaves no trace in TensorFlow's variables."""
    content = writers.nvidia_tensorflow(writers.generator(), None, SOURCE, 2, alone=True)
    taps = b"(K\x01K\x03K\x03K\x01e"
    assert content.count(taps) == 1
    (tmp_path / "net.pkl").write_bytes(content.replace(taps, b"(K\x01K\x02K\x02K\x01e"))
    with pytest.raises(WeightsError, match=r"its resampling filter is \[1, 2, 2, 1\]"):
        import_file(tmp_path / "net.pkl", tmp_path, "net")


@pytest.mark.parametrize("entry", ["resample_kernel", "nonlinearity", "mapping_nonlinearity"])
def test_what_would_take_for_ever_to_write_out_is_never_written_out(
    tmp_path: Path, entry: str
) -> None:
    doubled: Any = [1]
    for _ in range(40):
        doubled = [doubled, doubled]
    with writers.foreign_modules():
        network = writers.tf_generator(writers.generator(), SOURCE)
        network.static_kwargs[entry] = doubled
        (tmp_path / "net.pkl").write_bytes(pickle.dumps(network))
    with pytest.raises(WeightsError, match=r"is no (list of numbers|name)"):
        import_file(tmp_path / "net.pkl", tmp_path, "net")


def test_an_activation_that_is_no_name_is_refused(tmp_path: Path) -> None:
    content = writers.nvidia_torch(writers.generator(), None, SOURCE, 2)
    name = b"X\x05\x00\x00\x00lrelu"
    assert name in content
    (tmp_path / "net.pkl").write_bytes(content.replace(name, b"K\x07"))
    with pytest.raises(WeightsError, match="activation is no name"):
        import_file(tmp_path / "net.pkl", tmp_path, "net")


@pytest.mark.parametrize("zipped", [False, True])
def test_checkpoints_of_rosinality(tmp_path: Path, zipped: bool) -> None:
    generator, discriminator = writers.generator(), writers.discriminator()
    source = tmp_path / "network.pt"
    writers.rosinality(source, generator, discriminator, zipped=zipped)
    check_pair(generator, discriminator, imported(source))


def test_the_generator_of_clip_glass_gets_noise(tmp_path: Path) -> None:
    generator = writers.generator()
    writers.clip_glass_generator(tmp_path / "G.pth", generator)
    (first,) = imported(tmp_path / "G.pth")
    (again,) = imported(tmp_path / "G.pth", "again")
    check_same(generator, first.tensors, "noise_const")
    assert all(torch.equal(first.tensors[name], again.tensors[name]) for name in first.tensors)
    assert first.card["notes"] == ["its noise was not in the file and is drawn with seed 0"]


def test_the_discriminator_of_clip_glass_comes_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    discriminator = writers.discriminator()
    writers.clip_glass_discriminator(tmp_path / "D.pth", discriminator)
    (path,) = import_file(tmp_path / "D.pth", tmp_path, "car")
    assert path.name == "car-discriminator.safetensors"
    found = load_checkpoint(path)
    check_same(discriminator, found.tensors)
    assert "its scores mean nothing" in found.card["notes"][0]
    assert "its scores mean nothing" in caplog.text


def test_our_own_files_stay_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "ada.pkl"
    source.write_bytes(writers.nvidia_torch(writers.generator(), None, SOURCE))
    (path,) = import_file(source, tmp_path, "first")
    (again,) = import_file(path, tmp_path, "second")
    first, second = load_checkpoint(path), load_checkpoint(again)
    assert (first.architecture, first.config) == (second.architecture, second.config)
    assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)


def test_black_bars_are_cut_and_put_back(tmp_path: Path) -> None:
    generator, discriminator = writers.generator(), writers.discriminator()
    source = tmp_path / "car.pkl"
    source.write_bytes(writers.nvidia_torch(generator, discriminator, SOURCE))
    found = imported(source, bar_rows=2)
    drawn, judged = (
        stylegan2_generator.load(found[0], CPU),
        stylegan2_discriminator.load(found[1], CPU),
    )
    assert (drawn.height, drawn.width, judged.height, judged.width) == (12, 16, 12, 16)
    z = torch.randn(2, 6)
    with torch.inference_mode():
        whole = generator(z)
        pictures = drawn.draw("z", z, 1.0)
        torch.testing.assert_close(pictures, whole[:, :, 2:14])
        whole[:, :, :2] = whole[:, :, 14:] = -1.0
        torch.testing.assert_close(judged.score(pictures), discriminator(whole))


@pytest.mark.parametrize("bar_rows", [-1, 8])
def test_bars_that_leave_nothing_are_refused(tmp_path: Path, bar_rows: int) -> None:
    source = tmp_path / "car.pkl"
    source.write_bytes(writers.nvidia_torch(writers.generator(), None, SOURCE))
    with pytest.raises(WeightsError, match=f"bar_rows must be 0 to 7, got {bar_rows}"):
        import_file(source, tmp_path, "car", bar_rows)
