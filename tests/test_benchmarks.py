"""The commands that the docs name for their figures still run, at a tiny size."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "--seeds", "1", "--population", "6", "--generations", "2"],
        ["pipeline", "--rows", "20", "--repeats", "2"],
        ["display", "--seconds", "0.2"],
        ["naming", "--sets", "2", "--drawings", "4", "--captions", "20"],
        pytest.param(["swap", "--swaps", "1", "--population", "8"], marks=pytest.mark.slow),
        pytest.param(
            ["ensemble", "--rows", "2", "--repeats", "1", "--resolution", "32"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.timeout(660)
@pytest.mark.usefixtures("runtime_folder")
def test_a_benchmark_prints_its_table(arguments: list[str], tmp_path: Path) -> None:
    sheet = ["--sheet", str(tmp_path / "sheet.png")] if arguments[0] == "search" else []
    command = [sys.executable, "-m", f"benchmarks.{arguments[0]}", *arguments[1:], *sheet]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "━" in done.stdout
    assert not sheet or (tmp_path / "sheet.png").exists()
