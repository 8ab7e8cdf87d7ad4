"""Is making synthetic scans faster than training consumes them? Times both in turn, in one process.

    python benchmarks/synthesis.py LABEL_MAPS_DIR [--size small] [--patch 48 64 48] [--batch 2] [--rounds 10] [--threads
    2] [--device cpu]

Prints the median seconds of a batch made and of a full training step on it, and their ratio; the two are interleaved,
so that a machine that grows slower slows both.
"""

import argparse
import statistics
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("label_maps", type=Path)
    parser.add_argument("--size", default="small")
    parser.add_argument("--patch", type=int, nargs=3, default=[48, 64, 48])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()

    import torch

    from hippopt.artifacts.synthesis import SynthesisSettings
    from hippopt.batches.label_maps import CLASSES, read_label_maps, read_table
    from hippopt.batches.synthesis import Synthesiser, synthetic_batch
    from hippopt.console import SilentConsole
    from hippopt.networks.unetr import SIZES, build_unetr
    from hippopt.training.loop import segmentation_loss
    from hippopt.training.precision import use_bfloat16

    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    patch = (options.patch[0], options.patch[1], options.patch[2])
    network = SIZES[options.size]
    maps = read_label_maps(options.label_maps, read_table(), SilentConsole())
    made = Synthesiser(maps, SynthesisSettings(patch_size=patch), device)
    model = build_unetr(1, len(CLASSES), patch, network).to(device)
    optimizer = torch.optim.AdamW(model.parameters())
    loss_of = segmentation_loss()
    autocast, precision = use_bfloat16(device, patch, network)

    def finish() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    making, training = [], []
    for index in range(options.rounds + 1):
        start = finish()
        batch = synthetic_batch(made, options.batch, 0, index)
        middle = finish()
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            logits = model(batch["image"])
        loss_of(logits.float(), batch["label"]).backward()
        optimizer.step()
        optimizer.zero_grad()
        end = finish()
        if index:
            making.append(middle - start)
            training.append(end - middle)
    print(
        f"{options.size} network, patch {' x '.join(map(str, patch))}, batch {options.batch}, {options.threads}"
        f" threads, {options.device}, {precision}"
    )
    print(f"a batch made {statistics.median(making):.3f} s, a training step on it {statistics.median(training):.3f} s")
    print(
        f"ratio {statistics.median(a / b for a, b in zip(making, training, strict=True)):.2f} (below 1: making is"
        " faster)"
    )


if __name__ == "__main__":
    main()
