"""Peak memory of segmenting one large scan, beyond the network.

    python -m benchmarks.predict_memory

For each size and crop rule a fresh process makes a network, shows it one window, and notes its resident memory; then
the scan is read, prepared, segmented and written as hippopt_predict does, and the highest resident memory is noted
after each of these. The scan is a synthetic head of int16 voxels within zeros, with a bright structure of a
hippocampus' size; the network is a threshold that finds it. A window of a real network takes more memory and time; the
arrays of the scan, which this is about, are the same.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZES = {"256 x 256 x 256, 1 mm": ((256, 256, 256), 1.0), "512 x 512 x 400, 0.5 mm": ((400, 512, 512), 0.5)}
LIMIT_GB = 1.5


def write_head(path: Path, shape: tuple[int, int, int], spacing_mm: float) -> None:
    """An ellipsoid of coarse noise, int16, in zeros, and a bright one in its middle; (Z, Y, X)."""
    from hippopt.files.image_io import write_array
    from hippopt.files.nifti_header import grid_of

    rng = np.random.default_rng(0)
    head = np.empty(shape, np.int16)
    y, x = (
        np.arange(count)[:, None] / count - 0.5 if axis == 0 else np.arange(count) / count - 0.5
        for axis, count in enumerate(shape[1:])
    )
    for layer in range(shape[0]):
        far = (layer / shape[0] - 0.5) ** 2 + y**2 + x**2
        noise = np.kron(
            rng.integers(200, 900, (shape[1] // 8, shape[2] // 8), dtype=np.int16), np.ones((8, 8), np.int16)
        )
        head[layer] = np.where(far < 0.2, np.where(far < 0.001, 3000, noise), 0)
    write_array(path, head, grid_of((shape[2], shape[1], shape[0]), np.diag([spacing_mm] * 3 + [1.0])))


def peak_gb() -> float:
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(scan: Path, crop: str, uncertainty: bool) -> dict[str, float]:
    """GB beyond the network after each step, and seconds."""
    import torch

    from hippopt.files.image_io import write_mask
    from hippopt.files.scan_listing import ScanFiles
    from hippopt.inference.loading import load_scan
    from hippopt.inference.region_windows import Ensemble
    from hippopt.inference.segmentation import Wanted, segment
    from hippopt.inference.volumes import Standards
    from hippopt.inference.windows import WindowSettings

    plan = make_plan(crop)
    model = torch.nn.Conv3d(1, 3, 1)
    with torch.inference_mode():
        model.weight[:] = torch.tensor([0.0, 6.0, 5.0]).reshape(3, 1, 1, 1, 1)
        model.bias[:] = torch.tensor([0.0, -24.0, -24.0])
        model(torch.zeros(2, 1, *plan.patch_size))
    start, began, found = peak_gb(), time.perf_counter(), {}
    loaded = load_scan(ScanFiles("scan", (scan,)), plan, None, 1e12)
    found["read and prepared"] = peak_gb() - start
    windows = WindowSettings(plan.patch_size, 3)
    ensemble = Ensemble([model], plan, windows, torch.device("cpu"))
    done = segment(loaded, ensemble, Standards(contrast=(-9, 9)), Wanted(uncertainty=uncertainty))
    found["segmented"] = peak_gb() - start
    write_mask(scan.parent / "mask.nii.gz", done.mask, loaded.scan)
    found["written"] = peak_gb() - start
    found["seconds"] = time.perf_counter() - began
    return found


def make_plan(crop: str):  # type: ignore[no-untyped-def]
    """A plan at 1 mm for one channel and two labels."""
    from hippopt.artifacts import plan as records
    from hippopt.planning.training_decisions import NO_AUGMENTATION

    return records.Plan(
        dataset="Dataset001_Memory",
        fingerprint_hash="0" * 64,
        channel_names=("T1",),
        labels={"background": 0, "front": 1, "back": 2},
        sides={},
        target_spacing_mm=(1.0, 1.0, 1.0),
        crop=crop,
        largest_scan_mm=(256.0, 256.0, 256.0),
        patch_size=(96, 96, 96),
        batch_size=2,
        normalisation=records.NormalisationSettings(
            scheme="zscore", region="nonzero" if crop == "nonzero" else "image", clip_percentiles=(0, 100)
        ),
        foreground_oversampling=1 / 3,
        network=records.NetworkSettings(size="tiny", hidden_size=48, mlp_dim=96, num_heads=3, feature_size=4),
        adapter=records.AdapterSettings(
            rank=1, stacks=records.TRANSFORMER_STACKS, core="diagonal", balance=True, also_trained=("decoder", "head")
        ),
        augmentation=NO_AUGMENTATION,
        schedule=records.ScheduleSettings(
            steps=1,
            steps_per_epoch=1,
            learning_rate={"lora-pt": 1e-3, "decoder": 1e-3, "full": 1e-3},
            warmup_steps=0,
            weight_decay=0,
            poly_exponent=1,
            gradient_clip=1,
        ),
        seed=0,
        folds=(),
        reasons={},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Peak memory of segmenting one large scan, beyond the network.")
    parser.add_argument("--one", nargs=2, metavar=("SCAN", "CROP"), help="used by the processes that are measured")
    parser.add_argument("--uncertainty", action="store_true", help="with a map of uncertainty besides")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(Path(options.one[0]), options.one[1], options.uncertainty)))
        return 0
    print("| scan | crop | read and prepared, GB | segmented | written | s |\n|---|---|---|---|---|---|")
    worst = 0.0
    for name, (shape, spacing_mm) in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            scan = Path(folder) / "scan.nii.gz"
            write_head(scan, shape, spacing_mm)
            for crop in ("none", "nonzero"):
                command = [sys.executable, "-m", "benchmarks.predict_memory", "--one", str(scan), crop]
                command += ["--uncertainty"] if options.uncertainty else []
                found = json.loads(
                    subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
                )
                worst = max(worst, found["written"])
                figures = " | ".join(f"{found[step]:.2f}" for step in ("read and prepared", "segmented", "written"))
                print(f"| {name} | {crop} | {figures} | {found['seconds']:.0f} |", flush=True)
    print(f"highest: {worst:.2f} GB (aim: {LIMIT_GB})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
