"""What does the model that ships do on whole brains that it never saw? Dice of either side, swaps, volumes, seconds.

    python -m benchmarks.ready_model IMAGES LABELS [--model NAME|FILE] [--cases N] [--copies NAME ...]
    python -m benchmarks.ready_model --time SCAN [--model NAME|FILE]

IMAGES, LABELS: folders of the same file names, such as MALC 2012's, whose hippocampi are 48 (left) and 47 (right); no
scan of it was trained or chosen on. Besides each scan as it is: the same brain in a made-up skull and scalp, and the
copies of whole_brain.py that --copies names ("all" for every one). --time: SCAN, of a whole head, resampled to 240^3
and to 512 x 512 x 400 voxels, each in a process of its own: seconds and peak memory, start-up included.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from benchmarks.whole_brain import copies, dice

SKULL_MM, SCALP_MM = 5.0, 6.0
HEADS = {"240 x 240 x 240, 1 mm": ((240, 240, 240), 1.0), "512 x 512 x 400, 0.5 mm": ((512, 512, 400), 0.5)}


def in_a_skull(image: Any, seed: int) -> tuple[Any, np.ndarray]:
    """(A stripped brain with a dark skull, a bright, uneven scalp, and noise in the air; voxels added per side)."""
    from scipy import ndimage

    data = np.asarray(image.dataobj, dtype=np.float32)
    spacing = np.array(image.header.get_zooms()[:3], float)
    pad = np.ceil((SKULL_MM + SCALP_MM + 10) / spacing).astype(int)
    data = np.pad(data, [(int(p), int(p)) for p in pad])
    brain = ndimage.binary_fill_holes(data > 0)
    away = ndimage.distance_transform_edt(~brain, sampling=spacing)
    rng = np.random.default_rng(seed)
    coarse = ndimage.zoom(rng.normal(size=[max(2, n // 12) for n in data.shape]), 1, order=1)
    uneven = ndimage.zoom(coarse, np.array(data.shape) / coarse.shape, order=1)
    bright = float(np.percentile(data[data > 0], 90))
    head = np.where(away <= SKULL_MM, 0.15 * bright, bright * (1.2 + 0.3 * uneven))
    head = np.where(away > SKULL_MM + SCALP_MM, 0.03 * bright, head)
    made = np.where(brain & (data > 0), data, np.where(brain, 0.2 * bright, head))
    made = made + rng.normal(0, 0.02 * bright, made.shape)
    affine = image.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ pad
    return nibabel.Nifti1Image(np.clip(made, 0, None).astype(np.float32), affine), pad


def padded_label(label: Any, pad: np.ndarray, affine: np.ndarray) -> Any:
    """The label in the grid of `in_a_skull`."""
    return nibabel.Nifti1Image(np.pad(np.asarray(label.dataobj), [(int(p), int(p)) for p in pad]), affine)


def score(predictor: Any, image: Any, label: Any, truth: tuple[int, int]) -> dict[str, Any]:
    """One scan: Dice of either side, voxels of the other side's truth, volumes, flags, predicted Dice."""
    began = time.perf_counter()
    found = predictor.predict(image)
    seconds = time.perf_counter() - began
    mask = np.asarray(found.mask).T  # nibabel's axes
    real = np.rint(np.asarray(label.dataobj)).astype(int)
    voxel = float(np.abs(np.linalg.det(label.affine[:3, :3])))
    row: dict[str, Any] = {
        "seconds": seconds,
        "flags": "; ".join(sorted({f for own in found.flags.values() for f in own})),
    }
    for number, side in enumerate(("left", "right")):
        value = next(v for name, v in predictor.labels.items() if side in name)
        row[f"dice_{side}"] = dice(mask == value, real == truth[number])
        row[f"swapped_{side}"] = int(((mask == value) & (real == truth[1 - number])).sum())
        row[f"mm3_{side}"], row[f"true_{side}"] = (mask == value).sum() * voxel, (real == truth[number]).sum() * voxel
        row[f"predicted_{side}"] = next(v for name, v in found.predicted_dice.items() if side in name)
    return row


def show(name: str, rows: list[dict[str, Any]]) -> None:
    """One line of the table."""
    from hippopt.scoring.agreement import agreement

    left, right = (np.array([row[f"dice_{side}"] for row in rows]) for side in ("left", "right"))
    measured = [row[f"mm3_{side}"] for row in rows for side in ("left", "right")]
    true = [row[f"true_{side}"] for row in rows for side in ("left", "right")]
    both = agreement(measured, true)
    unsure = sum("not located" in row["flags"] for row in rows)
    swapped = sum(row["swapped_left"] + row["swapped_right"] for row in rows)
    print(
        f"{name:<22}{len(rows):>4}{left.mean():>8.3f}{right.mean():>8.3f}{min(left.min(), right.min()):>8.3f}"
        f"{swapped:>9}{unsure:>13}{sum(measured) / sum(true):>9.2f}{both.icc:>7.2f}"
        f"{np.mean([row['seconds'] for row in rows]):>7.1f}  {', '.join(sorted({r['flags'] for r in rows} - {''}))}",
        flush=True,
    )


