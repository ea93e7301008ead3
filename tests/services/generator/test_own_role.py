"""A user's own generator: the example of docs/generator.md, installed as a package and served."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.fleet.launcher import LocalLauncher, ServiceSpec
from protocol.client import Client
from protocol.errors import WeightsError
from protocol.latent import LatentSpace, Segment
from protocol.messages import Generate, GeneratorInfo, Pictures
from protocol.tensors import TensorWriter
from services.generator.own_role import Drawn, Generator, load_own

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"```{language}\n(.*?)```", (ROOT / "docs/generator.md").read_text(), re.DOTALL
    )


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example as pip installs it, on the path of this process and of its children."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "spiral.py").write_text(blocks("python")[0])
    (project / "pyproject.toml").write_text(blocks("toml")[0])
    site = tmp_path / "site"
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", site, project],
        check=True,
        timeout=100,
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(site))))
    return site


def test_the_example_is_served_from_its_package(
    installed: Path, runtime_folder: Path, tmp_path: Path
) -> None:
    assert (installed / "spiral.py").exists()
    assert not runtime_folder.exists()
    with LocalLauncher(tmp_path) as launcher, Client() as client:
        local = launcher.start(ServiceSpec("generator", "spiral", threads=1))
        launcher.wait_ready([local], lambda: None)
        service = client.connect(local.endpoint, "generator")
        about = service.info.about
        assert isinstance(about, GeneratorInfo)
        assert (about.spaces[0].name, about.height, about.width) == ("spiral", 64, 64)
        writer = TensorWriter()
        genomes = np.array([[1, -1, 0, 3], [0, 2, 1, 5]], np.float32)
        call = Generate(space="spiral", genomes=writer.add(genomes))
        asked = client.submit(service, call, writer.frames)
        client.wait([asked])
        result = asked.answer().reply.result
        assert isinstance(result, Pictures)
        images = asked.answer().tensor(result.images)
    assert images.shape == (2, 64, 64, 3)
    assert images.std() > 20
    assert (images[0, ..., 2] == 128).all()  # that colour's gene is 0


class Dots(Generator):
    """Four grey pixels."""

    def latent_space(self) -> LatentSpace:
        return LatentSpace("dots", (Segment("grey", "real", 4, -1, 1, "uniform"),))

    def load(self, device: torch.device) -> str:
        return str(device)

    def generate(self, genomes: torch.Tensor) -> torch.Tensor:
        return genomes.reshape(-1, 1, 2, 2).expand(-1, 3, -1, -1)


class Flat(Dots):
    def generate(self, genomes: torch.Tensor) -> torch.Tensor:
        return genomes


def test_size_and_space_are_asked_of_it() -> None:
    drawn = Drawn(Dots(), CPU)
    assert (drawn.height, drawn.width, drawn.spaces[0].size) == (2, 2, 4)
    with pytest.raises(ValueError, match=r"wanted pictures of shape \(4, 3, h, w\), got \(4, 4\)"):
        Drawn(Flat(), CPU)


class Inside(Dots):
    """Whose genes are names of things, from 1 up."""

    def latent_space(self) -> LatentSpace:
        return LatentSpace("inside", (Segment("thing", "categorical", 1, 1, 3, "uniform"),))

    def generate(self, genomes: torch.Tensor) -> torch.Tensor:
        shades = {1.0: -1.0, 2.0: 0.0, 3.0: 1.0}
        chosen = torch.tensor([shades[float(gene)] for gene in genomes[:, 0]])
        return chosen[:, None, None, None].expand(-1, 3, 2, 2)


def test_it_is_never_asked_for_what_is_outside_its_latent_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not even by the batch that it is tried with: 0 is not among 1 to 3."""
    announce(monkeypatch, tmp_path, f"{__name__}:Inside")
    assert load_own("broken", CPU).info.about.height == 2  # type: ignore[union-attr] # a generator's


class Kind(Dots):
    def latent_space(self) -> LatentSpace:
        return LatentSpace("x", (Segment("grey", "float", 4, -1, 1, "uniform"),))  # type: ignore[arg-type] # the mistake


class Segments(Dots):
    def latent_space(self) -> LatentSpace:
        return [Segment("grey", "real", 4, -1, 1, "uniform")]  # type: ignore[return-value] # the mistake


class Silent(Dots):
    def load(self, device: torch.device) -> str:
        del device
        return None  # type: ignore[return-value] # the mistake


class Levels(Dots):
    def generate(self, genomes: torch.Tensor) -> torch.Tensor:
        return super().generate(genomes).to(torch.uint8)


class Arrays(Dots):
    def generate(self, genomes: torch.Tensor) -> torch.Tensor:
        return super().generate(genomes).numpy()  # type: ignore[return-value] # the mistake


class Rowless(Dots):
    batch_rows = 0


class Leaving(Dots):
    def load(self, device: torch.device) -> str:
        del device
        sys.exit("no licence")


MISTAKES = [
    ("Kind", "Invalid enum value 'float' - at `\\$.segments"),
    ("Segments", "latent_space must return a LatentSpace, got list"),
    ("Silent", "load must return a text, got NoneType"),
    ("Levels", "wanted pictures as a tensor of floats, -1 to 1, got torch.uint8"),
    ("Arrays", "wanted pictures as a tensor of floats, -1 to 1, got ndarray"),
    ("Rowless", "batch_rows must be at least 1, got 0"),
    ("Leaving", "no licence"),
]


@pytest.mark.parametrize(
    ("value", "said"),
    [(f"{__name__}:{name}", said) for name, said in MISTAKES]
    + [("no_such_module:Cls", "no_such_module"), ("os:path", "is no class derived from Generator")],
)
def test_a_package_that_does_not_work_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, said: str
) -> None:
    announce(monkeypatch, tmp_path, value)
    with pytest.raises(WeightsError, match=f"broken of {value} does not work: .*{said}"):
        load_own("broken", CPU)


def announce(monkeypatch: pytest.MonkeyPatch, folder: Path, value: str) -> None:
    """A package whose generator `broken` is at `value`."""
    info = folder / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[glasshouse.generators]\nbroken = {value}\n")
    monkeypatch.syspath_prepend(str(folder))
