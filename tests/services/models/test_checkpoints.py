"""Checkpoints: what is written comes back, and nothing else is taken for one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from services.models.checkpoints import fit_tensors, load_checkpoint, save_checkpoint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "some" / "net.safetensors"
    tensors = {"w": torch.tensor([[1.0, 1 / 3]]), "n": torch.tensor([7])}
    save_checkpoint(target, "test-net", {"size": 2}, tensors, {"name": "net"}, half=True)
    return target


def test_round_trip(path: Path) -> None:
    found = load_checkpoint(path)
    assert (found.architecture, found.config, found.card) == (
        "test-net",
        {"size": 2},
        {"name": "net"},
    )
    assert found.tensors["w"].dtype == torch.float32
    assert found.tensors["w"][0, 1].item() == pytest.approx(1 / 3, abs=2e-4)
    assert found.tensors["n"].dtype == torch.int64
    assert found.expect("test-net") is found


def test_full_precision_is_exact(tmp_path: Path) -> None:
    tensors = {"w": torch.randn(4, 5).T}
    save_checkpoint(tmp_path / "net", "test-net", {}, tensors, {})
    assert torch.equal(load_checkpoint(tmp_path / "net").tensors["w"], tensors["w"])


def test_the_digest_is_of_the_bytes(path: Path) -> None:
    digest = load_checkpoint(path).digest
    assert digest.startswith("blake2b:")
    assert len(digest) == len("blake2b:") + 32
    assert save_checkpoint(path, "test-net", {"size": 3}, {"w": torch.zeros(1)}, {}) != digest
    assert load_checkpoint(path).config == {"size": 3}


def test_nothing_is_left_beside_the_file(path: Path) -> None:
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("services.models.checkpoints.os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, "test-net", {}, {"w": torch.zeros(1)}, {})
    assert path.read_bytes() == before
    assert [child.name for child in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found 0 bytes without a safetensors header"),
        (b"abc", "found 3 bytes without a safetensors header"),
        (b"PK\x03\x04" + bytes(100), "without a safetensors header"),
        (b"\xff" * 64, "without a safetensors header"),
        ((4).to_bytes(8, "little") + b"}}}}", "a header that is not JSON"),
        ((2).to_bytes(8, "little") + b"[]", "format 'missing'"),
        (save({"w": torch.zeros(2)}), "format 'missing'"),
        (save({"w": torch.zeros(2)}, metadata={"format": "pt"}), "format 'pt'"),
        (
            save({"w": torch.zeros(2)}, metadata={"format": "glasshouse-1"}),
            "no JSON in its 'config'",
        ),
        (
            save({}, metadata={"format": "glasshouse-1", "config": "[1]", "card": "{}"}),
            "list in its 'config' entry",
        ),
    ],
    ids=range(10),  # safetensors writes its header in any order, and names must not change
)
def test_other_files_are_refused_in_a_sentence(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="wanted a Glasshouse checkpoint") as caught:
        load_checkpoint(path)
    assert found in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_truncated_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="found damaged tensors"):
        load_checkpoint(path)


def test_another_architecture_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="wanted architecture open-clip, found test-net"):
        load_checkpoint(path).expect("open-clip")


def test_the_header_is_plain_json(path: Path) -> None:
    """Any safetensors reader can say what a checkpoint is."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["__metadata__"]["architecture"] == "test-net"
    assert header["w"]["dtype"] == "F16"


def test_tensors_that_do_not_fit_are_told_in_a_line() -> None:
    """Not each of hundreds of them, as torch does."""
    network = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(200)))
    own = network.state_dict()
    rest = {name: tensor for name, tensor in own.items() if not name.startswith("1")}
    for tensors, told in (
        (rest, "a net: 222 missing, such as 1.bias"),
        ({**own, "w": torch.zeros(1)}, "a net: 1 unknown, such as w"),
        ({**own, "7.bias": torch.zeros(3)}, "1 of another shape, such as 7.bias of (3,) instead"),
        ({"w": torch.zeros(1)}, "400 missing, such as 0.bias, 1 unknown, such as w"),
    ):
        with pytest.raises(ValueError, match="its tensors are not those of") as refused:
            fit_tensors(network, tensors, "a net")
        assert told in str(refused.value)
        assert len(str(refused.value)) < 120
    fit_tensors(network, own, "a net")
