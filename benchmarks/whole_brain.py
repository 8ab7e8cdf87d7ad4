"""Whole-brain scans and copies of them through prediction: Dice per side, how far a copy is from its original, sides,
flags, seconds.

    python benchmarks/whole_brain.py SCANS LABELS --dataset Malc [--root WORKSPACE] [--run RUN] [--folds full-data]
    [--truth 48 47]
        [--cases 5] [--threads 1] [--volumes-mm3 2000 5000]

SCANS, LABELS: folders of NIfTI files of the same names; the last CASES by name are taken, which should be unseen.
--truth: the labels' values of the left and the right structure. The copies, made in a temporary folder: reoriented
(array axes permuted and flipped, affine with them), resampled, cropped, shifted. Everything is predicted by
`hippopt_predict`'s own code; seconds are those of a batch of scans, start-up apart. A copy's label is the original's,
brought to its grid as the scan was.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

ORIENTATIONS = ("PIR", "LPS", "RAS", "LAS")
RESAMPLED = {  # spacing and spline order
    "0.8 mm": ((0.8, 0.8, 0.8), 1),
    "0.8 mm, cubic": ((0.8, 0.8, 0.8), 3),
    "1 x 1 x 2 mm": ((1.0, 1.0, 2.0), 1),
}
SHIFT_VOXELS = 15
LOBES_MARGIN_MM = 25.0  # around both structures: a box of the temporal lobes
CUT_SHARE = 0.3

Image = Any


def reoriented(image: Image, code: str) -> Image:
    want = nibabel.orientations.axcodes2ornt(tuple(code))
    return image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), want))


def resampled(image: Image, spacing_mm: tuple[float, float, float], order: int) -> Image:
    from nibabel.processing import resample_to_output

    return resample_to_output(reoriented(image, "RAS"), spacing_mm, order=order, mode="nearest")


def resampled_label(label: Image, spacing_mm: tuple[float, float, float], truth: tuple[int, int]) -> Image:
    """Each structure linearly, cut at one half: by nearest neighbour it would lose up to .018 of Dice
    against itself.
    """
    data = np.rint(np.asarray(label.dataobj))
    parts = [
        resampled(nibabel.Nifti1Image((data == value).astype(np.float32), label.affine), spacing_mm, 1)
        for value in truth
    ]
    values = sum(value * (np.asarray(part.dataobj) > 0.5) for value, part in zip(truth, parts, strict=True))
    return nibabel.Nifti1Image(values.astype(np.int16), parts[0].affine)


def boxed(image: Image, start: np.ndarray, stop: np.ndarray) -> Image:
    start, stop = np.maximum(start, 0), np.minimum(stop, image.shape)
    return image.slicer[tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))]


def padded(image: Image, shift: int) -> Image:
    """The array moved by `shift` voxels along each axis, zeros where
    it was; the affine stays, so the head moves in the world.
    """
    data = np.pad(np.asarray(image.dataobj), [(shift, 0)] * 3)
    return nibabel.Nifti1Image(data, image.affine, image.header)


def copies(image: Image, label: Image, truth: tuple[int, int]) -> dict[str, tuple[Image, Image]]:
    """Name -> (scan, its label); "original" first."""
    scan, label = reoriented(image, "RAS"), reoriented(label, "RAS")
    made = {"original": (image, reoriented(label, "".join(nibabel.aff2axcodes(image.affine))))}
    for code in ORIENTATIONS:
        made[code] = (reoriented(scan, code), reoriented(label, code))
    for name, (spacing, order) in RESAMPLED.items():
        made[name] = (resampled(scan, spacing, order), resampled_label(label, spacing, truth))
    data = np.asarray(label.dataobj)
    where = np.argwhere(np.isin(np.rint(data), truth))
    margin = LOBES_MARGIN_MM / np.array(label.header.get_zooms()[:3])
    low, high = where.min(0) - margin, where.max(0) + margin
    made["temporal lobes"] = (boxed(scan, low, high), boxed(label, low, high))
    inside = np.argwhere(np.asarray(scan.dataobj) > 0)
    first, last = inside.min(0), inside.max(0) + 1
    size = np.array(scan.shape)
    top, back = size.copy(), np.zeros(3)
    top[2], back[1] = last[2] - CUT_SHARE * (last - first)[2], first[1] + CUT_SHARE * (last - first)[1]
    half = np.array([where[:, 0].mean(), *scan.shape[1:]])
    for name, start, stop in (
        ("top 30 % cut off", np.zeros(3), top),
        ("back 30 % cut off", back, size),
        ("right half cut off", np.zeros(3), half),
    ):
        made[name] = (boxed(scan, start, stop), boxed(label, start, stop))
    made["shifted"] = (padded(scan, SHIFT_VOXELS), padded(label, SHIFT_VOXELS))
    return made


def dice(a: np.ndarray, b: np.ndarray) -> float:
    total = int(a.sum() + b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("HIPPOPT_ROOT", ".")))
    parser.add_argument("--run")
    parser.add_argument("--folds", nargs="*")
    parser.add_argument("--truth", nargs=2, type=int, default=(48, 47))
    parser.add_argument("--cases", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of copies; all without it")
    options = parser.parse_args()
    import pandas as pd
    import torch

    torch.set_num_threads(options.threads)
    from hippopt.artifacts.plan_rules import load_plan
    from hippopt.console import SilentConsole
    from hippopt.inference.request import PredictionRequest
    from hippopt.recipes.chosen_run import choose_run
    from hippopt.recipes.prediction import predict_scans
    from hippopt.workspace import Workspace

    workspace = Workspace(options.root)
    dataset = workspace.resolve(options.dataset)
    run = choose_run(workspace, dataset, options.run)
    plan = load_plan(workspace.run_plan(dataset, run))
    values = {side: value for name, value in plan.labels.items() if (side := plan.sides.get(name))}
    truth = dict(zip(("left", "right"), options.truth, strict=True))
    names = sorted(path.name for path in options.scans.glob("*.nii*"))[-options.cases :]
    rows, seconds = [], {}
    with tempfile.TemporaryDirectory() as folder:
        kept: dict[str, dict[str, Image]] = {}
        for name in names:
            image, label = nibabel.load(options.scans / name), nibabel.load(options.labels / name)
            for copy, (scan, reference) in copies(image, label, options.truth).items():
                if options.only and copy not in options.only:
                    continue
                path = Path(folder) / copy.replace(" ", "_") / "in" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                nibabel.save(scan, path)
                kept.setdefault(copy, {})[name] = reference
        for copy, references in kept.items():
            source = Path(folder) / copy.replace(" ", "_") / "in"
            output = source.parent / "out"
            console = SilentConsole()
            request = PredictionRequest(
                source=source,
                output=output,
                run=run,
                folds=tuple(options.folds) if options.folds else None,
                device="cpu",
            )
            began = time.perf_counter()
            predict_scans(workspace, dataset, request, console)
            seconds[copy] = (time.perf_counter() - began) / len(references)
            table = pd.read_csv(output / "volumes.tsv", sep="\t", keep_default_na=False, dtype={"scan": str})
            for name, reference in references.items():
                mask = np.asarray(nibabel.load(output / name).dataobj)
                real = np.rint(np.asarray(reference.dataobj)).astype(int)
                scan = name.split(".nii")[0]
                flag = "; ".join(sorted({flag for flag in table[table.scan == scan].flag if flag}))
                row: dict[str, Any] = {"copy": copy, "scan": scan, "flag": flag}
                for side, value in values.items():
                    other = truth["right" if side == "left" else "left"]
                    row[f"dice_{side}"] = dice(mask == value, real == truth[side])
                    row[f"swapped_{side}"] = int(((mask == value) & (real == other)).sum())
                rows.append(row)
            for warning in console.warnings:
                print(f"  {copy}: {warning}")
    table = pd.DataFrame(rows)
    sides = [f"dice_{side}" for side in values]
    original = table[table["copy"] == "original"].set_index("scan")[sides]
    print(
        f"\n{run} of {dataset}: {len(names)} scans, {options.threads} threads, mirror_sides"
        f" {str(plan.mirror_sides).lower()}"
    )
    print(
        f"{'copy':<20}{'left':>8}{'right':>8}{'worst':>8}{'furthest from its original':>28}"
        f"{'voxels of the other side':>26}{'flagged':>9}{'s per scan':>11}"
    )
    for copy, group in table.groupby("copy", sort=False):
        away = (group.set_index("scan")[sides] - original).abs().max().max() if len(original) else float("nan")
        swapped = int(group[[f"swapped_{side}" for side in values]].to_numpy().sum())
        print(
            f"{copy:<20}"
            + "".join(f"{group[side].mean():>8.3f}" for side in sides)
            + f"{group[sides].min().min():>8.3f}{away:>28.3f}{swapped:>26}"
            f"{int((group.flag != '').sum()):>9}{seconds[str(copy)]:>11.1f}"
        )
    sys.exit(0)


if __name__ == "__main__":
    main()
