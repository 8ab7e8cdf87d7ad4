"""Seconds for the initial factors of the three stacks of the base network, beside a whole SVD of every frequency.

    python benchmarks/initial_factors.py [--size base] [--ranks 1 4 8 16] [--threads 2] [--whole]

Random weights are the worst case: their leading singular values lie close together. `error`: how far the sum of squares
of the leading singular values falls short of the true one, relative, over the frequencies. The whole SVD is timed on
one frequency that is not real and multiplied; with
--whole on all of them.
"""

import argparse
import time

import torch

from hippopt.lorapt import t_svd
from hippopt.networks.unetr import LAYERS, SIZES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.linalg.eigh(torch.eye(16, dtype=torch.complex64))  # the first call loads the library
    hidden, mlp = SIZES[options.size].hidden_size, SIZES[options.size].mlp_dim
    shapes = {
        "attention": (4 * LAYERS, hidden, hidden),
        "mlp_up": (LAYERS, mlp, hidden),
        "mlp_down": (LAYERS, hidden, mlp),
    }
    print(f"{options.size} network, random weights, {options.threads} threads")
    print(
        f"{'stack':<12}{'slices':>18}"
        + "".join(f"{f'rank {rank}, s':>12}{'error':>9}" for rank in options.ranks)
        + f"{'whole, s':>12}"
    )
    sums = dict.fromkeys(options.ranks, 0.0)
    whole_sum = 0.0
    for name, shape in shapes.items():
        weights = torch.randn(shape, generator=torch.Generator().manual_seed(0)) / shape[2] ** 0.5
        transformed = torch.fft.rfft(weights.double(), dim=0)
        timed = range(len(transformed)) if options.whole else [1]
        before = time.perf_counter()
        exact = torch.stack([torch.linalg.svd(transformed[f], full_matrices=False)[1] for f in timed])
        whole = (time.perf_counter() - before) * len(transformed) / len(timed)
        whole_sum += whole
        line = f"{name:<12}{'{} of {} x {}'.format(*shape):>18}"
        for rank in options.ranks:
            before = time.perf_counter()
            found = t_svd(weights, rank)
            seconds = time.perf_counter() - before
            sums[rank] += seconds
            true = exact[:, :rank].square().sum(1)
            error = float(((true - found.singular_values[list(timed)].square().sum(1)) / true).abs().max())
            line += f"{seconds:>12.2f}{error:>9.0e}"
        print(f"{line}{whole:>12.1f}", flush=True)
    print(
        f"{'together':<30}" + "".join(f"{sums[rank]:>12.2f}{'':>9}" for rank in options.ranks) + f"{whole_sum:>12.1f}"
    )


if __name__ == "__main__":
    main()
