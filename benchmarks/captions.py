"""Captions of GPT-2 small with the key-value cache against a loop without, with random weights.

`python -m benchmarks.captions [--rows N]`. On one thread, in seconds of the processor, which other
work on the machine changes little. Each line is printed when it is known.
"""

import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from services.models.causal_lm import build_lm

GPT2 = {"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "eos_token_id": 50256}
START, STEPS = 23, 30


def captions(
    rows: Annotated[int, typer.Option(min=1, help="Captions in a batch.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Tokens to write.")] = STEPS,
) -> None:
    """Captions a second in float32 and bfloat16, and whether all ways write the same."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"GPT-2 small, {rows} captions of {steps} tokens after {START}", flush=True)  # noqa: T201 # a command prints
    with torch.inference_mode():
        model = build_lm(GPT2, random_gpt2())
        tokens = torch.randint(0, 50256, (rows, START))
        none = torch.tensor([-1])  # so that every caption has all its tokens

        def cached() -> Tensor:
            return model.continued(tokens, steps, none, lambda _, x: x.argmax(dim=1))

        wanted, plain = timed(lambda: without_cache(model.network, tokens, steps))
        say("float32 without cache", rows, plain, plain, "")
        cached()
        found, seconds = timed(cached)
        say("float32 cached", rows, seconds, plain, same(found, wanted))
        model.network.bfloat16()
        cached()
        found, seconds = timed(cached)
        say("bfloat16 cached", rows, seconds, plain, same(found, wanted))


def timed(action: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """What it returned, and the processor's seconds."""
    started = time.process_time()
    found = action()
    return found, time.process_time() - started


def say(form: str, rows: int, seconds: float, plain: float, note: str) -> None:
    """One line, at once."""
    rate, ratio = f"{rows / seconds:7.2f} captions/s", f"{plain / seconds:6.2f} x plain"
    print(f"  {form:24} {rate} {ratio}  {note}".rstrip(), flush=True)  # noqa: T201 # a command prints


def same(found: Tensor, wanted: Tensor) -> str:
    """How many tokens are the same, for people."""
    return f"{float((found == wanted).double().mean()):.0%} of the tokens are the same"


def without_cache(network: nn.Module, tokens: Tensor, steps: int) -> Tensor:
    """Every step reads the whole row again, and computes the logits of all its tokens."""
    for _ in range(steps):
        logits = network(input_ids=tokens, use_cache=False).logits
        tokens = torch.cat([tokens, logits[:, -1:].argmax(dim=2)], dim=1)
    return tokens[:, START:]


def random_gpt2() -> dict[str, Tensor]:
    """GPT-2's tensors, drawn as before training."""
    from transformers import GPT2Config, GPT2LMHeadModel

    network = GPT2LMHeadModel(GPT2Config.from_dict(GPT2))
    return {name: t for name, t in network.state_dict().items() if name != "lm_head.weight"}


if __name__ == "__main__":
    typer.run(captions)
