"""Rows per second, memory and error of each architecture at its real size, in each form.

`python -m benchmarks.models [NAME...] [--rows N] [--repeats N] [--device cuda] [--compile]`, with
names as below or `all`; by default one of each kind. Weights are random: speed does not depend on
them. The floor is the time that the plain form's operations would take at the rate of a large
matrix product in that form's dtype; the error is against the same network in float64.

On a CPU everything runs on one thread and is timed in seconds of the processor, which other work on
the machine changes little. Each form's line is printed when it is known.
"""

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from services.loading import exact_float32
from services.models.biggan import PUBLISHED, BigGAN
from services.models.biggan_folded import FoldedBigGAN, Maps
from services.models.published_clip import build_network
from services.models.stylegan2 import Generator, GeneratorConfig
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig
from services.models.stylegan2_layers import Execution
from services.runtime.memory import give_back, keep_memory

QUICK = ("stylegan2-256", "stylegan2-256-discriminator", "biggan-deep-256", "clip-vit-b32")
MATMUL_SIDE = 1024
HEADINGS = ("form", "rows/s", "x plain", "x floor", "peak MiB", "max error", "of a std")
LINE = "  {:32} {:>8} {:>8} {:>8} {:>9} {:>10} {:>9}"


@dataclass(frozen=True)
class Form:
    """One way to compute; `plain` is the eager float32 form that others are compared with."""

    name: str
    dtype: torch.dtype = torch.float32
    channels_last: bool = False
    plain: bool = False
    winograd: bool = False


@dataclass(frozen=True)
class Case:
    """A network and its input; `form` makes it ready to be called in a form."""

    exact: Callable[[], Tensor]
    form: Callable[[Form], Callable[[], Tensor]]


def forms(name: str, device: torch.device) -> list[Form]:
    """Those of an architecture worth measuring on a device."""
    half = [Form("bfloat16 channels_last", torch.bfloat16, channels_last=True)]
    if device.type == "cuda":
        half.append(Form("float16 channels_last", torch.float16, channels_last=True))
    wide = device.type == "cpu" and not name.startswith("clip")
    fewer = [Form("float32 winograd", channels_last=True, winograd=True)] if wide else []
    return [
        Form("float32 plain", plain=True),
        Form("float32", channels_last=False),
        Form("float32 channels_last", channels_last=True),
        *fewer,
        *half,
    ]


def stylegan2(side: int, rows: int, device: torch.device, *, judge: bool = False) -> Case:
    """A generator of config-f from w, or a discriminator from pictures."""
    if judge:
        network: nn.Module = Discriminator(DiscriminatorConfig(resolution=side))
        given = torch.rand(rows, 3, side, side, device=device) * 2 - 1
    else:
        network = Generator(GeneratorConfig(resolution=side)).synthesis
        given = torch.randn(rows, 512, device=device)
    network.eval().requires_grad_(requires_grad=False).to(device)
    exact = copy.deepcopy(network).double()

    def form(form: Form) -> Callable[[], Tensor]:
        mine = copy.deepcopy(network)
        execution = Execution(
            form.dtype, 16, form.channels_last, fused=form.plain, winograd=form.winograd
        )
        mine.execution = execution  # type: ignore[assignment] # a field of it
        return lambda: mine(given)

    return Case(lambda: exact(given.double()), form)


def biggan(side: int, rows: int, device: torch.device) -> Case:
    """Plain as published; other forms are folded."""
    with torch.device(device):
        network = BigGAN(PUBLISHED[side])
        z, classes = torch.randn(rows, 128).clamp(-2, 2), torch.zeros(rows, 1000)
    classes[:, 7] = 1
    network.train()
    with torch.no_grad():
        for _ in range(2):  # spectral norm's power iterations: without them sigma is nearly 0
            network(z[:1].expand(2, -1), classes[:1].expand(2, -1))
    network.eval().requires_grad_(requires_grad=False)
    exact = copy.deepcopy(network).double()
    condition = torch.cat([z, classes @ network.embeddings.weight.T], dim=1)

    def form(form: Form) -> Callable[[], Tensor]:
        if form.plain:
            return lambda: network(z, classes)
        folded = FoldedBigGAN(network, Maps(form.dtype, form.channels_last, form.winograd))
        return lambda: folded(condition)

    return Case(lambda: exact(z.double(), classes.double()), form)


