"""Dice on copies of labelled scans, changed as other scanners would: bias field, blur, noise, gamma, thick slices,
inverted contrast.

    python -m benchmarks.changed_scans make IMAGES COPIES [--seed 0] [--changes blur noise ...] python -m
    benchmarks.changed_scans score COPIES LABELS --runs DATASET/RUN ... [--root WORKSPACE] [--folds full-data]
    [--subjects DATASET]

`make` writes one folder per change into COPIES, and one named `original`, with a file per scan of IMAGES (one channel)
on the scan's own grid, so that `hippopt_predict -i COPIES/blur` and `hippopt_evaluate` take them as they are. What is
drawn follows from the seed, the scan's name and the change alone; it is listed in COPIES/changes.csv. `score` predicts
every folder with every run by `hippopt_predict`, scores the masks against LABELS (named as the scans, or without
nnU-Net's `_0000`) by `hippopt_evaluate`, and prints the mean foreground Dice over subjects, a row per change and a
column per run, with the mean over all changes but the inverted contrast beneath. It continues where it stopped: masks
that are there are kept. Masks stand in COPIES/masks, the scores of every case in COPIES/dice.csv. --subjects names a
data set whose cases tell which scans are of one person; without it each scan counts for itself.
"""

import argparse
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from hippopt.artifacts.dataset import split_ending
from hippopt.files.image_io import read_scan, write_array

ORIGINAL, INVERTED = "original", "inverted"
Volume = np.ndarray
Spacing = tuple[float, float, float]
Change = Callable[[Volume, Spacing, np.random.Generator], tuple[Volume, dict[str, float]]]
BIAS_KNOTS = 3  # along each axis: a field that changes once or twice across the image
SLICE_MM = 3.0


def brightness_range(image: Volume) -> tuple[float, float]:
    """Low and high brightness of the tissue: the 1st and 99th percentile of the voxels that are not 0."""
    filled = image[image != 0]
    low, high = np.percentile(filled if filled.size else image, (1, 99))
    return float(low), float(high)


def biased(image: Volume, spacing_mm: Spacing, rng: np.random.Generator) -> tuple[Volume, dict[str, float]]:
    """Multiply by a smooth field whose logarithm has a standard deviation of .2 to .4."""
    strength = rng.uniform(0.2, 0.4)
    knots = rng.standard_normal((BIAS_KNOTS,) * 3)
    places = np.meshgrid(*(np.linspace(0, BIAS_KNOTS - 1, size) for size in image.shape), indexing="ij")
    field = ndimage.map_coordinates(knots, places, order=2, mode="nearest")
    field = (field - field.mean()) / max(float(field.std()), 1e-9) * strength
    return image * np.exp(field), {"strength": strength}


def blurred(image: Volume, spacing_mm: Spacing, rng: np.random.Generator) -> tuple[Volume, dict[str, float]]:
    """Blur by a Gaussian with a sigma of .8 to 1.2 mm."""
    sigma = rng.uniform(0.8, 1.2)
    return ndimage.gaussian_filter(image, [sigma / step for step in spacing_mm], mode="nearest"), {"sigma_mm": sigma}


def noisy(image: Volume, spacing_mm: Spacing, rng: np.random.Generator) -> tuple[Volume, dict[str, float]]:
    """Add Gaussian noise with a standard deviation of 5 to 10 % of the tissue's range of brightness."""
    share = rng.uniform(0.05, 0.10)
    low, high = brightness_range(image)
    return image + rng.standard_normal(image.shape) * share * (high - low), {"share": share}


def with_gamma(gamma: float) -> Change:
    """Bend brightness, scaled to the tissue's range: below 1 dark tissue becomes brighter, above 1 darker."""

    def change(image: Volume, spacing_mm: Spacing, rng: np.random.Generator) -> tuple[Volume, dict[str, float]]:
        low, high = brightness_range(image)
        scaled = np.clip((image - low) / max(high - low, 1e-12), 0, None)
        return low + scaled**gamma * (high - low), {"gamma": gamma}

    return change


def in_thick_slices(image: Volume, spacing_mm: Spacing, rng: np.random.Generator) -> tuple[Volume, dict[str, float]]:
    """Measure slices of 3 mm along an axis that is drawn (0: Z of
    the array), and interpolate linearly between their centres.
    """
    axis = int(rng.integers(3))
    count = max(1, round(SLICE_MM / spacing_mm[axis]))
    size = image.shape[axis]
    starts = np.arange(0, size, count)
    slices = np.stack([image.take(range(start, min(start + count, size)), axis).mean(axis) for start in starts])
    centres = np.array([(start + min(start + count, size) - 1) / 2 for start in starts])
    places = np.interp(np.arange(size), centres, np.arange(len(centres)))
    below = np.floor(places).astype(int)
    above, part = np.minimum(below + 1, len(centres) - 1), (places - below)[:, None, None]
    return np.moveaxis(slices[below] * (1 - part) + slices[above] * part, 0, axis), {
        "axis": axis,
        "slice_mm": count * spacing_mm[axis],
    }


def inverted(image: Volume, spacing_mm: Spacing, rng: np.random.Generator) -> tuple[Volume, dict[str, float]]:
    """Turn bright into dark within the tissue's range; voxels of exactly 0, outside of stripped heads, stay."""
    low, high = brightness_range(image)
    return np.where(image == 0, 0, low + high - image), {}