def resampled(source: Path, target: Path, shape: tuple[int, int, int], spacing_mm: float) -> None:
    """Write the scan, linearly interpolated, as int16 on (X, Y, Z) voxels around its own middle."""
    import SimpleITK as sitk

    scan = sitk.ReadImage(str(source))
    middle = scan.TransformContinuousIndexToPhysicalPoint([(count - 1) / 2 for count in scan.GetSize()])
    axes = np.array(scan.GetDirection()).reshape(3, 3)
    grid = sitk.ResampleImageFilter()
    grid.SetSize(shape)
    grid.SetOutputSpacing((spacing_mm,) * 3)
    grid.SetOutputDirection(scan.GetDirection())
    grid.SetOutputOrigin((np.array(middle) - axes @ ((np.array(shape) - 1) / 2 * spacing_mm)).tolist())
    sitk.WriteImage(sitk.Cast(sitk.Clamp(grid.Execute(scan), sitk.sitkFloat32, 0, 32767), sitk.sitkInt16), str(target))


def timed(scan: Path, model: str | None) -> None:
    """Predict the scan at each size from the command line, and print what that took and what was found."""
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (shape, spacing)) in enumerate(HEADS.items()):
            head, out, empty = Path(folder) / f"{number}.nii.gz", Path(folder) / f"out{number}", Path(folder) / "empty"
            resampled(scan, head, shape, spacing)
            empty.mkdir(exist_ok=True)
            command = [sys.executable, "-m", "hippopt.cli.predict", "-i", str(head), "-o", str(out)]
            command += ["--root", str(empty), "--device", "cpu", *(["--model", model] if model else [])]
            began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, capture_output=True, text=True, check=True)
            wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            rows = [line.split("\t") for line in (out / "volumes.tsv").read_text().splitlines()]
            found = ", ".join(row[rows[0].index("volume_mm3")] for row in rows[1:])
            print(
                f"{name:<26} {wall:6.1f} s, {cpu:6.1f} CPU-seconds, at most {after.ru_maxrss / 1e6:.2f} GB so far;"
                f" mm3: {found}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="?")
    parser.add_argument("labels", type=Path, nargs="?")
    parser.add_argument("--model", help="a model file, or a name of hippopt_models; default: the one that ships")
    parser.add_argument("--truth", nargs=2, type=int, default=(48, 47))
    parser.add_argument("--cases", type=int)
    parser.add_argument("--copies", nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--time", type=Path, metavar="SCAN")
    parser.add_argument("--table", type=Path, help="write a row per scan and copy as CSV")
    options = parser.parse_args()
    if options.time:
        timed(options.time, options.model)
        return
    if options.images is None or options.labels is None:
        parser.error("give IMAGES and LABELS, or --time SCAN")
    import pandas as pd
    import torch

    from hippopt import Predictor

    torch.set_num_threads(options.threads)
    predictor = Predictor.load(options.model)
    names = sorted(path.name for path in options.images.glob("*.nii*"))[: options.cases]
    rows: dict[str, list[dict[str, Any]]] = {}
    for number, name in enumerate(names):
        image, label = nibabel.load(options.images / name), nibabel.load(options.labels / name)
        made = {"as it is": (image, label)}
        head, pad = in_a_skull(image, number)
        made["in a made-up skull"] = (head, padded_label(label, pad, head.affine))
        if options.copies:
            wanted = set(options.copies)
            made |= {k: v for k, v in copies(image, label, options.truth).items() if "all" in wanted or k in wanted}
        for copy, (scan, truth) in made.items():
            rows.setdefault(copy, []).append({"scan": name, **score(predictor, scan, truth, tuple(options.truth))})
    print(
        f"{'copy':<22}{'n':>4}{'left':>8}{'right':>8}{'worst':>8}{'swapped':>9}{'not located':>13}{'volume':>9}"
        f"{'ICC':>7}{'s':>7}  flags"
    )
    for copy, own in rows.items():
        show(copy, own)
    if options.table:
        pd.DataFrame([{"copy": copy, **row} for copy, own in rows.items() for row in own]).to_csv(
            options.table, index=False
        )


if __name__ == "__main__":
    main()
