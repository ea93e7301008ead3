"""Nothing in a pickle is run: hostile ones load without effect or are refused by name."""

import io
import os
import pickle
import random
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from protocol.errors import WeightsError
from services.importing import import_file, opcodes
from services.importing.opcodes import Call, Global, interpret
from services.importing.refusal import RefusedError
from services.importing.torch_files import load_storage
from services.importing.values import CONSTRUCTORS, Storage, Values
from services.models.checkpoints import load_checkpoint
from tests.services.importing import writers

FORBIDDEN = {"exec", "compile", "import", "os.system", "subprocess.Popen", "os.posix_spawn"}
armed: list[str] = []
heard: list[str] = []


def listen(event: str, arguments: tuple[Any, ...]) -> None:
    if armed and event in FORBIDDEN:
        heard.append(f"{event} {arguments!r:.80}")
    elif armed and event == "open" and arguments[0] == armed[0]:
        heard.append(f"open {arguments!r:.80}")


sys.addaudithook(listen)  # stays for the life of the process, deaf unless armed


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Path]:
    """A file that hostile pickles would write; whatever runs code meanwhile is heard."""
    import_file_once(tmp_path)  # so that what is imported lazily is there
    target = tmp_path / "executed"
    armed.append(str(target))
    yield target
    armed.clear()
    told = heard.copy()
    heard.clear()
    assert told == []
    assert not target.exists()


def import_file_once(folder: Path) -> None:
    torch.save({}, folder / "first.pt")
    source = folder / "first.pkl"
    source.write_bytes(writers.nvidia_torch(writers.generator(), writers.discriminator(), ""))
    import_file(source, folder, "first")


def writing(target: Path) -> str:
    return f"open({str(target)!r}, 'w').close()\n"


def value(content: bytes, **more: Any) -> Any:
    return Values(1 << 20, **more).build(interpret(io.BytesIO(content)))


class Reduces:
    """Pickles to a call of anything."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_source_in_a_file_is_never_run(trap: Path, protocol: int) -> None:
    source, folder = writing(trap), trap.parent
    g, d = writers.generator(), writers.discriminator()
    for content in (
        writers.nvidia_torch(g, d, source, protocol),
        writers.nvidia_tensorflow(g, d, source, protocol),
    ):
        (folder / "net.pkl").write_bytes(content)
        assert len(import_file(folder / "net.pkl", folder, "net")) == 2


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "hostile",
    [
        lambda target: Reduces(os.system, f"touch {target}"),
        lambda target: Reduces(eval, writing(target)),
        lambda target: Reduces(exec, writing(target)),
        lambda _: Reduces(getattr, os, "system"),
        lambda target: Reduces(open, str(target), "w"),
        lambda target: Reduces(pickle.loads, pickle.dumps(Reduces(open, str(target), "w"))),
    ],
    ids=["os.system", "eval", "exec", "getattr", "open", "loads"],
)
def test_calls_are_not_made(trap: Path, protocol: int, hostile: Any) -> None:
    """Alone they are refused by name; where nobody looks they change nothing."""
    with pytest.raises(RefusedError, match=r"it asks for .*, which no model file needs"):
        value(pickle.dumps(_without_modules(hostile(trap)), protocol))
    content = writers.nvidia_torch(
        writers.generator(), None, "", protocol, augment=_without_modules(hostile(trap))
    )
    (trap.parent / "net.pkl").write_bytes(content)
    assert len(import_file(trap.parent / "net.pkl", trap.parent, "net")) == 1


def _without_modules(hostile: Reduces) -> Reduces:
    """A module cannot be pickled; its name can."""
    function, arguments = hostile.reduced[:2]
    hostile.reduced = (function, tuple("os" if each is os else each for each in arguments))
    return hostile


def test_a_call_in_the_wanted_part_is_refused_by_name(trap: Path) -> None:
    content = {"torch_utils.persistence": 0, "G_ema": Reduces(os.system, f"touch {trap}")}
    (trap.parent / "net.pkl").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(WeightsError, match=r"it asks for posix\.system"):
        import_file(trap.parent / "net.pkl", trap.parent, "net")


def test_a_discriminator_of_another_kind_is_left_out(trap: Path) -> None:
    """StyleGAN-XL's holds classes of a third project."""
    whole = writers.nvidia_torch(writers.generator(), None, "", 2)
    name = b"X\x01\x00\x00\x00D"
    none = whole.index(b"N", whole.rindex(name))
    call = b"cposix\nsystem\nX\x04\x00\x00\x00true\x85R"
    (trap.parent / "net.pkl").write_bytes(whole[:none] + call + whole[none + 1 :])
    (path,) = import_file(trap.parent / "net.pkl", trap.parent, "net")
    (note,) = load_checkpoint(path).card["notes"]
    assert note.startswith("its discriminator was left out: it asks for posix.system")


@pytest.mark.parametrize(
    "state", [{"hacked": 1}, (None, {"hacked": 1}), (None, {"__defaults__": (1,)})]
)
@pytest.mark.parametrize(
    "target",
    [
        b"ctorch.storage\n_load_from_bytes\n",
        b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n",
        b"cservices.importing.values\nValues\n",
        b"}",
        b"]",
        b")",
    ],
)
def test_attributes_are_given_to_nothing_but_results(state: Any, target: bytes) -> None:
    """The hole of a restricted unpickler: BUILD on the reader's own classes and functions."""
    with pytest.raises(RefusedError, match="its pickle gives attributes to"):
        value(b"\x80\x02" + target + pickle.dumps(state, 2)[2:-1] + b"b.")
    assert not hasattr(Values, "hacked")


def nested(root: Any, *, zipped: bool, raw: bool = False) -> bytes:
    """What would be handed to torch.storage._load_from_bytes."""
    if raw:
        return pickle.dumps(root, 2)
    file = io.BytesIO()
    torch.save(root, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["raw", "legacy", "zip"])
def test_the_nested_stream_is_not_unpickled_either(trap: Path, kind: str) -> None:
    content = nested(Reduces(open, str(trap), "w"), zipped=kind == "zip", raw=kind == "raw")
    pickled = (
        b"\x80\x04\x8c\x0dtorch.storage\x94\x8c\x10_load_from_bytes\x93"
        b"B" + struct.pack("<I", len(content)) + content + b"\x85R."
    )
    with pytest.raises(RefusedError):
        value(pickled, load_storage=load_storage)


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((4,), (1,), 1),
        ((2, 2), (3, 1), 0),
        ((1 << 39, 1 << 39), (0, 0), 0),
        ((5,), (0,), 0),
        ((-1,), (1,), 0),
        ((2,), (-1,), 1),
        ((2,), (1,), -1),
        ((2, 1), (1,), 0),
        ((True,), (1,), 0),
        ((1.0,), (1,), 0),
        ((1,) * 9, (1,) * 9, 0),
        ("ab", (1, 1), 0),
    ],
)
def test_views_past_a_storage_are_refused(size: Any, stride: Any, offset: int) -> None:
    storage = Storage(torch.float32, 4, bytes(16))
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    values = Values(1 << 20, find_storage=lambda _: storage)
    call = Call(rebuild, (opcodes.Persistent(()), offset, size, stride, False, ()))
    with pytest.raises(RefusedError, match="it has a tensor"):
        values.build(call)


def test_tensors_are_not_larger_than_the_file() -> None:
    """A thousand views of one storage would fill the memory."""
    storage = Storage(torch.float32, 1024, bytes(4096))
    values = Values(1 << 20, find_storage=lambda _: storage)
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    reference = opcodes.Persistent(())
    views = [Call(rebuild, (reference, 0, (1024,), (1,), False, ())) for _ in range(1000)]
    with pytest.raises(RefusedError, match="its tensors are larger than the file"):
        values.build(views)


def test_nested_doubling_costs_nothing() -> None:
    """Sixty tuples of twice the one before: 2**60 leaves, sixty nodes."""
    doubled = b"\x80\x02)" + b"".join(
        b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(60)
    )
    assert len(value(doubled + b".")) == 2
    with pytest.raises(RefusedError, match="keys are not plain"):
        value(b"\x80\x02}" + doubled[2:] + b"Ns.")


def test_depth_is_bounded() -> None:
    with pytest.raises(RefusedError, match="nested more than 200 deep"):
        value(b"\x80\x02)" + b"\x85" * 5000 + b".")


def test_a_list_in_itself_is_refused() -> None:
    with pytest.raises(RefusedError, match="nested more than 200 deep"):
        value(b"\x80\x02]q\x00h\x00a.")


def test_opcodes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opcodes, "MOST_OPCODES", 100)
    with pytest.raises(RefusedError, match="more than 100 pickle opcodes"):
        value(b"\x80\x02" + b"N0" * 100 + b"N.")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x80\x02\x8b\xff\xff\xff\x7f", "item of 2147483647 bytes"),
        (b"\x80\x05\x8e" + (1 << 40).to_bytes(8, "little"), "item of 1099511627776 bytes"),
        (b"\x80\x02T" + (1 << 30).to_bytes(4, "little"), "item of 1073741824 bytes"),
        (b"\x80\x02c" + b"a" * 5000, "damaged or cut off"),
        (b"\x80\x02(i", "damaged or cut off"),
        (b"\x80\x02(cos\nsystem\no.", "opcode OBJ"),
        (b"\x80\x02(S'x'\nios\nsystem\n.", "opcode STRING"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (b"\x80\x05\x97.", "opcode NEXT_BUFFER"),
        (b"\x80\x02P0\n.", "opcode PERSID"),
        (b"\x80\x04cos\nsystem\n)}\x92.", "opcode NEWOBJ_EX"),
        (b"\x80\x00N.", "protocol 0"),
        (b"\x80\x09N.", "protocol 9"),
        (b"\x80\x02NNs.", "damaged|puts items"),
        (b"\x80\x02h\x07.", "damaged"),
        (b"\x80\x02.", "damaged"),
        (b"\x80\x02t.", "damaged"),
        (b"\x80\x04NN\x93.", "by something that is no text"),
        (b"\x80\x02Na", "damaged"),
        (b"\x80\x02NNa", "appends to"),
        (b"\x80\x02", "cut off"),
        (b"", "cut off"),
        (bytes(1000), "damaged"),
        (b"hello, world", "damaged|protocol|opcode"),
    ],
)
def test_what_no_model_file_has_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        value(content)


