"""What could keep a run from going well on this machine, and how to mend it.

Every check is a function that returns findings; none of them changes anything. Torch is asked in a
process of its own, because importing it takes seconds and may itself be what is broken.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Literal

import msgspec

from orchestrator.fleet.assemble import share_of_cores
from orchestrator.fleet.offers import catalogue
from orchestrator.runs.storage import nearest
from protocol.endpoints import runtime_dir
from protocol.errors import GlasshouseError
from protocol.registry import registered
from protocol.slots import pool_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Verdict = Literal["ok", "note", "bad"]

TORCH_TIMEOUT_S = 120.0
LEAST_MEMORY_GIB = 2.0
LEAST_SHM_MIB = 64
LEAST_DISK_GIB = 1.0
PACKAGES = ("glasshouse", "torch", "open_clip_torch", "transformers", "pymoo", "cma", "pyzmq")
ASK_TORCH = """
import json, torch
cuda = torch.cuda
found = [
    {"name": cuda.get_device_name(i), "memory": cuda.get_device_properties(i).total_memory}
    for i in range(cuda.device_count())
]
print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads(), "gpus": found}))
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        verdict: `ok`, `note` (works, with a limit), or `bad` (runs will fail).
        found: what was found.
        mend: what to do about it; empty where nothing is to be done.
    """

    name: str
    verdict: Verdict
    found: str
    mend: str = ""


def examine(runs: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Look at everything; never fails.

    Args:
        runs: where run folders would go.
        environ: the process's environment.
    """
    checks: list[Callable[[], list[Finding]]] = [
        python,
        packages,
        torch,
        memory,
        shared_memory,
        sockets,
        lambda: disk(runs),
        models,
        lambda: terminal(environ),
    ]
    return [finding for check in checks for finding in _guarded(check)]


def _guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except (OSError, GlasshouseError, ValueError, subprocess.SubprocessError) as error:
        name = getattr(check, "__name__", "check").strip("<>")
        return [Finding(name, "bad", str(error))]


def python() -> list[Finding]:
    """The interpreter."""
    found = f"{platform.python_version()} at {sys.executable}, {platform.platform()}"
    good = sys.version_info >= (3, 11)
    return [Finding("python", "ok" if good else "bad", found, "" if good else "use 3.11 or newer")]


def packages() -> list[Finding]:
    """What is installed."""
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    findings = [Finding("packages", "ok", ", ".join(found))]
    if missing:
        words = " ".join(missing)
        findings.append(Finding("packages", "bad", f"missing: {words}", f"pip install {words}"))
    return findings


class _Gpu(msgspec.Struct):
    name: str
    memory: int


class _Torch(msgspec.Struct):
    version: str
    threads: int
    gpus: list[_Gpu]


def torch() -> list[Finding]:
    """Torch, the processor and the GPUs that it finds."""
    done = subprocess.run(  # noqa: S603 # our own words
        [sys.executable, "-c", ASK_TORCH], capture_output=True, text=True, timeout=TORCH_TIMEOUT_S,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        return [Finding("torch", "bad", last, "install Glasshouse again")]
    said = msgspec.json.decode(done.stdout, type=_Torch)
    found = f"{said.version}, {said.threads} threads, {share_of_cores(1)} cores"
    findings = [Finding("torch", "ok", found)]
    for index, gpu in enumerate(said.gpus):
        found = f"cuda:{index} {gpu.name}, {gpu.memory / 2**30:.0f} GiB"
        findings.append(Finding("device", "ok", found))
    if not said.gpus:
        mend = "the bundled models are quick without; for large ones use a CUDA build of torch"
        findings.append(Finding("device", "note", "cpu only", mend))
    return findings


def memory() -> list[Finding]:
    """Free memory."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    found = f"{free:.1f} GiB free"
    if free < LEAST_MEMORY_GIB:
        return [Finding("memory", "bad", found, "each service needs about 0.6 GiB; free some")]
    return [Finding("memory", "ok", found)]


def shared_memory() -> list[Finding]:
    """The tmpfs through which pictures pass."""
    folder = pool_path("any").parent
    free = shutil.disk_usage(folder).free / 2**20
    found = f"{free:,.0f} MiB free in {folder}"
    if free < LEAST_SHM_MIB or not os.access(folder, os.W_OK):
        mend = "pictures will travel as frames; give a container --shm-size, or set GLASSHOUSE_SHM"
        return [Finding("shared memory", "note", found, mend)]
    return [Finding("shared memory", "ok", found)]


def sockets() -> list[Finding]:
    """The folder of sockets, and who lives there."""
    living = [f"{one.registration.role} {one.registration.model}" for one in registered()]
    return [
        Finding("sockets", "ok", f"{runtime_dir()}, mode 0700"),
        Finding("services", "ok", ", ".join(living) or "none is up"),
    ]


def disk(runs: Path) -> list[Finding]:
    """Where run folders go."""
    place = nearest(runs)
    mend = "name another folder with --runs"
    if not place.is_dir():
        return [Finding("runs", "bad", f"{place} is no folder", mend)]
    if not os.access(place, os.W_OK):
        return [Finding("runs", "bad", f"{place} cannot be written", mend)]
    free = shutil.disk_usage(place).free / 2**30
    found = f"{free:.1f} GiB free for {runs}"
    if free < LEAST_DISK_GIB:
        return [Finding("runs", "bad", found, "free some, or name another disk with --runs")]
    return [Finding("runs", "ok", found)]


def models() -> list[Finding]:
    """Which weights are on this machine."""
    rows = catalogue()
    here = [row.name for row in rows if row.here]
    lost = [row.name for row in rows if row.source == "bundled" and not row.here]
    findings = [Finding("models", "ok", ", ".join(here))]
    if lost:
        words = f"missing: {', '.join(lost)}"
        findings.append(Finding("models", "bad", words, "install Glasshouse again"))
    return findings


def terminal(environ: Mapping[str, str]) -> list[Finding]:
    """What the display can show here."""
    from rich.console import Console

    from orchestrator.terminal.choose import can_redraw, can_show_images

    console = Console(stderr=True, _environ=environ)
    if not can_redraw(sys.stderr, environ):
        return [Finding("terminal", "note", "plain lines", "the live display needs a UTF-8 tty")]
    pictures = can_show_images(console, "auto")
    found = f"{console.color_system or 'no'} colours, {console.width}x{console.height}"
    mend = "" if pictures else "pictures need 256 colours and no NO_COLOR"
    return [Finding("terminal", "ok" if pictures else "note", found, mend)]


def table(findings: list[Finding]) -> str:
    """For people, a line each and how to mend it beneath."""
    signs = {"ok": "✓", "note": "·", "bad": "✗"}
    lines = []
    for one in findings:
        lines.append(f"{signs[one.verdict]} {one.name:14} {one.found}")
        lines += [f"  {'':14} {one.mend}"] * bool(one.mend)
    return "\n".join(lines)
