"""A voxel size that is zero, negative, NaN or infinite is refused."""

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import Command, assert_only_failed, edit_header, read_mask, run_plan, run_predict, write_scans
from tests.trained import DATASET, assert_stopped

FAULTS = {
    "zero": {"sform_code": 0, "qform_code": 1, "pixdim": [1, 0, 1, 1, 1, 1, 1, 1]},
    "negative": {"sform_code": 0, "qform_code": 1, "pixdim": [1, 1, -1, 1, 1, 1, 1, 1]},
    "NaN": {"sform_code": 0, "qform_code": 0, "pixdim": [1, 1, 1, np.nan, 1, 1, 1, 1]},
    "infinite": {"sform_code": 0, "qform_code": 0, "pixdim": [1, np.inf, 1, 1, 1, 1, 1, 1]},
    "a column of zeros": {"sform_code": 1, "srow_y": [0, 0, 0, 0]},
    "NaN in the sform": {"sform_code": 1, "srow_y": [0, np.nan, 0, 0]},
    "infinity in the sform": {"sform_code": 1, "srow_z": [0, 0, np.inf, 0]},
    "parallel": {"sform_code": 1, "srow_x": [1, 0.999, 0, 0], "srow_y": [0, 0.05, 0, 0]},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_row_31_prediction_skips_them(trained_root: Path, tmp_path: Path, run_command: Command, fault: str) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz")
    edit_header(scans / "b.nii.gz", **FAULTS[fault])
    outcome = run_predict(run_command, trained_root, scans, tmp_path / "out")
    words = ("axes are sheared", "resample") if fault == "parallel" else ("correct the header",)
    assert_only_failed(outcome, tmp_path / "out", "b", ["a"], str(scans / "b.nii.gz"), *words)


def test_row_31_planning_stops(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    paths = [folder / "imagesTr" / "case_001_0000.nii.gz", folder / "labelsTr" / "case_002.nii.gz"]
    for path, fault in zip(paths, ("zero", "NaN"), strict=True):
        edit_header(path, **FAULTS[fault])
    assert_stopped(run_plan(run_command, workspace), *paths, "sizes must be above 0", "2 of 6 cases", code=1)
    assert not (workspace / "plans").exists()


@pytest.mark.parametrize("size", [0, -1, np.nan])
def test_row_31_a_sound_sform_needs_no_voxel_sizes(
    trained_root: Path, tmp_path: Path, run_command: Command, size: float
) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    (scans / "b.nii.gz").write_bytes((scans / "a.nii.gz").read_bytes())
    edit_header(scans / "b.nii.gz", pixdim=[1, size, 1, 1, 1, 1, 1, 1])
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 0 and "b.nii.gz: no voxel size in pixdim; the sform is used" in err
    np.testing.assert_array_equal(*(read_mask(tmp_path / "out" / f"{name}.nii.gz") for name in "ab"))
