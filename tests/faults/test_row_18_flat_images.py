"""An image of two dimensions, or of one slice, is refused."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.synthetic import Command, assert_only_failed, blob_case, run_plan, run_predict, save_nifti, write_scans
from tests.trained import DATASET, assert_stopped

IMAGE = blob_case(3)[0]


@pytest.mark.parametrize(
    "array",
    [IMAGE[:, :, 7], IMAGE[:, :, 7:8], IMAGE[:1], IMAGE[:, 7, :, None]],
    ids=["2D", "one slice", "sagittal", "4D"],
)
def test_row_18_prediction_skips_them(
    trained_root: Path, tmp_path: Path, run_command: Command, array: np.ndarray
) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    save_nifti(scans / "b.nii.gz", array)
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert_only_failed(outcome, tmp_path / "out", "b", ["a"], str(scans / "b.nii.gz"), "flat", "give a 3D volume")


def test_row_18_prediction_skips_a_slice_of_itk(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(IMAGE[:, :, 7].T), str(scans / "b.nrrd"))
    assert_only_failed(
        run_predict(run_command, trained_root, scans, tmp_path / "out"), tmp_path / "out", "b", ["a"], "flat"
    )


def test_row_18_planning_stops(workspace: Path, run_command: Command) -> None:
    path = save_nifti(workspace / "raw_data" / DATASET / "imagesTr" / "case_002_0000.nii.gz", IMAGE[:, :, 7])
    assert_stopped(run_plan(run_command, workspace), path, "flat", code=1)
    assert not (workspace / "plans").exists()
