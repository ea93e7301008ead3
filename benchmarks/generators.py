"""How fast do BigGAN-deep and GPT-2 compute, at real size with random weights?

BigGAN: the plain float32 form against what a service runs, and against bfloat16 with channels last,
each with its greatest error beside float64. GPT-2: captions with the cache against a loop without.

    python -m benchmarks.generators biggan --side 256 --rows 2
    python -m benchmarks.generators captions --rows 8
"""

from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from benchmarks.timing import in_turn, show
from services.models.biggan import PUBLISHED, BigGAN, BigGANConfig
from services.models.biggan_folded import FoldedBigGAN, Maps
from services.models.causal_lm import build_lm

app = typer.Typer(add_completion=False, no_args_is_help=True)
Rows = Annotated[int, typer.Option(min=1, help="Pictures or captions in a batch.")]
Repeats = Annotated[int, typer.Option(min=1)]
POWER_ITERATIONS = 30
GPT2 = {"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "eos_token_id": 50256}
START, STEPS = 23, 30


@app.command()
def biggan(side: int = 256, rows: Rows = 2, repeats: Repeats = 3) -> None:
    """Seconds a batch, and the greatest difference from float64."""
    network = converged(PUBLISHED[side])
    z = torch.randn(rows, 128).clamp(-2, 2)
    classes = torch.eye(1000)[torch.arange(rows)]
    with torch.inference_mode():
        condition = torch.cat([z, network.embeddings(classes)], dim=1)
        bfloat16 = FoldedBigGAN(network, Maps(torch.bfloat16, channels_last=True))
        last = FoldedBigGAN(network, Maps(channels_last=True))
        folded = FoldedBigGAN(network, Maps())
        forms = {
            "plain": lambda: network(z, classes),
            "folded": lambda: folded(condition),
            "channels_last": lambda: last(condition),
            "bfloat16": lambda: bfloat16(condition),
        }
        found = in_turn(repeats, 1, **forms)
        drawn = {name: form() for name, form in forms.items()}
        exact = network.double()(z.double(), classes.double())
    show(f"BigGAN-deep-{side}, a batch of {rows}", found, "plain")
    for name, picture in drawn.items():
        print(f"{name:14} differs from float64 by at most {difference(picture, exact):.1e}")  # noqa: T201 # a command prints


@app.command()
def captions(rows: Rows = 8, repeats: Repeats = 1) -> None:
    """Seconds for a batch of captions of 30 tokens, and whether both ways write the same."""
    torch.manual_seed(0)
    with torch.inference_mode():
        model = build_lm(GPT2, random_gpt2())
        tokens = torch.randint(0, 50256, (rows, START))
        none = torch.tensor([-1])  # so that every caption has all its tokens
        forms = {
            "without_cache": lambda: without_cache(model.network, tokens),
            "cached": lambda: model.continued(tokens, STEPS, none, lambda _, x: x.argmax(dim=1)),
        }
        found = in_turn(repeats, 1, **forms)
        same = torch.equal(forms["without_cache"](), forms["cached"]())
    show(f"GPT-2 small, {rows} captions of {STEPS} tokens after {START}", found, "without_cache")
    print(f"{rows / min(found['cached']):.2f} captions a second; the same tokens: {same}")  # noqa: T201 # a command prints


def without_cache(network: nn.Module, tokens: Tensor) -> Tensor:
    """Every step reads the whole row again, and computes the logits of all its tokens."""
    for _ in range(STEPS):
        logits = network(input_ids=tokens, use_cache=False).logits
        tokens = torch.cat([tokens, logits[:, -1:].argmax(dim=2)], dim=1)
    return tokens[:, START:]


def converged(config: BigGANConfig) -> BigGAN:
    """A network with random weights whose spectral norms know their sigma."""
    torch.manual_seed(0)
    network = BigGAN(config)
    with torch.no_grad():
        for module in network.modules():
            for hook in module._forward_pre_hooks.values():  # noqa: SLF001 # spectral norm's own
                for _ in range(POWER_ITERATIONS):
                    hook.compute_weight(module, do_power_iteration=True)  # type: ignore[attr-defined]
    return network.eval().requires_grad_(requires_grad=False)


def random_gpt2() -> dict[str, Tensor]:
    """GPT-2's tensors, drawn as before training."""
    from transformers import GPT2Config, GPT2LMHeadModel

    network = GPT2LMHeadModel(GPT2Config(**GPT2, bos_token_id=50256))
    return {name: t for name, t in network.state_dict().items() if name != "lm_head.weight"}


def difference(picture: Tensor, exact: Tensor) -> float:
    """The greatest."""
    return float((picture.double() - exact).abs().max())


if __name__ == "__main__":
    app()
