"""What a loaded model is served with."""

from types import SimpleNamespace

import pytest
import torch

from services.catalogue import Model
from services.loading import _batch_rows


@pytest.mark.parametrize(("side", "rows"), [(64, 16), (256, 4), (512, 1), (1024, 1)])
def test_large_pictures_are_few_at_a_time_on_a_cpu(side: int, rows: int) -> None:
    """The warm-up is one batch: at 1024x1024 sixteen would outlast the wait for a service."""
    model = Model("net", "generator", "net.safetensors", "a net")
    drawn = SimpleNamespace(height=side, width=side)
    assert _batch_rows(model, drawn, torch.device("cpu")) == rows
    assert _batch_rows(model, drawn, torch.device("cuda")) == 16