def unchanged(image: Volume, spacing_mm: Spacing, rng: np.random.Generator) -> tuple[Volume, dict[str, float]]:
    return image, {}


CHANGES: dict[str, Change] = {
    ORIGINAL: unchanged,
    "bias_field": biased,
    "blur": blurred,
    "noise": noisy,
    "gamma_0.6": with_gamma(0.6),
    "gamma_1.8": with_gamma(1.8),
    "thick_slices": in_thick_slices,
    INVERTED: inverted,
}


def changed(name: str, case: str, image: Volume, spacing_mm: Spacing, seed: int) -> tuple[Volume, dict[str, float]]:
    """Change an image (Z, Y, X): (float32 array, what was drawn).

    The same seed, case and change give the same values.
    """
    rng = np.random.default_rng([seed, zlib.crc32(case.encode()), zlib.crc32(name.encode())])
    found, drawn = CHANGES[name](image.astype(np.float64), spacing_mm, rng)
    return found.astype(np.float32), drawn


def case_of(path: Path) -> str:
    """Id of a scan by its file's name, as hippopt_predict names its mask."""
    kind = split_ending(path.name)
    return (kind[0] if kind else path.name).removesuffix("_0000")


def make(images: Path, copies: Path, names: list[str], seed: int) -> pd.DataFrame:
    """Write the copies; returns, and lists in changes.csv, what was drawn for each."""
    scans = sorted(path for path in images.iterdir() if split_ending(path.name) and not path.name.startswith("."))
    if not scans:
        raise SystemExit(f"{images}: no scans")
    rows: list[dict[str, Any]] = []
    for path in scans:
        scan, case = read_scan(path), case_of(path)
        for name in names:
            array, drawn = changed(name, case, scan.array, scan.grid.spacing_mm, seed)
            write_array(copies / name / f"{case}.nii.gz", array, scan.grid)
            rows += [
                {"case": case, "change": name, "drawn": key, "value": value}
                for key, value in (drawn or {"nothing": np.nan}).items()
            ]
    table = pd.DataFrame(rows)
    table.to_csv(copies / "changes.csv", index=False)
    print(f"{len(scans)} scans, {len(names)} folders in {copies}: {', '.join(names)}; seed {seed}")
    return table


def score(copies: Path, labels: Path, runs: list[str], more: list[str], subjects: list[str]) -> pd.DataFrame:
    """Predict and score what is not there yet. Returns `change`, `run`, `case`, `subject`, `dice` of every case."""
    from hippopt.cli import evaluate, predict

    tables = []
    for run in runs:
        dataset, _, name = run.rpartition("/")
        for change in [name for name in CHANGES if (copies / name).is_dir()]:
            masks = copies / "masks" / run / change
            source = ["-i", str(copies / change), "-o", str(masks), "-d", dataset, "--run", name]
            if predict.main([*source, *more]) or evaluate.main(["-p", str(masks), "-l", str(labels), *subjects]):
                raise SystemExit(f"{run} on {change}: failed, as said above")
            found = pd.read_csv(masks / "metrics.csv", dtype={"case": str, "subject": str})
            found = found[found.label == "mean foreground"][["case", "subject", "dice"]]
            tables.append(found.assign(change=change, run=run))
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(copies / "dice.csv", index=False)
    return table


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice over subjects, a row per change and a column per run;
    beneath, the mean over all changes but the inverted contrast.
    """
    by_subject = table.groupby(["change", "run", "subject"], sort=False).dice.mean()
    means = by_subject.groupby(["change", "run"], sort=False).mean().unstack("run")
    told = [change for change in means.index if change not in (ORIGINAL, INVERTED)]
    means.loc["mean of the changes without inversion"] = means.loc[told].mean()
    if ORIGINAL in means.index:
        means.loc["that mean to the originals"] = means.iloc[-1] - means.loc[ORIGINAL]
    return means


def markdown(means: pd.DataFrame) -> str:
    lines = [f"| change | {' | '.join(means.columns)} |", f"|---|{'---|' * len(means.columns)}"]
    return "\n".join(
        lines + [f"| {change} | {' | '.join(f'{value:.4f}' for value in row)} |" for change, row in means.iterrows()]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    making, scoring = parts.add_parser("make"), parts.add_parser("score")
    making.add_argument("images", type=Path)
    making.add_argument("copies", type=Path)
    making.add_argument("--seed", type=int, default=0)
    making.add_argument("--changes", nargs="+", choices=tuple(CHANGES), default=list(CHANGES))
    scoring.add_argument("copies", type=Path)
    scoring.add_argument("labels", type=Path)
    scoring.add_argument("--runs", nargs="+", required=True, metavar="DATASET/RUN")
    scoring.add_argument("--root")
    scoring.add_argument("--folds", nargs="+", default=[])
    scoring.add_argument("--subjects", metavar="DATASET")
    options = parser.parse_args()
    if options.part == "make":
        make(options.images, options.copies, options.changes, options.seed)
        return
    wrong = [run for run in options.runs if "/" not in run]
    if wrong:
        sys.exit(f"--runs {wrong[0]}: write DATASET/RUN")
    root = ["--root", options.root] if options.root else []
    folds = ["-f", *options.folds] if options.folds else []
    subjects = [*(["-d", options.subjects] if options.subjects else []), *root]
    print(markdown(summary(score(options.copies, options.labels, options.runs, [*root, *folds], subjects))))


if __name__ == "__main__":
    main()