def test_the_list_of_constructors_is_this() -> None:
    """Every name here is one more way into the reader; add only after reading what it must do."""
    numpy = ["multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer"]
    assert sorted(CONSTRUCTORS) == sorted(
        [
            "__builtin__.set",
            "_codecs.encode",
            "builtins.set",
            "collections.OrderedDict",
            "dnnlib.tflib.network.Network",
            "dnnlib.util.EasyDict",
            "numpy.dtype",
            "torch._utils._rebuild_parameter",
            "torch._utils._rebuild_tensor_v2",
            "torch.storage._load_from_bytes",
            "torch_utils.persistence._reconstruct_persistent_obj",
            *(f"{package}.{name}" for package in ("numpy.core", "numpy._core") for name in numpy),
        ]
    )


def zip_of(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    bomb = zip_of(
        {"net/data.pkl": b"\x80\x02}.", "net/data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED
    )
    (tmp_path / "bomb.pt").write_bytes(bomb)
    with pytest.raises(WeightsError, match="a zip archive that is compressed"):
        import_file(tmp_path / "bomb.pt", tmp_path, "bomb")


def test_a_storage_that_is_shorter_than_it_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    writers.rosinality(path, writers.generator(), None)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    key = next(name for name in members if name.endswith("/data/5"))
    members[key] = members[key][:-4]
    path.write_bytes(zip_of(members))
    with pytest.raises(WeightsError, match="its storage '5' has"):
        import_file(path, tmp_path, "net")


def test_a_training_checkpoint_may_hold_anything_beside(tmp_path: Path, trap: Path) -> None:
    path = tmp_path / "net.pt"
    content = {
        "g_ema": writers.rosinality_generator(writers.generator()),
        "args": Reduces(open, str(trap), "w"),
    }
    torch.save(content, path)
    assert len(import_file(path, tmp_path, "net")) == 1


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("valid")
    small = {"resolution": 8, "widths": (2, 2), "z_dim": 2, "w_dim": 2, "mapping_layers": 1}
    g = writers.generator(**small)
    d = writers.discriminator(resolution=8, widths=(2, 2))
    writers.rosinality(folder / "zip", g, d)
    writers.rosinality(folder / "legacy", g, d, zipped=False)
    writers.clip_glass_generator(folder / "glass", g)
    return {
        "ada": writers.nvidia_torch(g, d, "", 2),
        "tf": writers.nvidia_tensorflow(g, d, "", 4),
        **{name: (folder / name).read_bytes() for name in ("zip", "legacy", "glass")},
    }


def damaged(content: bytes, seed: int) -> bytes:
    """Some bytes changed, at times some cut out, at times the end cut off."""
    chance, changed = random.Random(seed), bytearray(content)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    if chance.random() < 0.5:
        begin = chance.randrange(len(changed))
        del changed[begin : begin + chance.randint(1, 200)]
    if chance.random() < 0.25:
        del changed[chance.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.parametrize("kind", ["ada", "tf", "zip", "legacy", "glass"])
@pytest.mark.parametrize("seed", range(0, 40, 20))
def test_damaged_files_load_or_are_refused_in_a_sentence(
    tmp_path: Path, valid: dict[str, bytes], kind: str, seed: int
) -> None:
    """Never another exception."""
    source = tmp_path / "damaged"
    for each in range(seed, seed + 20):
        source.write_bytes(damaged(valid[kind], each))
        told = ""
        try:
            import_file(source, tmp_path, "net")
        except WeightsError as error:
            told = str(error)
        assert not told or (told.startswith(f"{source} cannot be imported: ") and "\n" not in told)


def test_ordered_dicts_and_sets_are_built() -> None:
    content = {"a": OrderedDict(x=1), "b": {1, 2}, "c": b"\xff", "d": (1.5, None, True)}
    for protocol in (2, 3, 4, 5):
        assert value(pickle.dumps(content, protocol)) == content
