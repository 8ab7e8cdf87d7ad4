"""Kernels as stacks: what building them costs beside the convolutions, and what each transform keeps of the base's
kernels.

    python benchmarks/adapter_kernels.py [--ranks 1 2 4 8 16] [--patch 32 48 32] [--batch 2] [--rounds 5] [--base FILE]

step: a training step of the default network (forward and backward) with factors, over one in which the convolutions
train whole; the two take turns, medians over the rounds; time of the processor, with one thread, so that a busy machine
does not matter. built: the part of it that builds the kernels, forward and backward, over the whole step. numbers: what
trains of the kernels, of those of all kernels. axes, raster: share of the squared norm of the base's kernels that the
principal part keeps, transformed along the three axes apart or along all positions as one cycle.
"""

import argparse
import statistics
import time
from pathlib import Path

import msgspec
import torch
from safetensors.torch import load_file
from torch import nn

from hippopt.artifacts.plan import PLANNED_ADAPTER, AdapterSettings
from hippopt.artifacts.triples import Voxels
from hippopt.lorapt import gather, t_svd
from hippopt.networks.base_files import shipped_bases
from hippopt.networks.device import bfloat16_pays
from hippopt.networks.stacks import kernel_stacks
from hippopt.networks.tuning import Tuned, tune
from hippopt.networks.unetr import SIZES, build_unetr

SIZE = SIZES["small"]


def settings(rank: int) -> AdapterSettings:
    return msgspec.structs.replace(PLANNED_ADAPTER, rank=rank, stacks=("convolutions",), also_trained=("head", "norms"))


def network(base: Path, patch: Voxels) -> nn.Module:
    """The default network with the base's kernels."""
    model = build_unetr(1, 3, patch, SIZE)
    kernels = {
        name: value.float() for name, value in load_file(base).items() if name.startswith(("encoder", "decoder"))
    }
    model.load_state_dict(kernels, strict=False)
    return model


def step(model: nn.Module, image: torch.Tensor) -> float:
    """Seconds of the processor for one forward and backward pass."""
    before = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16_pays(torch.device("cpu"))):
        logits = model(image)
    logits.float().square().mean().backward()
    model.zero_grad()
    return time.process_time() - before


def building(tuned: Tuned) -> float:
    """Seconds in which every kernel of a step is built and its gradient taken back to the factors."""
    layers = [module for module in tuned.model.modules() if hasattr(module, "effective_weight")]
    before = time.process_time()
    for layer in layers:
        weight = layer.effective_weight()
        weight.backward(torch.ones_like(weight))
    tuned.model.zero_grad()
    return time.process_time() - before


def kept(model: nn.Module, rank: int, raster: bool) -> float:
    """Share of the squared norm of all kernels wider than the rank."""
    weights = dict(model.named_parameters())
    energy = whole = 0.0
    for stack in kernel_stacks(model, settings(1)):
        slices = gather(weights, stack).double()
        if min(slices.shape[1:]) > rank:
            energy += float(t_svd(slices, rank, () if raster else stack.group).energy().sum())
            whole += float(slices.square().sum())
    return energy / whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--patch", type=int, nargs=3, default=[32, 48, 32])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--base", type=Path, default=shipped_bases()[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    patch = tuple(arguments.patch)
    image = torch.randn(arguments.batch, 1, *patch)
    whole = tune(network(arguments.base, patch), "decoder", SIZE, settings(1), ())
    numbers = whole.counts()["decoder"] + whole.counts()["convolutional encoders"]
    print("| rank | step | built | numbers | axes | raster |\n|---|---|---|---|---|---|")
    for rank in arguments.ranks:
        tuned = tune(network(arguments.base, patch), "lora-pt", SIZE, settings(rank), ())
        rounds = [
            (step(tuned.model, image), step(whole.model, image), building(tuned)) for _ in range(arguments.rounds + 1)
        ][1:]
        with_factors, plain, built = (statistics.median(column) for column in zip(*rounds, strict=True))
        trained = sum(count for part, count in tuned.counts().items() if part not in ("head", "norms"))
        shares = (kept(network(arguments.base, patch), rank, raster) for raster in (False, True))
        print(f"| {rank} | {with_factors / plain:.2f} | {built / with_factors:.1%} | {trained / numbers:.1%} | "
              + " | ".join(f"{share:.4f}" for share in shares) + " |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
