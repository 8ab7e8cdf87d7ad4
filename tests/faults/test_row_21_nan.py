"""NaN is an error when planning, and is read as 0 with a count when predicting."""

from pathlib import Path

import numpy as np

from tests.bad_voxels import assert_planning_stops, assert_read_as_zero
from tests.synthetic import Command, read_mask, run_predict, save_nifti, volumes


def test_row_21_planning_stops(workspace: Path, run_command: Command) -> None:
    assert_planning_stops(workspace, run_command, "NaN", np.nan)


def test_row_21_prediction_reads_0_with_a_count(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    assert_read_as_zero(trained_root, tmp_path, run_command, "NaN", np.nan)


def test_row_21_nothing_but_nan(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    save_nifti(tmp_path / "scans" / "a.nii.gz", np.full((18, 26, 14), np.nan, np.float32))
    code, _, err = run_predict(run_command, trained_root, tmp_path / "scans", tmp_path / "out")
    assert code == 0 and "6552 voxels are NaN" in err and "the mask is empty" in err
    assert (
        not read_mask(tmp_path / "out" / "a.nii.gz").any()
        and (volumes(tmp_path / "out").flag == "constant image; empty").all()
    )
