"""Who may import whom (docs/architecture.md), and what a command may not pay for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "protocol": {"services", "orchestrator", "miniatures", "torch"},
    "orchestrator": {"services", "miniatures", "torch", "open_clip", "torchvision"},
    "services": {"orchestrator", "miniatures"},
}


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_packages_know_only_whom_they_may(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        assert imported(path) & FORBIDDEN[package] == set(), path


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["orchestrator", "--help"], {"torch", "numpy", "pymoo", "zmq", "PIL"}),
        (["orchestrator", "run", "--help"], {"torch", "numpy", "pymoo", "zmq", "PIL"}),
        (["orchestrator", "swap", "--help"], {"torch", "numpy", "pymoo", "zmq", "PIL"}),
        (["orchestrator", "services", "--help"], {"torch", "numpy", "pymoo", "zmq", "PIL"}),
        (["orchestrator", "algorithms"], {"torch", "pymoo", "cma"}),
        (["services", "--help"], {"torch", "numpy", "zmq"}),
        (["services", "models"], {"torch", "numpy", "httpx2", "huggingface_hub"}),
    ],
)
def test_what_only_talks_stays_light(arguments: list[str], unwanted: set[str]) -> None:
    script = f"""
import sys
from {arguments[0]}.cli import app
try:
    app({arguments[1:]!r})
except SystemExit as ended:
    assert ended.code in (0, None), ended.code
print(*sorted({unwanted!r} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=110, check=True
    )
    assert done.stdout
    assert done.stderr.split() == []


def test_the_orchestrator_never_loads_torch_even_when_it_runs() -> None:
    script = "import orchestrator.run, orchestrator.search.ga, orchestrator.search.cma_es, sys\n"
    script += "print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=110, check=True
    )
    assert done.stdout.strip() == "False"
