"""Axes that are nearly at right angles are put right with a note, and others are refused."""

from pathlib import Path

import nibabel
import numpy as np

from tests.synthetic import Command, assert_only_failed, read_mask, run_plan, run_predict, save_nifti, write_scans
from tests.trained import DATASET, assert_stopped


def sheared(cosine: float) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, 1] = (cosine, np.sqrt(1 - cosine**2), 0)
    return affine


def test_row_33_prediction_repairs_a_little_and_says_so(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    save_nifti(scans / "b.nii.gz", read_mask(scans / "a.nii.gz"), sheared(0.01))
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0 and "b.nii.gz: axes not quite orthogonal" in err and "nearest rotation" in err
    np.testing.assert_array_equal(*(read_mask(tmp_path / "out" / f"{name}.nii.gz") for name in "ab"))
    np.testing.assert_array_equal(
        nibabel.load(tmp_path / "out" / "b.nii.gz").affine, nibabel.load(scans / "b.nii.gz").affine
    )
    assert run_predict(run_command, trained_root, scans, tmp_path / "out")[0] == 0  # the mask lies in its scan's grid


def test_row_33_prediction_skips_strong_shear(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    save_nifti(scans / "b.nii.gz", read_mask(scans / "a.nii.gz"), sheared(0.2))
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(
        outcome, tmp_path / "out", "b", ["a"], str(scans / "b.nii.gz"), "sheared (cosine 0.200", "resample the scan"
    )


def test_row_33_planning_stops_for_strong_shear(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    for number, cosine in ((1, 0.2), (2, 0.01)):
        for path in (
            folder / "imagesTr" / f"case_{number:03d}_0000.nii.gz",
            folder / "labelsTr" / f"case_{number:03d}.nii.gz",
        ):
            save_nifti(path, read_mask(path), sheared(cosine))
    outcome = run_plan(run_command, workspace)
    assert_stopped(outcome, folder / "imagesTr" / "case_001_0000.nii.gz", "sheared", "1 of 6 cases", code=1)
    assert "case_002" not in outcome[2]
