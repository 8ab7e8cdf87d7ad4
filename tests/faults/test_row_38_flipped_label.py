"""A label that seems to be mirrored from left to right gets a warning."""

from pathlib import Path

import numpy as np

from tests.synthetic import Command, read_mask, run_plan, save_nifti
from tests.trained import DATASET


def widen(folder: Path, cases: int, fill: float) -> None:
    """Put 14 mm more on the right of each scan, so that the structure lies left of the middle."""
    for number in range(cases):
        for path, value in (
            (folder / "imagesTr" / f"case_{number:03d}_0000.nii.gz", fill),
            (folder / "labelsTr" / f"case_{number:03d}.nii.gz", 0),
        ):
            save_nifti(path, np.pad(read_mask(path), ((0, 14), (0, 0), (0, 0)), constant_values=value))


def flip(folder: Path, *cases: str) -> None:
    for case in cases:
        path = folder / "labelsTr" / f"{case}.nii.gz"
        save_nifti(path, read_mask(path)[::-1])


def test_row_38_planning_suspects_the_place(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    widen(folder, 6, 100)
    code, _, err = run_plan(run_command, workspace, "--no-preprocess")
    assert code == 0 and "flipped" not in err
    flip(folder, "case_001", "case_004")
    code, _, err = run_plan(run_command, workspace, "--no-preprocess", "--overwrite")
    assert (
        code == 0
        and "case_001, case_004: the labels lie where the others' would lie mirrored" in err
        and "flipped?" in err
    )


def test_row_38_planning_suspects_labels_on_nothing(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    widen(folder, 6, 0)
    flip(folder, "case_003")
    code, _, err = run_plan(run_command, workspace, "--no-preprocess")
    assert code == 0 and "case_003: " in err and "% of the labels lie on image voxels of value 0" in err
    assert err.count("of value 0") == 1
