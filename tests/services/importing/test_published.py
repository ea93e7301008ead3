"""BigGAN-deep and language models as Hugging Face has them, small, through the one entry."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from protocol.errors import WeightsError
from services.generator import biggan_deep_generator, gpt2_generator
from services.importing import import_file
from services.models.checkpoints import load_checkpoint
from services.models.shards import size_bytes
from tests import tiny

CPU = torch.device("cpu")


def save_biggan(folder: Path, **changes: object) -> Path:
    path = folder / "biggan-deep-16-pytorch_model.bin"
    torch.save(tiny.biggan().state_dict(), path)
    config = dataclasses.asdict(tiny.BIGGAN) | changes
    (folder / "biggan-deep-16-config.json").write_text(json.dumps(config))
    return path


def save_gpt2(folder: Path, *, whole_tokenizer: bool = False) -> Path:
    """As transformers saves it, with the tied head left out."""
    checkpoint = load_checkpoint(tiny.save_gpt2(folder / "own"))
    config = {key: value for key, value in checkpoint.config.items() if key != "tokenizer"}
    own = {"prefix_length", "prompt", "max_new_tokens", "end_of_text"}
    config = {key: value for key, value in config.items() if key not in own}
    config |= {"model_type": "gpt2", "eos_token_id": 256, "n_positions": 64}
    tensors = {name.removeprefix("transformer."): t for name, t in checkpoint.tensors.items()}
    tensors["wpe.weight"] = torch.cat([tensors["wpe.weight"]] * 2)[:64]
    (folder / "config.json").write_text(json.dumps(config))
    parts = checkpoint.config["tokenizer"]
    if whole_tokenizer:
        from services.models.causal_lm import build_tokenizer

        (folder / "tokenizer.json").write_text(build_tokenizer(parts).to_str())
    else:
        (folder / "vocab.json").write_text(json.dumps(parts["vocabulary"]))
        (folder / "merges.txt").write_text("#version: 0.2\n")
    save_file(tensors, folder / "model.safetensors")
    return folder / "model.safetensors"


def test_biggan_becomes_a_checkpoint_that_draws_the_same(tmp_path: Path) -> None:
    (made,) = import_file(save_biggan(tmp_path), tmp_path / "models", "little")
    assert made == tmp_path / "models" / "little.safetensors"
    drawn = biggan_deep_generator.load(load_checkpoint(made), CPU)
    wanted = tiny.biggan().requires_grad_(requires_grad=False)
    z = torch.tensor([[0.5, -1.0, 1.5, 0.0]])
    found = drawn.draw("z+embedding", torch.cat([z, torch.zeros(1, 4)], dim=1), 1.0)
    torch.testing.assert_close(found, wanted(z, torch.full((1, 6), 1 / 6)), atol=1e-4, rtol=0)


def test_biggan_that_does_not_fit_its_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"not those of the config\.json beside it"):
        import_file(save_biggan(tmp_path, num_classes=7), tmp_path / "models", "wrong")
    (tmp_path / "biggan-deep-16-config.json").write_text("[1]")
    with pytest.raises(WeightsError, match="holds no JSON object"):
        import_file(tmp_path / "biggan-deep-16-pytorch_model.bin", tmp_path / "models", "wrong")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("whole_tokenizer", [False, True])
def test_a_language_model_becomes_a_checkpoint_that_writes(
    tmp_path: Path, *, whole_tokenizer: bool
) -> None:
    source = save_gpt2(tmp_path, whole_tokenizer=whole_tokenizer)
    (made,) = import_file(source, tmp_path / "models", "little")
    writer = gpt2_generator.load(load_checkpoint(made), CPU)
    assert writer.spaces[0].size == 20
    (text,) = writer.write("tokens", torch.arange(20.0)[None], 0.0, 0)
    assert text.startswith("the picture of")


def test_language_models_in_pieces_are_put_together(tmp_path: Path) -> None:
    source = save_gpt2(tmp_path)
    whole = load_checkpoint(import_file(source, tmp_path / "models", "whole")[0])
    from safetensors.torch import load_file

    tensors = list(load_file(source).items())
    source.unlink()
    for index, part in enumerate((tensors[:5], tensors[5:])):
        save_file(dict(part), tmp_path / f"model-0000{index + 1}-of-00002.safetensors")
    first = tmp_path / "model-00001-of-00002.safetensors"
    pieces = load_checkpoint(import_file(first, tmp_path / "models", "pieces")[0])
    assert pieces.tensors.keys() == whole.tensors.keys()
    assert size_bytes(first) == sum(path.stat().st_size for path in tmp_path.glob("model-*"))
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match="only 1 of its 2 shards"):
        import_file(first, tmp_path / "models", "less")


def test_a_file_with_a_name_like_a_shards_is_a_file(tmp_path: Path) -> None:
    source = save_gpt2(tmp_path).rename(tmp_path / "x-of-cats.safetensors")
    assert import_file(source, tmp_path / "models", "cats")


def test_language_models_that_ask_for_code_or_lack_a_tokenizer_are_refused(tmp_path: Path) -> None:
    source = save_gpt2(tmp_path)
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(WeightsError, match="no tokenizer lies beside it"):
        import_file(source, tmp_path / "models", "less")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "x.y"}}))
    with pytest.raises(WeightsError, match="has auto_map, which is not read"):
        import_file(source, tmp_path / "models", "code")
