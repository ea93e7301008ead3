"""What a loaded model is served with."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from protocol.errors import WeightsError
from services.catalogue import Model, find_model
from services.loading import _batch_rows, load_role
from services.models.checkpoints import load_checkpoint, save_checkpoint


@pytest.mark.parametrize(("side", "rows"), [(64, 16), (256, 4), (512, 1), (1024, 1)])
def test_large_pictures_are_few_at_a_time_on_a_cpu(side: int, rows: int) -> None:
    """The warm-up is one batch: at 1024x1024 sixteen would outlast the wait for a service."""
    model = Model("net", "generator", "net.safetensors", "a net")
    drawn = SimpleNamespace(height=side, width=side)
    assert _batch_rows(model, drawn, torch.device("cpu")) == rows
    assert _batch_rows(model, drawn, torch.device("cuda")) == 16


def test_float32_is_not_rounded_on_a_gpu(tiny_models: dict[str, Path]) -> None:
    """Whatever torch's default is: here it can only be looked at, for want of a GPU."""
    torch.backends.cudnn.allow_tf32 = True
    load_role(find_model(str(tiny_models["generator"]), "generator"), "cpu")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.deterministic


@pytest.mark.parametrize("role", ["generator", "clip", "discriminator"])
def test_a_checkpoint_without_a_configuration_is_one_sentence(
    tiny_models: dict[str, Path], tmp_path: Path, role: str
) -> None:
    found = load_checkpoint(tiny_models[role])
    path = tmp_path / "bare.safetensors"
    save_checkpoint(path, found.architecture, {}, found.tensors, {})
    with pytest.raises(WeightsError, match="cannot be loaded") as refused:
        load_role(find_model(str(path), role), "cpu")  # type: ignore[arg-type] # one of the roles
    assert "\n" not in refused.value.message


def test_only_architectures_of_checkpoints_are_loaded(
    tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    """Not `one_step_diffusion`, which is beside them, but is made as packages' generators are."""
    found = load_checkpoint(tiny_models["generator"])
    path = tmp_path / "odd.safetensors"
    save_checkpoint(path, "one-step-diffusion", found.config, found.tensors, {})
    with pytest.raises(
        WeightsError, match=r"is one of: biggan-deep-.*, gpt2-.*, stylegan2-[a-z]*$"
    ):
        load_role(find_model(str(path), "generator"), "cpu")