def clip(rows: int, device: torch.device) -> Case:
    """The image half of ViT-B/32."""
    from services.fetching.open_clips import published_config

    whole = build_network(published_config("ViT-B-32-quickgelu:openai"))
    network = cast("nn.Module", whole.visual)
    network.eval().requires_grad_(requires_grad=False).to(device)
    given = torch.randn(rows, 3, 224, 224, device=device)
    exact = copy.deepcopy(network).double()

    def form(form: Form) -> Callable[[], Tensor]:
        layout = torch.channels_last if form.channels_last else torch.contiguous_format
        mine = copy.deepcopy(network).to(form.dtype, memory_format=layout)  # type: ignore[call-overload] # torch has it
        pictures = given.to(form.dtype, memory_format=layout)
        return lambda: mine(pictures).float()

    return Case(lambda: exact(given.double()), form)


CASES: dict[str, tuple[int, Callable[[int, torch.device], Case]]] = {
    "stylegan2-256": (2, lambda n, d: stylegan2(256, n, d)),
    "stylegan2-1024": (1, lambda n, d: stylegan2(1024, n, d)),
    "stylegan2-256-discriminator": (2, lambda n, d: stylegan2(256, n, d, judge=True)),
    "stylegan2-1024-discriminator": (1, lambda n, d: stylegan2(1024, n, d, judge=True)),
    "biggan-deep-128": (4, lambda n, d: biggan(128, n, d)),
    "biggan-deep-256": (2, lambda n, d: biggan(256, n, d)),
    "biggan-deep-512": (1, lambda n, d: biggan(512, n, d)),
    "clip-vit-b32": (8, clip),
}


def seconds_of(action: Callable[[], object], repeats: int, device: torch.device) -> float:
    """The least of some calls: of the processor on a CPU, of the wall's clock elsewhere."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    found = []
    for _ in range(repeats):
        _wait(device)
        started = clock()
        action()
        _wait(device)
        found.append(clock() - started)
    return min(found)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Operations a second of a large matrix product."""
    a = torch.randn(MATMUL_SIDE, MATMUL_SIDE, device=device).to(dtype)
    return 2 * MATMUL_SIDE**3 / seconds_of(lambda: a @ a, 3, device)


class Peak:
    """The most memory in use since it was made: of the device, or of this process."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            give_back()
            Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back (proc(5))

    def mib(self) -> float:
        """Of the whole device or process, the exact network and the weights included."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**20
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


def say(*cells: str) -> None:
    """One line, at once."""
    print(LINE.format(*cells).rstrip(), flush=True)  # noqa: T201 # a command prints


@torch.inference_mode()
def measure(name: str, rows: int, repeats: int, device: torch.device, *, compiled: bool) -> None:
    """Print the lines of one architecture."""
    usual, make = CASES[name]
    rows = rows or usual
    torch.manual_seed(0)
    case = make(rows, device)
    with FlopCounterMode(display=False) as counter:
        case.form(forms(name, device)[0])()
    operations = counter.get_total_flops()
    title = f"{name}: {rows} rows, {operations / rows / 1e9:.1f} GFLOP a row, on {device}"
    print(f"\n{title}", flush=True)  # noqa: T201 # a command prints
    say(*HEADINGS)
    exact = case.exact()
    plain = 0.0
    for form in forms(name, device):
        peak = Peak(device)
        action = case.form(form)
        ways = {form.name: action}
        if compiled and not form.plain:
            graphs = "reduce-overhead" if device.type == "cuda" else "default"
            ways[f"{form.name} compiled"] = torch.compile(action, mode=graphs)
        floor = operations / matmul_rate(form.dtype, device)
        for way, run in ways.items():
            error = float((run().double() - exact).abs().max())  # warms it up, too
            found = seconds_of(run, repeats, device)
            plain = plain or found
            say(
                way,
                f"{rows / found:.2f}",
                f"{plain / found:.2f}",
                f"{found / floor:.1f}",
                f"{peak.mib():.0f}",
                f"{error:.1e}",
                f"{error / float(exact.std()):.0e}",
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=QUICK, metavar="NAME")
    parser.add_argument("--rows", type=int, default=0, help="in a batch; a few by default")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument(
        "--return-memory", action="store_true", help="as torch alone; services keep what they took"
    )
    said = parser.parse_args()
    device = torch.device(said.device)
    names = list(CASES) if "all" in said.names else said.names
    if unknown := set(names) - set(CASES):
        parser.error(f"no {', '.join(sorted(unknown))}; names: {', '.join(CASES)}")
    exact_float32()
    if not said.return_memory:
        keep_memory()
    if device.type == "cpu":
        torch.set_num_threads(1)
    for name in names:
        measure(name, said.rows, said.repeats, device, compiled=said.compile)


if __name__ == "__main__":
    main()
