"""Seconds and peak memory of a training step: LoRA-PT (ranks, both paths), peft's LoRA of as many parameters, decoder, full.

    python benchmarks/adapter_step.py [--size base] [--patch 48 64 48] [--batch 2] [--steps 5] [--threads 2]

Every method runs in a process of its own, on the same random weights, images and labels; the medians over the steps after the first are
printed as ratios to full fine-tuning and to peft's LoRA. peft is the
optional peer: without it its rows are left out, and the table says so.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One method in this process: {seconds, peak_mb, trained}."""
    import torch

    from hippopt.networks.device import bfloat16_pays
    from hippopt.networks.unetr import DECODER, HEAD, SIZES, build_unetr
    from hippopt.training.loop import segmentation_loss

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    size, patch = SIZES[options.size], tuple(options.patch)
    model = build_unetr(1, 3, patch, size)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(options.method == "full" or name.startswith((*DECODER, *HEAD)))
    if options.method == "lora-pt":
        from hippopt.lorapt import adapt
        from hippopt.networks.stacks import unetr_stacks

        stacks = unetr_stacks(size.hidden_size, size.mlp_dim, ("attention", "mlp_up", "mlp_down"))
        adapt(model, stacks, options.rank, path=options.path)
    elif options.method == "peft":
        from peft import LoraConfig, inject_adapter_in_model

        trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        config = LoraConfig(r=options.rank, target_modules=["qkv", "out_proj", "linear1", "linear2"])
        model = inject_adapter_in_model(config, model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in trained or "lora_" in name)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters)
    loss_of = segmentation_loss()
    image, label = torch.randn(options.batch, 1, *patch), torch.randint(0, 3, (options.batch, 1, *patch))
    autocast = bfloat16_pays(torch.device("cpu"))
    seconds = []
    for _ in range(options.steps + 1):
        before = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = model(image)
        loss_of(logits.float(), label).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - before)
    return {
        "seconds": statistics.median(seconds[1:]), "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "trained": sum(parameter.numel() for parameter in parameters), "precision": "bfloat16" if autocast else "float32",
    }  # fmt: skip


def equal_peft_rank(size: str, rank: int) -> int:
    """The rank at which peft's LoRA on the same layers trains about as many numbers as LoRA-PT at `rank`."""
    from hippopt.lorapt import factor_count
    from hippopt.networks.unetr import LAYERS, SIZES

    hidden, mlp = SIZES[size].hidden_size, SIZES[size].mlp_dim
    ours = factor_count(hidden, hidden, 4 * LAYERS, rank, "diagonal") + 2 * factor_count(mlp, hidden, LAYERS, rank, "diagonal")
    each = LAYERS * (4 * hidden + 2 * hidden + 2 * (hidden + mlp))  # qkv, output projection, two MLP layers, a rank of 1
    return max(1, round(ours / each))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base")
    parser.add_argument("--patch", type=int, nargs=3, default=[48, 64, 48])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--method", choices=("full", "decoder", "lora-pt", "peft"), help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--path", default="auto", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        print(json.dumps(measure(options)))
        return
    runs = [("full", "full", 0, "auto"), ("decoder", "decoder", 0, "auto")]
    for rank in options.ranks:
        runs += [(f"lora-pt {rank}, {path}", "lora-pt", rank, path) for path in ("activations", "weights")]
        runs.append((f"peft LoRA, as {rank}", "peft", equal_peft_rank(options.size, rank), "auto"))
    found: dict[str, dict[str, Any]] = {}
    for name, method, rank, path in runs:
        command = [sys.executable, __file__, "--method", method, "--rank", str(rank), "--path", path, "--size", options.size,
                   "--batch", str(options.batch), "--steps", str(options.steps), "--threads", str(options.threads),
                   "--patch", *map(str, options.patch)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: left out ({done.stderr.strip().splitlines()[-1]})")
            continue
        found[name] = json.loads(done.stdout)
    full = found["full"]
    print(f"{options.size} network, patch {options.patch}, batch {options.batch}, {options.threads} threads, {full['precision']}")
    print(f"{'method':<24}{'trained':>12}{'s a step':>10}{'to full':>9}{'to peft':>9}{'peak MB':>9}{'to full':>9}")
    for name, row in found.items():
        peer = found.get(f"peft LoRA, as {name.split()[1].rstrip(',')}") if name.startswith("lora-pt") else None
        ratio = f"{row['seconds'] / peer['seconds']:.2f}" if peer else ""
        print(
            f"{name:<24}{row['trained']:>12,}{row['seconds']:>10.2f}{row['seconds'] / full['seconds']:>9.2f}{ratio:>9}"
            f"{row['peak_mb']:>9.0f}{row['peak_mb'] / full['peak_mb']:>9.2f}"
        )


if __name__ == "__main__":
    main()
