"""Workspaces of synthetic whole brains with a structure in each half, and copies of a scan in other grids."""

import dataclasses
import json
from pathlib import Path

import nibabel
import numpy as np

from tests.phantom_head import Head, draw_head, render_head
from tests.synthetic import save_nifti

DATASET = "Dataset008_Head"
SPACING_MM = (3.0, 3.0, 3.0)
# what the tests check does not depend on sizes; a locator of this size finds a phantom's structures after a quarter of
# a minute
SMALL = [
    "network.size=tiny",
    "patch_size=16,16,16",
    "batch_size=2",
    "schedule.steps_per_epoch=50",
    "schedule.warmup_steps=5",
    "locator.spacing_mm=5",
    "locator.channels=8,16,16",
    "locator.steps=150",
    "locator.learning_rate=2e-2",
    "locator.batch_size=4",
    "mirror_sides=false",
]


def bright_head(seed: int) -> Head:
    """A head whose structures are much brighter than all around them: tiny networks learn to find them in seconds."""
    head = draw_head(np.random.default_rng(seed))
    left, right = (
        dataclasses.replace(side, tissues=dataclasses.replace(side.tissues, hippocampus=1.9))
        for side in (head.left, head.right)
    )
    return dataclasses.replace(head, left=left, right=right)


def write_heads(root: Path, cases: int = 6) -> Path:
    """A raw data set of whole brains; returns its folder."""
    folder = root / "raw_data" / DATASET
    for number in range(cases):
        image, label, affine = render_head(bright_head(number), SPACING_MM)
        save_nifti(folder / "imagesTr" / f"head_{number}_0000.nii.gz", image, affine)
        save_nifti(folder / "labelsTr" / f"head_{number}.nii.gz", label, affine)
    description = {
        "channel_names": {"0": "T1"},
        "labels": {"background": 0, "structure_left": 1, "structure_right": 2},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def new_head(seed: int = 100) -> tuple[nibabel.Nifti1Image, np.ndarray]:
    """(a scan that no data set holds, its label), on RAS axes."""
    image, label, affine = render_head(bright_head(seed), SPACING_MM)
    return nibabel.Nifti1Image(image, affine), label


def turned(image: nibabel.Nifti1Image, code: str) -> nibabel.Nifti1Image:
    """The same scan with its array in another orientation."""
    want = nibabel.orientations.axcodes2ornt(tuple(code))
    return image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), want))


def to_ras(path: Path) -> np.ndarray:
    """(x, y, z) values on RAS axes."""
    return np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)
