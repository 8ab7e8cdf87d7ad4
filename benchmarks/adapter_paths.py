"""The two forward paths of LoRA-PT, a stack at a time: seconds of forward and backward, and whether the cost rule takes
the faster.

    python benchmarks/adapter_paths.py [--size base] [--tokens 72 216 1024] [--ranks 1 4 16] [--rounds 5] [--threads 2]

The layers of a stack alone, each on input of its own, forward and backward to the factors and the input. The paths take
turns; medians over the rounds. `loss`: how much longer the rule's choice takes than the faster path.
"""

import argparse
import statistics
import time

import torch
from torch import nn

from hippopt.lorapt import Slot, Stack, adapt, cheaper_path
from hippopt.networks.device import bfloat16_pays
from hippopt.networks.unetr import LAYERS, SIZES


class Layers(nn.Module):
    """Linear layers side by side: (T, n) -> the sum of the squares of all that they give."""

    def __init__(self, rows: list[int], columns: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(columns, count) for count in rows)

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(
            [layer(x).float().square().sum() for layer, x in zip(self.layers, inputs, strict=True)]
        ).sum()


def measure(rows: list[int], m: int, n: int, tokens: int, rank: int, rounds: int) -> dict[str, float]:
    """Median seconds by path. rows: of each layer's weight, cut into slices of m."""
    torch.manual_seed(0)
    model = Layers(rows, n)
    slots = [
        Slot(f"layers.{i}.weight", start, start + m) for i, count in enumerate(rows) for start in range(0, count, m)
    ]
    shapes = {"u": (len(slots), m, rank), "s": (len(slots), rank), "v": (len(slots), n, rank)}
    # no SVD: the values do not matter here
    initial = {f"stack.{name}": torch.randn(shape) * 0.01 for name, shape in shapes.items()}
    adaptation = adapt(model, [Stack("stack", tuple(slots))], rank, initial=initial)
    inputs = [torch.randn(tokens, n, requires_grad=True) for _ in rows]
    found: dict[str, list[float]] = {"activations": [], "weights": []}
    for _ in range(rounds + 1):
        for path, seconds in found.items():
            adaptation.set_path(path)  # type: ignore[arg-type]
            before = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16_pays(torch.device("cpu"))):
                loss = model(inputs)
            loss.backward()
            seconds.append(time.perf_counter() - before)
            model.zero_grad()
    return {path: statistics.median(seconds[1:]) for path, seconds in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base")
    parser.add_argument("--tokens", type=int, nargs="+", default=[72, 216, 1024])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    hidden, mlp = SIZES[options.size].hidden_size, SIZES[options.size].mlp_dim
    stacks = {
        "attention": ([3 * hidden, hidden] * LAYERS, hidden, hidden),
        "mlp_up": ([mlp] * LAYERS, mlp, hidden),
        "mlp_down": ([hidden] * LAYERS, hidden, mlp),
    }
    print(
        f"{options.size} network, {options.threads} threads, forward and backward, medians of {options.rounds} rounds"
    )
    print(
        f"{'stack':<12}{'tokens':>8}{'rank':>6}{'activations, s':>16}{'weights, s':>12}{'ratio':>8} "
        f" {'rule':<12}{'loss':>6}"
    )
    for name, (rows, m, n) in stacks.items():
        for tokens in options.tokens:
            for rank in options.ranks:
                seconds = measure(rows, m, n, tokens, rank, options.rounds)
                chosen = cheaper_path(tokens, m, n, sum(rows) // m, rank)
                ratio = seconds["activations"] / seconds["weights"]
                loss = seconds[chosen] / min(seconds.values()) - 1
                print(
                    f"{name:<12}{tokens:>8}{rank:>6}{seconds['activations']:>16.3f}{seconds['weights']:>12.3f}{ratio:>8.2f}"
                    f"  {chosen:<12}{loss:>6.0%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
