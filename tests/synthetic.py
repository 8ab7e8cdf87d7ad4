"""Small synthetic scans and data sets for the tests."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np

# a tiny network on tiny patches: what the tests check does not depend on its size
TINY = ["network.size=tiny", "patch_size=16,32,16", "batch_size=2", "schedule.steps_per_epoch=3", "schedule.warmup_steps=2"]
Command = Callable[..., tuple[int, str, str]]


def blob_case(seed: int, shape: tuple[int, int, int] = (18, 26, 14)) -> tuple[np.ndarray, np.ndarray]:
    """(image float32, label uint8), indexed (x, y, z) on RAS axes: a bright ellipsoid, label 1 in its front half, 2 behind."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"))
    centre = rng.uniform(-1.5, 1.5, 3)
    inside = sum(((grid[axis] - centre[axis]) / radius) ** 2 for axis, radius in enumerate((4.0, 7.5, 3.5))) < 1
    label = np.where(inside, np.where(grid[1] > centre[1], 1, 2), 0).astype(np.uint8)
    image = 100 + 60 * inside + rng.normal(0, 8, shape) + 10 * grid[0] / shape[0]
    return image.astype(np.float32), label


def save_nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Write an (x, y, z) array; RAS at 1 mm unless an affine is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


def write_dataset(root: Path, cases: int = 6, name: str = "Dataset007_Blob", per_subject: int = 1) -> Path:
    """A raw data set in nnU-Net's layout under `root`; returns its folder."""
    folder = root / "raw_data" / name
    subjects = {}
    for number in range(cases):
        case = f"case_{number:03d}"
        image, label = blob_case(number)
        save_nifti(folder / "imagesTr" / f"{case}_0000.nii.gz", image)
        save_nifti(folder / "labelsTr" / f"{case}.nii.gz", label)
        subjects[case] = f"S{number // per_subject:02d}"
    description = {
        "channel_names": {"0": "T1"}, "labels": {"background": 0, "front": 1, "back": 2}, "numTraining": cases,
        "file_ending": ".nii.gz", "subjects": subjects,
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder
