"""torchvision's classifiers: fetched like any address, verified by the digest in their name."""

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from protocol.errors import WeightsError
from services.catalogue import find_model
from services.fetching import download
from services.fetching.pull import pull
from services.loading import load_role
from services.models.torchvision_ops import ensure_torchvision
from tests.services.fetching.conftest import Site

ensure_torchvision()
NAME = "torchvision:mobilenet_v3_small"


def publish(site: Site, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Have torchvision say that its smallest lies on our server."""
    from torchvision import models

    real = models.get_model_weights("mobilenet_v3_small").DEFAULT
    path = f"/mobilenet_v3_small-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    site.files[path] = content
    ours = SimpleNamespace(
        url=site.address + path, name=real.name, meta=real.meta, transforms=real.transforms
    )
    monkeypatch.setattr(models, "get_model_weights", lambda _: SimpleNamespace(DEFAULT=ours))
    monkeypatch.setattr(download, "PAUSE_S", 0.0)


def state_dict() -> bytes:
    from torchvision.models import mobilenet_v3_small

    file = io.BytesIO()
    torch.save(mobilenet_v3_small().state_dict(), file)
    return file.getvalue()


def test_it_comes_through_cut_connections_and_serves(
    site: Site, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = state_dict()
    site.cuts, site.cut_after = 2, len(content) // 3
    with monkeypatch.context() as patch:
        publish(site, patch, content)
        assert pull(NAME, print) == [models / f"{NAME}.safetensors"]
    assert [path for path in models.rglob("*") if path.is_file()] == [
        models / f"{NAME}.safetensors"
    ]
    load_role(find_model(NAME, "classifier"), "cpu")


def test_another_file_than_was_published_is_refused(
    site: Site, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site, monkeypatch, b"as published")
    (path,) = site.files
    site.files[path] = b"another file"
    with pytest.raises(WeightsError, match=r"was damaged on the way or is another file"):
        pull(NAME, print)
    assert not list(models.rglob("*.pth"))


def test_what_is_no_state_dict_is_refused(
    site: Site, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site, monkeypatch, b"<html>not found</html>")
    with pytest.raises(
        WeightsError, match=r"mobilenet_v3_small-\w+\.pth holds no plain state dict"
    ):
        pull(NAME, print)
    assert not list(models.glob("*.safetensors"))
