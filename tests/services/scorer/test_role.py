"""Any callable is a service; one that misbehaves says so at the start."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from protocol.client import Client
from protocol.errors import BadRequestError
from protocol.messages import Score, ScorerInfo, Scores
from protocol.tensors import TensorWriter
from services.cli import app
from services.scorer.role import load_scorer

BRIGHTNESS = "def brightness(images):\n    return images.mean(axis=(1, 2, 3)) / 255\n"
ABOUT = ScorerInfo(4, 6)


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    path = tmp_path / "judge.py"
    path.write_text(BRIGHTNESS)
    return path


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def f(images):\n    return 1.0\n", "wanted 16 numbers, got shape \\(\\)"),
        ("def g(images):\n    pass\n", "has no attribute 'f'"),
        ("import nothing_of_that_name\n", "nothing_of_that_name"),
        ("def f(", "was never closed"),
        ("raise SystemExit('no licence')\n", "no licence"),
    ],
)
def test_what_is_no_scorer_is_refused(judge: Path, source: str, why: str) -> None:
    judge.write_text(source)
    with pytest.raises(BadRequestError, match=why):
        load_scorer(f"{judge}:f", ABOUT)


def test_a_scorer_may_be_written_with_dataclasses(judge: Path) -> None:
    judge.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        f"@dataclass\nclass Weight:\n    value: float\n{BRIGHTNESS}"
    )
    load_scorer(f"{judge}:brightness", ABOUT)


@pytest.mark.parametrize("side", ["--height", "--width"])
def test_a_side_that_no_message_can_name_is_refused_at_once(judge: Path, side: str) -> None:
    sides = ["--height", "4", "--width", "4", side, "4097"]
    said = CliRunner().invoke(app, ["scorer", f"{judge}:brightness", *sides])
    assert said.exit_code == 2
    assert "4096" in said.output


def test_a_picture_that_cannot_be_scored_has_no_number(judge: Path) -> None:
    judge.write_text("def f(images):\n    return [i.mean() or float('nan') for i in images]\n")
    role = load_scorer(f"{judge}:f", ABOUT)
    pictures = np.zeros((16, 4, 6, 3), np.uint8)
    pictures[3:] = 8
    (numbers,) = role.compute(None, pictures)
    np.testing.assert_array_equal(numbers, [np.nan] * 3 + [8] * 13)


@pytest.mark.parametrize("named", ["", "judge.py", "none.py:f", ":f"])
def test_what_names_no_file_is_refused(named: str) -> None:
    with pytest.raises(BadRequestError, match=r"wanted file\.py:function"):
        load_scorer(named, ABOUT)


def test_a_function_becomes_a_service(judge: Path, runtime_folder: Path) -> None:
    del runtime_folder  # its checks run at the end
    command = [sys.executable, "-P", "-m", "services", "scorer", f"{judge}:brightness", "--owned"]
    with subprocess.Popen(
        [*command, "--height", "4", "--width", "6"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process, Client("test") as client:  # fmt: skip
        assert process.stdout is not None
        said = dict(word.split("=", 1) for word in process.stdout.readline().split()[1:])
        service = client.connect(said["endpoint"], "scorer")
        assert service.info.about == ABOUT
        writer = TensorWriter()
        images = np.arange(20, dtype=np.uint8).repeat(4 * 6 * 3).reshape(20, 4, 6, 3)
        answer = client.call(service, Score(images=writer.add(images)), writer.frames).answer()
        assert isinstance(answer.reply.result, Scores)
        found = answer.tensor(answer.reply.result.logits)
        np.testing.assert_allclose(found, np.arange(20) / 255, rtol=1e-5)
        assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text()
        process.terminate()
        assert process.wait(120) == 0
